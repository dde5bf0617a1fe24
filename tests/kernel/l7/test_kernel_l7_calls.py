"""
Whatever call moves the bytes, and whoever holds the descriptor: each request is counted once, where it belongs.
"""

from __future__ import annotations

import socket
import subprocess
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from services.probe_manager.loaded import PREFERRED
from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.lab import accepts, free_port, requests_of

if TYPE_CHECKING:
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

TIMES: Final = 101
REQUEST: Final = b"GET /orders/4711/lines?page=3 HTTP/1.1\r\nHost: shop\r\n\r\n"
ANSWER: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"
HEAD: Final = f"REQUEST, ANSWER = {REQUEST!r}, {ANSWER!r}\n"
RING: Final = Path(__file__).with_name("ring_server.c")


def ask(connection: socket.socket, times: int = TIMES) -> None:
    """
    Ask so often, each time for the whole answer.
    """
    for _ in range(times):
        connection.sendall(REQUEST)
        got = b""
        while len(got) < len(ANSWER):
            more = connection.recv(65536)
            assert more, got
            got += more
        assert ANSWER == got


def counted(lab: Lab, port: int) -> Counter[tuple[int, int, int, int]]:
    """
    Return how many requests there are by endpoint, status, bytes of a request, and bytes of a response.
    """
    found: Counter[tuple[int, int, int, int]] = Counter()
    for one in lab.served(port, Protocol.HTTP1):
        sizes = one.request_bytes / one.requests, one.response_bytes / one.requests
        assert [int(size) for size in sizes] == list(sizes)
        found[one.endpoint, one.status, int(sizes[0]), int(sizes[1])] += one.requests
    return found


def settled(lab: Lab, port: int, times: int) -> list[int]:
    """
    Return the requests of each endpoint, status and size once there are so many.
    """
    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP1)) >= times, f"{times} requests")
    found = counted(lab, port)
    assert {(503, len(REQUEST), len(ANSWER))} == {key[1:] for key in found}
    return list(found.values())


def test_bytes_in_many_buffers(lab: Lab) -> None:
    """
    A request read into pieces of an iovec, and an answer sent from pieces, are what they are in one piece.
    """
    port = lab.serve(
        HEAD + "c, _ = listener.accept()\n"
        "while True:\n"
        "    pieces = [bytearray(size) for size in (1, 3, 0, 17, 2, 4000)]\n"
        "    if not c.recvmsg_into(pieces)[0]: break\n"
        "    c.sendmsg([ANSWER[:1], b'', ANSWER[1:10], ANSWER[10:11], ANSWER[11:40], ANSWER[40:]])\n"
        "    pieces = [bytearray(size) for size in (30, 1, 4000)]\n"
        "    if not os.readv(c.fileno(), pieces): break\n"
        "    os.writev(c.fileno(), [ANSWER[:12], ANSWER[12:13], ANSWER[13:]])\n"
    )
    ask(lab.stream(port), 2 * TIMES)

    assert [2 * TIMES] == settled(lab, port, 2 * TIMES)
    assert {} == lab.lost()


def test_calls_that_would_block(lab: Lab) -> None:
    """
    Calls that end with EAGAIN move nothing and count nothing; an answer sent in many parts has all its bytes.
    """
    body = 1_000_003
    port = lab.serve(
        "import select\n"
        "c, _ = listener.accept(); c.setblocking(False); c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)\n"
        f"answer = b'HTTP/1.1 200 OK\\r\\nContent-Length: {body}\\r\\n\\r\\n' + bytes({body})\n"
        "while True:\n"
        "    try:\n"
        "        if not c.recv(65536): break\n"
        "    except BlockingIOError:\n"
        "        select.select([c], [], []); continue\n"
        "    rest = memoryview(answer)\n"
        "    while rest:\n"
        "        try: rest = rest[c.send(rest):]\n"
        "        except BlockingIOError: select.select([], [c], [])\n"
    )
    connection, received = lab.stream(port), 0
    for _ in range(11):
        connection.sendall(REQUEST)
        wanted = received + body + len(f"HTTP/1.1 200 OK\r\nContent-Length: {body}\r\n\r\n")
        while received < wanted:
            received += len(connection.recv(1 << 20))
    connection.close()

    lab.until(
        lambda: sum(one.response_bytes for one in lab.served(port, Protocol.HTTP1)) >= received, "the last of the bytes"
    )
    (series,) = lab.served(port, Protocol.HTTP1)
    assert (11, 200, received) == (series.requests, series.status, series.response_bytes)
    assert {} == lab.lost()


