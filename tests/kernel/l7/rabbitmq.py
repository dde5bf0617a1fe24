"""
A RabbitMQ for the tests of one file: a node of its own, with its own data, ports and port mapper, on the loopback only.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pika
import pytest

from tests.kernel.l7.lab import accepts, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

BIN: Final = Path("/usr/lib/rabbitmq/bin")
PATIENCE_S: Final = 90.0
"""Erlang takes its time on a busy machine."""
ERLANG: Final = "+S 2:2 +SDio 2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}"


class RabbitMq:
    """
    A running server, which each test puts in scope when it wants to.
    """

    def __init__(self, pid: int, ports: tuple[int, int], settings: dict[str, str], user: dict[str, Any]) -> None:
        self.pid: Final = pid
        self.port, self.secure = ports
        self._settings: Final = settings
        self._user: Final = user

    def connect(self, **options: Any) -> Any:
        """
        Return a blocking connection of pika.
        """
        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port, **options))

    def control(self, *words: str) -> None:
        """
        Tell the node something by its own command.
        """
        subprocess.run(
            [BIN / "rabbitmqctl", *words], env=self._settings, check=True, capture_output=True, timeout=60, **self._user
        )


@contextlib.contextmanager
def running(certificate: Path | None = None, key: Path | None = None) -> Iterator[RabbitMq]:
    """
    Run RabbitMQ until the block ends, as its own user; with a certificate it speaks TLS too, on a port of its own.
    """
    if not (BIN / "rabbitmq-server").exists() or os.geteuid() != 0:
        pytest.skip("there is no rabbitmq-server, or nobody may start it: apt-get install rabbitmq-server, as root")
    folder, owner = Path(tempfile.mkdtemp(prefix="meshlens-rabbitmq-")), pwd.getpwnam("rabbitmq")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    user: dict[str, Any] = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": [], "cwd": folder}
    port, secure, mapper = free_port(), free_port() if certificate else 0, free_port()
    settings = environment(folder, port, mapper)
    if certificate:
        words = ("cacertfile", certificate), ("certfile", certificate), ("keyfile", key)
        lines = [f"listeners.ssl.1 = 127.0.0.1:{secure}", *(f"ssl_options.{word} = {path}" for word, path in words)]
        with (folder / "rabbitmq.conf").open("a", encoding="ascii") as conf:
            conf.write("\n".join(lines) + "\n")
    with (folder / "output").open("wb") as log:
        names = subprocess.Popen(["epmd", "-port", str(mapper)], env=settings, stdout=log, stderr=log, **user)
        server = subprocess.Popen([BIN / "rabbitmq-server"], env=settings, stdout=log, stderr=log, **user)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not (accepts(port) and (not secure or accepts(secure))):
            assert server.poll() is None, (folder / "output").read_text()[-2000:]
            assert time.monotonic() < deadline, (folder / "output").read_text()[-2000:]
            time.sleep(0.05)
        yield RabbitMq(server.pid, (port, secure), settings, user)
    finally:
        for program in (server, names):
            program.terminate()
            try:
                program.wait(15)
            except subprocess.TimeoutExpired:
                program.kill()
                program.wait()
        shutil.rmtree(folder, ignore_errors=True)


def environment(folder: Path, port: int, mapper: int) -> dict[str, str]:
    """
    Write the configuration into *folder*, and return the environment of the node and of its commands.
    """
    lines = (
        f"listeners.tcp.1 = 127.0.0.1:{port}", "log.console = true", "log.file = false", "collect_statistics = none",
        "vm_memory_high_watermark.absolute = 1GB", "disk_free_limit.absolute = 1MB", "num_acceptors.tcp = 2",
    )  # fmt: skip
    (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n", encoding="ascii")
    (folder / "plugins").write_text("[].\n", encoding="ascii")
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "RUNNING_UNDER_SYSTEMD": "1",  # the script becomes the server, so the server ends as its pid does
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_NODENAME": f"meshlens{port}@localhost",
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG,
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
    }
