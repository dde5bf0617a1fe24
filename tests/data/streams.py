"""
A proxy that keeps the two streams of each connection apart, for protocols whose requests overtake each other.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

LAB: Final = Path("/var/tmp/meshlens-lab")  # noqa: S108  # read only
"""Where servers lie that no package manager of the system has; `deploy/setup.sh test` fills it."""


PATIENCE_S: Final = 90.0
"""A virtual machine on a busy computer needs long to start."""


def jars(name: str) -> str:
    """
    Return the class path of the Java server *name*, empty where it is not there.
    """
    folder = LAB / name / "jars"
    return f"{folder}/*" if folder.is_dir() and any(folder.iterdir()) else ""


@contextlib.contextmanager
def started(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """
    Run a server that takes its time until the block ends; it is up when *port* accepts.
    """
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            if time.monotonic() > deadline or server.poll() is not None:
                raise RuntimeError(f"no server on {port}: {(folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


class Streams:
    """
    Listens on a free port, passes everything on to *behind*, and keeps what passed, connection by connection.
    """

    def __init__(self, behind: int = 0) -> None:
        self.behind = behind
        self.instead: tuple[bytes, bytes] = (b"", b"")
        """What is said one way or the other, and what is passed on in its place, as long as it."""
        self.streams: Final[list[tuple[bytearray, bytearray]]] = []
        """Of each connection: what the client said, and what the server said."""
        self._ends: Final[list[socket.socket]] = []
        self._socket: Final = socket.create_server(("127.0.0.1", 0))
        self.port: Final[int] = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._socket.accept()[0]
                far = socket.create_connection(("127.0.0.1", self.behind))
                self._ends.extend((near, far))
                up, down = bytearray(), bytearray()
                self.streams.append((up, down))
                for source, target, kept in ((near, far, up), (far, near, down)):
                    threading.Thread(target=self._pass, args=(source, target, kept), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, kept: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                kept += data
                target.sendall(data.replace(*self.instead) if self.instead[0] else data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """
        End what is left of the connections, and listen no more.
        """
        for end in (*self._ends, self._socket):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
