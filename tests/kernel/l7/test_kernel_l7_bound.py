"""
Messages beyond number in one system call, cut in every way: seen and lost together are the truth, to the unit.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from services.probe_manager.kernel import Kernel
from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.lab import DEADLINE_S, requests_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

MANY: Final = 10_007
"""More than any number of tail calls takes."""
SPEAKER: Final = """
import random
draw = random.Random(SEED)
connection = listener.accept()[0]
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
if ROOM:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
def say(data):
    if not PIECES:
        return connection.sendall(data)
    at = 0
    while at < len(data):
        pieces = []
        while at < len(data) and len(pieces) < 1000:
            size = draw.randrange(PIECES + 1)  # an empty piece now and then
            pieces.append(data[at:at + size])
            at += size
        rest = sum(map(len, pieces))
        done = os.writev(connection.fileno(), pieces)
        at -= rest - done
def hear(end):
    held = b""
    while not held.endswith(end):
        data = connection.recv(RECV)
        if not data:
            break
        held += data
"""
NATS: Final = """
connection.sendall(b'INFO {"server_id":"x"}\\r\\n')
hear(b"PING\\r\\n")
say(b"PONG\\r\\n")
hear(b"PING\\r\\n")
subjects = (b"a.b", b"c.d", b"e.f")
say(b"".join(b"MSG %s 1 5\\r\\nhello\\r\\n" % subjects[at % KINDS] for at in range(MANY)) + b"PONG\\r\\n")
time.sleep(60)
"""
REDIS: Final = """
hear(b"quit\\r\\n")
say(b"$1\\r\\nx\\r\\n" * MANY + b"+OK\\r\\n")
time.sleep(60)
"""


@contextlib.contextmanager
def busy(programs: int) -> Iterator[None]:
    """
    Run so many *programs* beside the test, each of which keeps a processor busy for a bounded time.
    """
    loop = f"import time\nend = time.monotonic() + {2 * DEADLINE_S}\nwhile time.monotonic() < end: pass"
    beside = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(programs)]
    try:
        yield
    finally:
        for one in beside:
            one.kill()
            one.wait()


def speak(lab: Lab, code: str, **words: int) -> socket.socket:
    """
    Return a connection to a server in scope that speaks as *code* and *words* say.
    """
    text = SPEAKER + code
    for word, value in (
        {"SEED": 20261, "ROOM": 0, "PIECES": 0, "RECV": 65536, "MANY": MANY, "KINDS": 3} | words
    ).items():
        text = text.replace(word, str(value))
    return lab.stream(lab.serve(text))


def exchange(connection: socket.socket, data: bytes, end: bytes, size: int = 65536) -> None:
    """
    Send *data* while what comes back is read in pieces of *size*, until it ends with *end*.
    """
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    last = b""
    while not last.endswith(end):
        more = connection.recv(size)
        assert more, last
        last = (last + more)[-64:]
    sender.join()


CUTS: Final = [
    pytest.param({}, 0, id="whole"),
    pytest.param({"KINDS": 1}, 0, id="alike"),
    pytest.param({"RECV": 1000}, 0, id="short reads"),
    pytest.param({"PIECES": 97}, 0, id="pieces"),
    pytest.param({"PIECES": 7, "RECV": 777, "SEED": 7}, 0, id="small pieces"),
    pytest.param({"ROOM": 2048}, 0, id="sends that block"),
    pytest.param({"PIECES": 31, "ROOM": 2048, "RECV": 4093, "KINDS": 1}, 4, id="all at once, on a busy machine"),
]


@pytest.mark.parametrize(("words", "beside"), CUTS)
def test_lines_beyond_number(lab: Lab, words: dict[str, int], beside: int) -> None:
    """
    Every publication and every delivery is counted once, however many one call carries and however they are cut.
    """
    connection = speak(lab, NATS, **words)
    exchange(connection, b'CONNECT {"verbose":false}\r\nPING\r\n', b"PONG\r\n")
    kinds = words.get("KINDS", 3)
    wire = b"".join(b"PUB %s 2\r\nhi\r\n" % (b"g.h", b"i.j", b"k.l")[at % kinds] for at in range(MANY))
    with busy(beside):
        exchange(connection, wire + b"PING\r\n", b"PONG\r\n", 1000 if words else 65536)

    port, truth = connection.getpeername()[1], 1 + 2 + 2 * MANY  # CONNECT, PING, publications, deliveries
    lab.until(lambda: requests_of(lab.served(port, Protocol.NATS)) >= truth, "the last message")
    series = lab.served(port, Protocol.NATS)
    assert truth == requests_of(series)
    assert {Outcome.OK} == {one.outcome for one in series}
    assert 2 + 2 * kinds == len({one.endpoint for one in series})
    assert {} == lab.lost()


@pytest.mark.parametrize(("words", "beside"), [CUTS[0], CUTS[2], CUTS[4], CUTS[5]])
def test_commands_beyond_number(lab: Lab, words: dict[str, int], beside: int) -> None:
    """
    Of a pipeline that is longer than what can be in flight, what is seen and what is lost make the truth.
    """
    connection = speak(lab, REDIS, **words)
    with busy(beside):
        exchange(connection, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n" * MANY + b"*1\r\n$4\r\nquit\r\n", b"+OK\r\n")

    port = connection.getpeername()[1]

    def told() -> int:
        return requests_of(lab.served(port, Protocol.REDIS)) + sum(lab.lost().values())

    lab.until(lambda: told() >= MANY + 1, "the last answer")
    assert MANY + 1 == told()
    assert {"pipeline_full"} == lab.lost().keys()


PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS: Final = b"\0\0\6\4\0\0\0\0\0\0\3\0\0\0\x64"
TWO: Final = """
connection = listener.accept()[0]
connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
held = b""
while len(held) < FIRST:
    held += connection.recv(1)
