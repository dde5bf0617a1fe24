"""
What real clients and servers were recorded to say, said again over TCP with other secrets in the places of the planted.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.protocols import protocols
from tests.redaction.messages import MESSAGES
from tests.redaction.secrets import INSTEAD, PLANTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DATA: Final = Path(__file__).parents[1] / "data"
PATIENCE_S: Final = 3.0
BATCH: Final = 200
PAUSE_S: Final = 0.7
"""So many exchanges, then the kernel's samples are let go up: it holds a limited number of them."""


def captures(others: tuple[bytes, ...]) -> Iterator[tuple[str, bytes, bytes]]:
    """
    Yield every capture, by protocol, with *others* in the places of what was planted.
    """
    for known in protocols().values():
        for path in sorted((DATA / known.name).glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            request, response = (content[part].encode("latin-1") for part in ("request", "response"))
            for planted, other in zip(PLANTED, others, strict=True):
                request, response = request.replace(planted, other), response.replace(planted, other)
            yield known.name, request, response


def written(secrets: Iterable[bytes]) -> Iterator[tuple[str, bytes, bytes]]:
    """
    Yield every message that was written out by hand, with each of the *secrets*.
    """
    for secret in secrets:
        for protocol, messages in MESSAGES.items():
            for request, response in messages(secret):
                yield protocol.name.lower(), request, response


def replay(secrets: Iterable[bytes]) -> int:
    """
    Say everything over connections of the loopback, a port for each protocol; return how many exchanges there were.
    """
    count = 0
    with contextlib.ExitStack() as held:
        servers: dict[str, Server] = {}
        everything = [one for others in INSTEAD for one in captures(others)] + list(written(secrets))
        for name, request, response in everything:
            if name not in servers:
                servers[name] = held.enter_context(contextlib.closing(Server()))
            servers[name].exchange(request, response)
            count += 1
            if count % BATCH == 0:
                time.sleep(PAUSE_S)
    return count


class Server:
    """
    Answers what it is told to answer, once it has been asked.
    """

    def __init__(self) -> None:
        self._socket: Final = socket.create_server(("127.0.0.1", 0))
        self._next = (0, b"")
        threading.Thread(target=self._serve, daemon=True).start()

    def exchange(self, request: bytes, response: bytes) -> None:
        """
        Ask, and hear the whole answer.
        """
        self._next = (len(request), response)
        with socket.create_connection(self._socket.getsockname(), PATIENCE_S) as connection:
            connection.sendall(request)
            while connection.recv(65536):
                pass

    def close(self) -> None:
        """
        Stop listening.
        """
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection = self._socket.accept()[0]
                with connection:
                    connection.settimeout(PATIENCE_S)
                    wanted, answer = self._next
                    while wanted > 0:
                        wanted -= len(connection.recv(65536)) or wanted
                    connection.sendall(answer)
