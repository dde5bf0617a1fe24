"""
The embedded PostgreSQL starts, comes back after every bad end, and explains what it cannot mend.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest

from deploy.local import ports
from deploy.local.postgres import PostgresServer, ensure_database
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.mesh


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """
    A server on a directory of its own.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-postgres-"))
    folder.chmod(0o755)
    one = PostgresServer(folder / "postgres", ports.free_port(), "a/b:c @", settings={"fsync": "off"})
    yield one
    one.stop()
    shutil.rmtree(folder)


async def _one(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_survives_kill(server: PostgresServer) -> None:
    """
    What was committed before `kill -9` is there after the next start.
    """
    child = server.start()
    dsn = await ensure_database(server)
    await _one(dsn, "create table kept as select 4711 as number")
    os.kill(child.pid, signal.SIGKILL)
    child.stop()

    server.start()

    assert await _one(dsn, "select number from kept") == 4711


async def test_replaces_orphan(server: PostgresServer) -> None:
    """
    A server that an earlier supervisor left behind is ended, and the new one takes its directory over.
    """
    orphan = server.start()
    successor = PostgresServer(server.directory, ports.free_port(), "a/b:c @")

    successor.start()
    try:
        assert orphan.stop() == 0
        assert await _one(successor.dsn(database="postgres"), "select 1") == 1
    finally:
        successor.stop()


async def test_removes_lock_of_another_program(server: PostgresServer) -> None:
    """
    A lock whose process number belongs to another program by now does not stop the start.
    """
    server.start()
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")

    server.start()

    assert await _one(server.dsn(database="postgres"), "select 1") == 1


def test_damaged_directory_is_explained(server: PostgresServer) -> None:
    """
    A data directory without its control file gives a sentence with the remedy.
    """
    server.start()
    server.stop()
    (server.data / "global" / "pg_control").unlink()

    with pytest.raises(ConfigError, match=r"is damaged \(global/pg_control is missing\); restore a backup, or move"):
        server.start()


def test_broken_control_file_is_explained(server: PostgresServer) -> None:
    """
    What only the server itself can find wrong is passed on with the remedy.
    """
    server.start()
    server.stop()
    control = server.data / "global" / "pg_control"
    control.write_bytes(bytes(len(control.read_bytes())))

    with pytest.raises(ConfigError, match=r"cannot start .* move .* away"):
        server.start()


def test_port_in_use_is_explained(server: PostgresServer, postgres_server: PostgresServer) -> None:
    """
    A port that is taken gives a sentence with the remedy.
    """
    late = PostgresServer(server.directory, postgres_server.port, "x")

    with pytest.raises(ConfigError, match=rf"port {postgres_server.port} .* is in use.*--postgres-port"):
        late.start()


async def test_roles_need_their_password(postgres_dsn: str, service_dsn: Callable[[str], str]) -> None:
    """
    A service's role gets in with its own password only.
    """
    good = service_dsn("query-api")
    bad = service_dsn("query-api").replace("query-api", "guess")

    assert await _one(good, "select current_user") == "meshlens_query_api"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _one(bad, "select 1")
    assert await _one(postgres_dsn, "select current_user") == "meshlens"