connection.sendall(bytes.fromhex("SETTINGS"))
while len(held) < ALL:
    held += connection.recv(65536)
connection.sendall(bytes.fromhex("0000010105000000 0188"))
time.sleep(60)
"""


@pytest.mark.parametrize("first", [0, 1, 3, 4, 11, 23])
def test_a_preface_of_single_bytes_crossed_by_settings(lab: Lab, first: int) -> None:
    """
    HTTP/2 is known whose server says its settings before the client's preface, sent byte by byte, is complete.
    """
    wire = PREFACE + SETTINGS + b"\0\0\3\1\5\0\0\0\1\x82\x86\x84"
    code = TWO.replace("SETTINGS", SETTINGS.hex()).replace("FIRST", str(first)).replace("ALL", str(len(wire)))
    connection = lab.stream(lab.serve(code))
    heard = b""
    for at in range(len(wire)):
        if at == first:
            while len(heard) < len(SETTINGS):
                heard += connection.recv(65536)
        connection.sendall(wire[at : at + 1])
    assert connection.recv(65536)

    port = connection.getpeername()[1]
    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP2)) >= 1, "the request")
    assert [1] == [one.requests for one in lab.series() if one.port == port]
    assert {} == lab.lost()


PIECEMEAL: Final = """
connection = listener.accept()[0]
wire = bytes.fromhex("WIRE")
for at in range(0, len(wire), 1000):
    os.writev(connection.fileno(), [wire[i:i + 1] for i in range(at, min(at + 1000, len(wire)))])
connection.recv(1)
connection.close()
time.sleep(60)
"""


STREAMS: Final = [b"\0\0\3\1\5\0\0" + (2 * at + 1).to_bytes(2, "big") + b"\x82\x86\x84" for at in range(61)]
GETS: Final = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n" * 7


@pytest.mark.parametrize(
    ("wire", "protocol", "truth"),
    [(PREFACE + SETTINGS + b"".join(STREAMS), Protocol.HTTP2, 61), (GETS, Protocol.HTTP1, 7)],
    ids=["http2", "http1"],
)
def test_calls_of_many_pieces(lab: Lab, wire: bytes, protocol: Protocol, truth: int) -> None:
    """
    What a client hands over in pieces of one byte each is recognised and counted as what is whole.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        code = PIECEMEAL.replace("listener.accept()[0]", f"socket.create_connection(('127.0.0.1', {port}))")
        lab.run(sys.executable, "-c", "import os, socket, time\n" + code.replace("WIRE", wire.hex()))
        connection = listener.accept()[0]
        with connection:
            connection.settimeout(DEADLINE_S)
            held = b""
            while len(held) < len(wire):
                held += connection.recv(65536)

    lab.until(lambda: requests_of(lab.called(port, protocol)) >= truth, "the requests, which nobody answers")
    assert [(Outcome.NO_RESPONSE, truth)] == [(one.outcome, one.requests) for one in lab.series() if one.port == port]
    assert {} == lab.lost()


def test_a_kernel_without_loops_is_served(tmp_path: Path) -> None:
    """
    The plain loops that kernels before 5.17 are given pass the verifier too.
    """
    kernel = Kernel(Path(f"/sys/fs/bpf/meshlens-test-bounded-{os.getpid()}"), {"BOUNDED": 1}, {}, tmp_path, frozenset())
    try:
        kernel.load("process_lifetime")
        kernel.load("socket_l7", fallback=True)
        walked = [figure.instructions for figure in kernel.figures("socket_l7")]
    finally:
        kernel.close(remove=True)

    assert 100_000 < max(walked) < 1_000_000
