"""
A real name server and broker (RocketMQ 5.1) behind proxies, a client of theirs, and what passed.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.data.record import free_port
from tests.data.streams import Streams, jars, started

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).parent
BROKER: Final = """
brokerClusterName=shop
brokerName=b
brokerIP1=127.0.0.1
listenPort={port}
namesrvAddr=127.0.0.1:{names}
storePathRootDir={folder}/store
mappedFileSizeCommitLog=16777216
mappedFileSizeConsumeQueue=300000
timerWheelEnable=false
"""
OPEN: Final = [
    word
    for package in ("java.nio", "jdk.internal.ref", "sun.nio.ch")
    for word in ("--add-opens", f"java.base/{package}=ALL-UNNAMED")
]


def java(megabytes: int) -> list[str]:
    """
    Return how Java is called with RocketMQ's jars.
    """
    return ["java", f"-Xmx{megabytes}m", "-XX:+UseSerialGC", *OPEN, "-cp", jars("rocketmq")]


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[tuple[Streams, Streams]]:
    """
    Run both servers; yield a proxy in front of each, the name server's first, which names the other as the broker.
    """
    names, port = free_port(), free_port()
    while not 20000 < port < 60000:  # as many digits as the proxy's
        port = free_port()
    names_proxy, proxy = Streams(names), Streams(port)
    names_proxy.instead = (f"127.0.0.1:{port}".encode(), f"127.0.0.1:{proxy.port}".encode())
    (folder / "names.conf").write_text(f"listenPort={names}\n")
    (folder / "broker.conf").write_text(BROKER.format(port=port, names=names, folder=folder))
    home = [f"-Drocketmq.home.dir={folder}", f"-Duser.home={folder}"]
    name_server = [*java(128), *home, "org.apache.rocketmq.namesrv.NamesrvStartup", "-c", str(folder / "names.conf")]
    broker = [*java(384), *home, "org.apache.rocketmq.broker.BrokerStartup", "-c", str(folder / "broker.conf")]
    try:
        with started(name_server, names, folder), started(broker, port, folder):
            yield names_proxy, proxy
    finally:
        names_proxy.close()
        proxy.close()


def shop(proxy: Streams, count: int) -> list[str]:
    """
    Return the command that sends and reads *count* messages of each kind.
    """
    return [*java(128), str(HERE / "Shop.java"), f"127.0.0.1:{proxy.port}", str(count)]


def compiled(folder: Path) -> list[str]:
    """
    Compile the client into *folder* and return the command that runs it, without its arguments.
    """
    subprocess.run(
        ["javac", "-cp", jars("rocketmq"), "-d", str(folder), str(HERE / "Shop.java")], check=True, timeout=60
    )
    return [*java(128)[:-1], f"{folder}:{jars('rocketmq')}", "Shop"]


def frames(stream: bytes) -> Iterator[bytes]:
    """
    Yield the whole messages of *stream*.
    """
    while len(stream) >= 4 and len(stream) >= 4 + int.from_bytes(stream[:4], "big"):
        length = 4 + int.from_bytes(stream[:4], "big")
        yield stream[:length]
        stream = stream[length:]


def opaque(frame: bytes) -> int:
    """
    Return the number that pairs requests and responses.
    """
    return _number(frame, "opaque")


def flag(frame: bytes) -> int:
    """
    Return 1 for a response, 2 for a request without one, 0 for any other.
    """
    return _number(frame, "flag")


def _number(frame: bytes, name: str) -> int:
    header = frame[8 : 8 + int.from_bytes(frame[5:8], "big")]
    found = re.search(rb'"%b":(\d+)' % name.encode(), header)
    assert found is not None
    return int(found[1])
