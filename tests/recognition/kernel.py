"""
The kernel side's verdicts: each first message is played over a connection of the loopback to a server in scope.

Each example has a port of its own, so the series of that port tell what its connection was taken for. The server says
the greeting, if there is one, and answers with the example's answer.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager.kernel import Kernel
from shared.errors import Malformed
from shared.messages.kernel import Protocol, Role
from shared.protocols import protocols
from tests.compiled import SharedKernel
from tests.kernel.l7.lab import SCOPE_TREE, Lab
from tests.recognition.measure import Matrix

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.recognition.corpus import Example

BATCH: Final = 100
"""Examples of one server: each has a port, and the kernel's maps of a test hold a few hundred series."""
STRANGERS: Final = 20
"""The most examples of one neighbour."""
PATIENCE_S: Final = 3.0

SERVER: Final = """
import json, selectors, socket, sys, threading, time
talks = [[part.encode("latin-1") for part in talk] for talk in json.load(open(sys.argv[1]))]
def serve(listener, greeting, size, answer):
    connection = listener.accept()[0]
    connection.settimeout(5)
    if greeting: connection.sendall(greeting)
    got = b""
    while len(got) < int(size):
        more = connection.recv(65536)
        if not more: break
        got += more
    if answer: connection.sendall(answer)
    connection.recv(1)
    connection.close()
ports = []
for talk in talks:
    listener = socket.create_server(("127.0.0.1", 0))
    ports.append(listener.getsockname()[1])
    threading.Thread(target=serve, args=(listener, *talk), daemon=True).start()
open(sys.argv[2], "w").write(json.dumps(ports))
time.sleep(120)
"""


PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
CONNECT: Final = 1
"""The packet with which MQTT begins."""
LATER: Final[dict[str, frozenset[str]]] = {
    "postgresql": frozenset(("startup", "tls_request", "sasl_initial", "sasl_response", "prepare", "prepare_again")),
    "dubbo": frozenset(("heartbeat",)),
    "mysql": frozenset(("database",)),
    "tls": frozenset(("tls13_encrypted",)),
    "zookeeper": frozenset(("auth", "close", "multi", "multi_failed")),
    "clickhouse": frozenset(("missing_head", "select_head")),
    "nats": frozenset(("ping",)),
}
"""Captures that cannot begin a conversation, are not whole, or are no requests: nothing is counted of them."""


def played(examples: list[Example]) -> list[Example]:
    """
    Return those that can begin a stream, each once, and as they do: DNS with its length, HTTP/2 with its preface.
    """
    found, seen, strangers = [], set[tuple[str, bytes]](), Counter[str]()
    for one in examples:
        request, answer = one.request, one.answer
        if (one.family, request) in seen or strangers[one.family] >= STRANGERS:
            continue
        seen.add((one.family, request))
        strangers[one.family] += one.protocol is Protocol.UNKNOWN
        if not request or one.protocol is Protocol.WEBSOCKET or one.case in LATER.get(one.family, ()):
            continue
        if one.protocol is not Protocol.UNKNOWN and not _whole(one):
            continue
        if one.protocol is Protocol.MQTT and request[0] >> 4 != CONNECT:
            continue
        if one.protocol is Protocol.DNS and int.from_bytes(request[:2], "big") + 2 != len(request):
            request, answer = (struct.pack("!H", len(part)) + part for part in (request, answer))
        if one.protocol in (Protocol.HTTP2, Protocol.GRPC):
            request = PREFACE + request
        found.append(msgspec.structs.replace(one, request=request, answer=answer))
    return found


def _whole(example: Example) -> bool:
    try:
        return protocols()[example.protocol].frame(example.request, response=False) is not None
    except Malformed:
        return False


def kernel_side(examples: list[Example], *, fallback: bool = False) -> Matrix:
    """
    Return what the kernel side takes each of the examples for.
    """
    kernel = SharedKernel(Path(f"/sys/fs/bpf/meshlens-test-recognition-{os.getpid()}"))
    counts: Counter[tuple[str, Protocol, Protocol]] = Counter()
    try:
        kernel.load("process_lifetime")
        kernel.load("socket_l7", fallback=fallback)
        kernel.map("scope_kinds").write(bytes(4), struct.pack("<I", SCOPE_TREE))
        able = played(examples)
        for at in range(0, len(able), BATCH):
            some = able[at : at + BATCH]
            counts.update(
                (one.family, one.protocol, taken) for one, taken in zip(some, _verdicts(kernel, some), strict=True)
            )
    finally:
        kernel.close(remove=True)
    return Matrix(counts)


def _verdicts(kernel: Kernel, examples: list[Example]) -> Iterator[Protocol]:
    lab = Lab(kernel)
    try:
        talks, ports = lab.folder / "talks", lab.folder / "ports"
        parts = [(one.greeting, str(len(one.request)).encode(), one.answer) for one in examples]
        talks.write_text(json.dumps([[part.decode("latin-1") for part in talk] for talk in parts]))
        lab.run(sys.executable, "-c", SERVER, talks, ports)
        lab.until(lambda: ports.exists() and ports.read_text().endswith("]"), "the server")
        numbers = json.loads(ports.read_text())
        for one, port in zip(examples, numbers, strict=True):
            _talk(one, port)
        time.sleep(0.3)
        seen: dict[int, Counter[Protocol]] = {}
        for series in lab.series():
            if series.role is Role.SERVER:
                seen.setdefault(series.port, Counter())[series.protocol] += series.requests
        for port in numbers:
            taken = seen.get(port, Counter())
            del taken[Protocol.UNKNOWN]
            yield taken.most_common(1)[0][0] if taken else Protocol.UNKNOWN
    finally:
        lab.close()


def _talk(example: Example, port: int) -> None:
    """
    Say the request, and hear the answer.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        due = len(example.greeting)
        try:
            while due > 0 and (more := connection.recv(65536)):
                due -= len(more)
            connection.sendall(example.request)
            due = len(example.answer)
            while due > 0 and (more := connection.recv(65536)):
                due -= len(more)
        except OSError:
            return
