"""
The folder that holds everything: the servers' data, secrets, logs, and what runs now.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, Final

import msgspec

from deploy.local import secrets
from shared.errors import ConfigError

VARIABLE: Final = "MESHLENS_DATA_DIR"


class Runtime(msgspec.Struct, frozen=True, kw_only=True):
    """
    What runs now, for the other commands.
    """

    supervisor: int
    """Process id."""
    api: str
    """Address of the page and of the HTTP API."""
    nats: str
    postgres: str
    """Address without password."""
    processes: dict[str, int] = {}
    """Name to process id."""
    demo: str = ""
    """Path of the demo's control socket."""


class DataDirectory:
    """
    The paths in it, and the lock that keeps a second supervisor out.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path.absolute()
        self._lock: IO[str] | None = None

    @property
    def logs(self) -> Path:
        """
        Return the folder of the logs.
        """
        return self.path / "log"

    def prepare(self) -> None:
        """
        Make the folder and take its lock.

        Raises:
            ConfigError: it cannot be made or written, or another supervisor uses it.
        """
        try:
            self.logs.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / "lock").open("w", encoding="ascii")
        except OSError as error:
            raise ConfigError(
                f"the data directory {self.path} cannot be used: {error.strerror}; choose another with --data-dir"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise ConfigError(
                f"another `meshlens up` uses {self.path}: stop it, or choose another directory with --data-dir"
            ) from error

    def secrets(self) -> secrets.Secrets:
        """
        Return the secrets, made at the first time.
        """
        return secrets.load(self.path / "secrets.json")

    def tokens_file(self) -> Path:
        """
        Write the API's tokens where query-api reads them, and return the path.
        """
        path = self.path / "tokens.json"
        secrets.write_private(path, msgspec.json.encode(self.secrets().api_tokens))
        return path

    def write_runtime(self, runtime: Runtime) -> None:
        """
        Say what runs now.
        """
        part = self.path / "runtime.json.part"
        part.write_bytes(msgspec.json.format(msgspec.json.encode(runtime)))
        part.replace(self.path / "runtime.json")

    def read_runtime(self) -> Runtime | None:
        """
        Return what runs now, or None.
        """
        try:
            runtime = msgspec.json.decode((self.path / "runtime.json").read_bytes(), type=Runtime)
        except (OSError, msgspec.DecodeError):
            return None
        return runtime if Path(f"/proc/{runtime.supervisor}").exists() else None

    def release(self) -> None:
        """
        Nothing runs any more.
        """
        (self.path / "runtime.json").unlink(missing_ok=True)
        if self._lock is not None:
            self._lock.close()


def default_path() -> Path:
    """
    Return the data directory that the environment names, or the usual one.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    return Path("/var/lib/meshlens") if os.geteuid() == 0 else Path("var")
