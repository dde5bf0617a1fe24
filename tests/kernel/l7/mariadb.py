"""
A MariaDB server for the tests of one file: an unprivileged one, in a folder of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pymysql  # type: ignore[import-untyped]  # it has no types of its own
import pytest

from shared.messages.kernel import Protocol, Role
from shared.protocols.mysql import PROTOCOL
from tests.kernel.l7.lab import accepts, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab

PATIENCE_S: Final = 30.0
INSTANCE: Final = 77
SMALL: Final = ("--innodb-buffer-pool-size=24M", "--innodb-log-file-size=4M", "--innodb-doublewrite=0")
SETTINGS: Final = (
    "--innodb-flush-method=nosync", "--innodb-fast-shutdown=2", "--performance-schema=off",
    "--bind-address=127.0.0.1", "--skip-name-resolve", "--local-infile=1", "--max-allowed-packet=64M",
    "--innodb-lock-wait-timeout=1", "--max-connections=20", "--thread-stack=256K",
)  # fmt: skip
SETUP: Final = """
create database shop;
create user shop@'%' identified by 's3cr3t';
grant all on *.* to shop@'%';
create table shop.orders (id int primary key, note varchar(200));
insert into shop.orders values (1, 'one'), (2, 'two');
"""


def certificate(folder: Path) -> list[str]:
    """
    Return the settings that let the server speak TLS.
    """
    key, made = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=shop"]
    subprocess.run([*words, "-keyout", key, "-out", made], check=True, capture_output=True, timeout=60)
    key.chmod(0o644)
    return [f"--ssl-cert={made}", f"--ssl-key={key}", f"--init-file={folder}/setup.sql"]


class MariaDb:
    """
    A running server, which each test puts in scope when it wants to.
    """

    def __init__(self, pid: int, port: int, folder: Path) -> None:
        self.pid: Final = pid
        self.port = port
        self.folder: Final = folder

    def connect(self, **options: Any) -> pymysql.connections.Connection[Any]:
        """
        Return a connection of PyMySQL.
        """
        words = {
            "user": "shop",
            "password": "s3cr3t",
            "database": "shop",
            "autocommit": None,
            "ssl_disabled": True,
            **options,
        }
        return pymysql.connect(host="127.0.0.1", port=self.port, **words)


@contextlib.contextmanager
def running(*settings: str) -> Iterator[MariaDb]:
    """
    Run MariaDB until the block ends.
    """
    if not shutil.which("mariadbd"):
        pytest.skip("there is no mariadbd: apt-get install mariadb-server")
    folder = Path(tempfile.mkdtemp(prefix="meshlens-mariadb-"))
    folder.chmod(0o755)
    data, port = folder / "data", free_port()
    data.mkdir()
    shutil.chown(data, "nobody") if os.geteuid() == 0 else None
    user: Any = {"user": "nobody"} if os.geteuid() == 0 else {}
    words = ["mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", f"--datadir={data}"]
    subprocess.run([*words, "--skip-test-db", *SMALL], check=True, capture_output=True, timeout=90, cwd=data, **user)
    (folder / "setup.sql").write_text(SETUP, encoding="utf-8")
    where = [f"--datadir={data}", f"--socket={data}/socket", f"--port={port}", f"--pid-file={data}/pid"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            ["mariadbd", "--no-defaults", *SMALL, *SETTINGS, *settings, *where, *certificate(folder)],
            stdout=log, stderr=log, cwd=data, **user,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not accepts(port):
            assert time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield MariaDb(server.pid, port, folder)
    finally:
        server.terminate()
        server.wait(PATIENCE_S)
        shutil.rmtree(folder, ignore_errors=True)


def named(lab: Lab, port: int, role: Role = Role.SERVER) -> dict[str, int]:
    """
    Return the requests of each endpoint so far, called as the samples that came up name it.
    """
    names: dict[int, str] = {}
    for one in lab.samples():
        if one.port == port and one.protocol is Protocol.MYSQL and one.request:
            parsed = PROTOCOL.parse(*PROTOCOL.mask(one.request, one.response))
            if parsed.name and (not parsed.stand_in or one.endpoint not in names):
                names[one.endpoint] = parsed.name
    found: dict[str, int] = {}
    for series in lab.served(port, Protocol.MYSQL) if role is Role.SERVER else lab.called(port, Protocol.MYSQL):
        name = names.get(series.endpoint, f"? {series.endpoint:#x}")
        found[name] = found.get(name, 0) + series.requests
    return found