def test_a_half_closed_connection(lab: Lab) -> None:
    """
    A client that says it has nothing more to send still gets its answer, and the request is one that succeeded.
    """
    port = lab.serve(
        HEAD + "while True:\n"
        "    c, _ = listener.accept()\n"
        "    while c.recv(65536): pass\n"
        "    c.sendall(ANSWER); c.close()\n"
    )
    for _ in range(TIMES):
        connection = lab.stream(port)
        connection.sendall(REQUEST)
        connection.shutdown(socket.SHUT_WR)
        got = b""
        while more := connection.recv(65536):
            got += more
        assert ANSWER == got

    assert [TIMES] == settled(lab, port, TIMES)
    assert {} == lab.lost()


def test_a_reset_in_the_middle_of_an_answer(lab: Lab) -> None:
    """
    An answer that was begun counts with its status, and one that never began is missing; no request counts twice.
    """
    port = lab.serve(
        HEAD + "import struct\n"
        "for number in range(1 << 30):\n"
        "    c, _ = listener.accept(); c.recv(65536)\n"
        "    if number % 2: c.sendall(ANSWER[:-1])\n"
        "    c.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0)); c.close()\n"
    )
    for _ in range(TIMES):
        connection = lab.stream(port)
        connection.sendall(REQUEST)
        try:
            while connection.recv(65536):
                pass
        except ConnectionResetError:
            pass

    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP1)) >= TIMES, f"{TIMES} requests")
    found = Counter[tuple[Outcome, int]]()
    for one in lab.served(port, Protocol.HTTP1):
        found[one.outcome, one.status] += one.requests
    assert {(Outcome.SERVER_ERROR, 503): TIMES // 2, (Outcome.NO_RESPONSE, 0): TIMES // 2 + 1} == found
    assert {} == lab.lost()


@pytest.mark.parametrize(
    "then",
    [
        "pid = os.fork()\nif not pid: serve(c); os._exit(0)\nc.close(); os.waitpid(pid, 0)",
        "d = os.dup(c.fileno()); c.close(); serve(socket.socket(fileno=d))",
        "one = c.dup()\nwhile one_more(c) and one_more(one): pass",
        "pid = os.fork()\nif not pid: relay(c, a, b); os._exit(0)\nrelay(c, b, a); os.waitpid(pid, 0)",
        "n = socket.socket(fileno=os.dup2(c.fileno(), 77)); c.close(); serve(n)",
    ],
    ids=["fork", "dup", "both", "in turn", "dup2"],
)
def test_descriptors_of_one_connection(lab: Lab, then: str) -> None:
    """
    A connection is one connection, through whichever descriptor and by whichever of the processes that share it.
    """
    port = lab.serve(
        HEAD + "def one_more(s):\n"
        "    if not s.recv(65536): return False\n"
        "    s.sendall(ANSWER); return True\n"
        "def serve(s):\n"
        "    while one_more(s): pass\n"
        "def relay(s, mine, other):\n"
        "    while os.read(mine[0], 1):\n"
        "        more = one_more(s); os.write(other[1], b'x')\n"
        "        if not more: return\n"
        "a, b = os.pipe(), os.pipe(); os.write(a[1], b'x')\n"
        "c, _ = listener.accept()\n" + then + "\n"
    )
    ask(lab.stream(port))

    assert [TIMES] == settled(lab, port, TIMES)
    assert {} == lab.lost()


def test_a_descriptor_that_was_passed_on(lab: Lab) -> None:
    """
    A connection that one process accepted and another one serves is counted once.
    """
    port = lab.serve(
        HEAD + "near, far = socket.socketpair(socket.AF_UNIX)\n"
        "if not os.fork():\n"
        "    near.close()\n"
        "    while True:\n"
        "        _, (fd,), _, _ = socket.recv_fds(far, 1, 1)\n"
        "        c = socket.socket(fileno=fd)\n"
        "        while c.recv(65536): c.sendall(ANSWER)\n"
        "        c.close()\n"
        "far.close()\n"
        "while True:\n"
        "    c, _ = listener.accept(); socket.send_fds(near, [b'x'], [c.fileno()]); c.close()\n"
    )
    for times in (TIMES, 1, 13):
        connection = lab.stream(port)
        ask(connection, times)
        connection.close()

    assert TIMES + 14 == sum(settled(lab, port, TIMES + 14))
    assert {} == lab.lost()


def test_one_port_of_two_programs(lab: Lab) -> None:
    """
    With SO_REUSEPORT each of two programs has the requests that it says it served.
    """
    port = free_port()
    code = (
        "import os, socket, sys\n"
        "s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)\n"
        f"s.bind(('127.0.0.1', {port})); s.listen(64)\n"
        "while True:\n"
        "    c, _ = s.accept()\n"
        "    while c.recv(65536):\n"
        "        c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 1\\r\\n\\r\\n' + sys.argv[1].encode())\n"
        "    c.close()\n"
    )
    for name in "ab":
        lab.run("python3", "-c", code, name)
    told: Counter[str] = Counter()
    lab.until(lambda: accepts(port), "two programs")

    def both() -> bool:
        told[asked(lab, port)] += 1
        return len(told) == 2 and told.total() > TIMES

    lab.until(both, "both programs")

    total = told.total()
    lab.until(lambda: requests_of(lab.served(port, Protocol.HTTP1)) >= total, f"{total} requests")
    found = Counter[int]()
    for one in lab.served(port, Protocol.HTTP1):
        found[one.instance] += one.requests
    assert sorted(told.values()) == sorted(found.values())
    assert {} == lab.lost()


def asked(lab: Lab, port: int) -> str:
    """
    Return which program answered one request on a connection of its own.
    """
    connection = lab.stream(port)
    connection.sendall(REQUEST)
    connection.shutdown(socket.SHUT_WR)
    got = b""
    while more := connection.recv(65536):
        got += more
    return got[-1:].decode()


def test_a_number_that_is_used_again(lab: Lab) -> None:
    """
    The next connection has the same descriptor and another protocol; neither is taken for the other.
    """
    port = lab.serve(
        HEAD + "while True:\n"
        "    c, _ = listener.accept(); n = 0\n"
        "    while piece := c.recv(65536):\n"
        "        n += 1; c.sendall(ANSWER if piece[:1] == b'G' else b'+PONG\\r\\n')\n"
        "    c.close()\n"
    )
    for _ in range(13):
        connection = lab.stream(port)
        ask(connection, 3)
        connection.close()
        connection = lab.stream(port)
        for _ in range(5):
            connection.sendall(b"*1\r\n$4\r\nPING\r\n")
            assert b"+PONG\r\n" == connection.recv(65536)
        connection.close()

    assert [39] == settled(lab, port, 39)
    lab.until(lambda: requests_of(lab.served(port, Protocol.REDIS)) >= 65, "65 commands")
    assert 65 == requests_of(lab.served(port, Protocol.REDIS))
    assert {} == lab.lost()


def test_an_answer_that_is_spliced(lab: Lab) -> None:
    """
    Bytes that never lie in user memory cannot be read: the requests are stated as lost, none is missing.
    """
    port = lab.serve(
        HEAD + "ends = os.pipe()\n"
        "while True:\n"
        "    c, _ = listener.accept()\n"
        "    while c.recv(65536):\n"
        "        os.write(ends[1], ANSWER); os.splice(ends[0], c.fileno(), len(ANSWER))\n"
        "    c.close()\n"
    )
    ask(lab.stream(port))

    lab.until(
        lambda: requests_of(lab.served(port, Protocol.HTTP1)) + sum(lab.lost().values()) >= TIMES, f"{TIMES} requests"
    )
    assert {"content_not_seen": TIMES} == lab.lost()
    assert 0 == requests_of(lab.served(port, Protocol.HTTP1))


def test_calls_through_a_ring(lab: Lab) -> None:
    """
    What moves by io_uring is stated as not seen where the kernel tells of it, and nothing is made up where it does not.
    """
    program = lab.folder / "ring"
    subprocess.run(["gcc", "-O1", "-o", program, RING], check=True)
    port = free_port()
    server = lab.run(program, port)
    lab.until(lambda: accepts(port) or server.poll() is not None, "the ring")
    if server.poll() == 77:
        pytest.skip("optional: this kernel has no io_uring")
    ask(lab.stream(port))

    seen = lab.kernel.probes["socket_l7"].variant == PREFERRED
    if seen:
        lab.until(lambda: sum(lab.lost().values()) >= TIMES, f"{TIMES} requests")
    assert ({"content_not_seen": TIMES} if seen else {}) == lab.lost()
    assert 0 == sum(one.requests for one in lab.series() if one.port == port)
