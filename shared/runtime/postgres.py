"""
PostgreSQL: a pool that waits for the server, migrations, and SQL files as named queries.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

T = TypeVar("T")

MIGRATIONS: Final = Path(__file__).parent.parent / "migrations"
RETRY_S: Final = 0.5
HOUR_S: Final = 3600.0

GONE: Final = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InternalClientError,  # the server's last word came while the connection was idle, and it was used after
    TimeoutError,
)
"""What asyncpg raises when the server is away: trying again may help."""

REFUSED: Final = (asyncpg.InvalidPasswordError, asyncpg.InvalidAuthorizationSpecificationError)


def without_password(dsn: str) -> str:
    """
    Return *dsn* fit for a log: without its password.
    """
    parts = urlsplit(dsn)
    if parts.password is None:
        return dsn
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}@{host}"))


async def open_pool(
    dsn: str,
    *,
    size: int = 4,
    waiting: Callable[[str], None],
    settings: dict[str, str] | None = None,
    prepare: Callable[[Any], Awaitable[None]] | None = None,
    reset: Callable[[Any], Awaitable[None]] | None = None,
) -> asyncpg.Pool[asyncpg.Record]:
    """
    Return a pool of at most *size* connections, once the server is there and its schema is as new as this code.

    *waiting* is told once what is being waited for, and an empty text when that is over. Each connection has the
    server's *settings*, *prepare* makes it ready, and *reset* is done after each use, where the usual is too much.

    Raises:
        ConfigError: the server refuses the role, its database is not there, or its schema is newer than this code.
    """
    place = f"PostgreSQL at {without_password(dsn)}"

    async def connect() -> asyncpg.Pool[asyncpg.Record]:
        try:
            return await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=size,
                command_timeout=30,
                timeout=5,
                max_inactive_connection_lifetime=60,
                server_settings=settings,
                init=prepare,
                reset=reset,
            )
        except REFUSED as error:
            raise ConfigError(f"{place} refuses this role: {error}") from error
        except asyncpg.InvalidCatalogNameError as error:
            raise ConfigError(f"{place}: {error}; create it, or correct MESHLENS_POSTGRES_DSN") from error

    pool = await until_done(connect, waiting=waiting, place=place)
    await wait_for_schema(pool, waiting)
    return pool


async def until_done(
    work: Callable[[], Awaitable[T]], *, waiting: Callable[[str], None], place: str = "PostgreSQL"
) -> T:
    """
    Return what *work* does, carried out again for as long as the server is away; it must be safe to repeat.
    """
    told = False
    while True:
        try:
            done = await work()
        except GONE as error:
            if not told:
                waiting(f"{place} ({str(error) or type(error).__name__})")
                told = True
            await asyncio.sleep(RETRY_S)
        else:
            if told:
                waiting("")
            return done


async def hourly(work: Callable[[], Awaitable[None]], *, waiting: Callable[[str], None]) -> None:
    """
    Carry out *work* now and each hour from now on, as `until_done` does.
    """
    while True:
        await until_done(work, waiting=waiting)
        await asyncio.sleep(HOUR_S)


def queries(folder: Path) -> dict[str, str]:
    """
    Return the SQL of every file in *folder*, by its name without the ending.
    """
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.sql"))}


@contextlib.asynccontextmanager
async def connection(dsn: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """
    Open one connection for a short task.

    Raises:
        Unavailable: the server does not answer.
    """
    try:
        one = await asyncpg.connect(dsn, timeout=5)
    except GONE as error:
        raise Unavailable(f"PostgreSQL at {without_password(dsn)} does not answer: {error}") from error
    try:
        yield one
    finally:
        await one.close()


def latest_version() -> int:
    """
    Return the number of the newest migration that this code knows.
    """
    return max(int(path.name[:4]) for path in MIGRATIONS.glob("[0-9]*.sql"))


async def migrate(dsn: str, passwords: dict[str, str]) -> int:
    """
    Bring the schema up to date as the owner in *dsn*, give each role of *passwords* its password, return the version.

    Raises:
        ConfigError: the schema is newer than this code.
        Unavailable: the server does not answer.
    """
    async with connection(dsn) as owner:
        await owner.execute(
            "create table if not exists schema_version ("
            "version integer primary key, name text not null, applied_at timestamptz not null default now())"
        )
        async with owner.transaction():
            await owner.execute("lock table schema_version in exclusive mode")
            current = await owner.fetchval("select coalesce(max(version), 0) from schema_version")
            if current > latest_version():
                raise ConfigError(
                    f"the schema has version {current}, this meshlens knows up to {latest_version()}: "
                    "install the newer meshlens, or point MESHLENS_POSTGRES_DSN at another database"
                )
            for path in sorted(MIGRATIONS.glob("[0-9]*.sql")):
                version = int(path.name[:4])
                if version <= current:
                    continue
                await owner.execute(path.read_text(encoding="utf-8"))
                await owner.execute("insert into schema_version (version, name) values ($1, $2)", version, path.stem)
            for role, password in passwords.items():
                await owner.execute(await _set_password(owner, role, password))
    return latest_version()


async def _set_password(owner: Any, role: str, password: str) -> str:
    statement: str = await owner.fetchval(
        "select format('alter role %I with login password %L', $1::text, $2::text)", role, password
    )
    return statement


async def wait_for_schema(pool: asyncpg.Pool[asyncpg.Record], waiting: Callable[[str], None]) -> None:
    """
    Wait until the schema is as new as this code.

    Raises:
        ConfigError: the schema is newer than this code.
    """
    told = False
    wanted = latest_version()
    while True:
        current = 0
        with contextlib.suppress(asyncpg.UndefinedTableError, *GONE):
            current = await pool.fetchval("select coalesce(max(version), 0) from schema_version")
        if current == wanted:
            if told:
                waiting("")
            return
        if current > wanted:
            raise ConfigError(f"the schema has version {current}, this meshlens knows up to {wanted}: upgrade it")
        if not told:
            waiting(f"the schema to reach version {wanted} (it has {current}): run `meshlens migrate`")
            told = True
        await asyncio.sleep(RETRY_S)
