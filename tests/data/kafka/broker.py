"""
A real broker (Kafka 3.9 in KRaft mode) behind proxies, and what passed them.
"""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, Final

from tests.data.record import free_port
from tests.data.streams import jars, started

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.data.streams import Streams

PROPERTIES: Final = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAIN://127.0.0.1:{plain},SECURE://127.0.0.1:{secure},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAIN://127.0.0.1:{proxy},SECURE://127.0.0.1:{secure_proxy}
listener.security.protocol.map=PLAIN:PLAINTEXT,SECURE:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAIN
sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_shop="s3cr3t-password";
log.dirs={folder}/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
"""
CLUSTER: Final = "AAAAAAAAQACAAAAAAAAAAg"


@contextlib.contextmanager
def broker(folder: Path, proxy: int, secure_proxy: int) -> Iterator[tuple[int, int]]:
    """
    Run a broker that tells its clients to come to the proxies; yield its plain and its SASL port.
    """
    plain, secure, controller = free_port(), free_port(), free_port()
    ports = {"plain": plain, "secure": secure, "controller": controller, "proxy": proxy, "secure_proxy": secure_proxy}
    (folder / "kafka.properties").write_text(PROPERTIES.format(folder=folder, **ports))
    java = ["java", "-Xmx384m", "-XX:+UseSerialGC", "-cp", jars("kafka")]
    format_ = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(folder / "kafka.properties")]
    subprocess.run(format_, check=True, capture_output=True, timeout=120)
    with started([*java, "kafka.Kafka", str(folder / "kafka.properties")], plain, folder):
        yield plain, secure


def exchanges(proxy: Streams) -> Iterator[tuple[bytes, bytes]]:
    """
    Yield the requests that passed, each with its response, or with nothing.
    """
    for up, down in proxy.streams:
        answers = {frame[4:8]: frame for frame in frames(bytes(down))}
        for request in frames(bytes(up)):
            yield request, answers.get(request[8:12], b"")


def frames(stream: bytes) -> Iterator[bytes]:
    """
    Yield the whole messages of *stream*.
    """
    while len(stream) >= 4 and len(stream) >= 4 + int.from_bytes(stream[:4], "big"):
        length = 4 + int.from_bytes(stream[:4], "big")
        yield stream[:length]
        stream = stream[length:]
