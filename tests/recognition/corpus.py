"""
What recognition is measured on: the golden captures of every protocol, variants of them, and the neighbours.

Everything comes out of seeded dice, so the same tree gives the same corpus.
"""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from shared.messages.kernel import Protocol
from shared.protocols import protocols
from tests.recognition.dice import number, word
from tests.recognition.neighbours import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DATA: Final = Path(__file__).parents[1] / "data"
REQUEST_HEAD: Final = 256
RESPONSE_HEAD: Final = 128
EACH: Final = 60
"""Examples of one neighbour, and of one generator."""
VARIANTS: Final = 160
"""The most examples that the captures of one protocol give."""
IN_ORDER: Final = frozenset((Protocol.HTTP1, Protocol.REDIS, Protocol.MEMCACHED, Protocol.POSTGRESQL))
"""Protocols whose clients send requests one behind the other without waiting."""


class Example(msgspec.Struct, frozen=True, kw_only=True):
    """
    One conversation, and whose it is.
    """

    family: str
    protocol: Protocol
    case: str = ""
    """Of a golden capture: its name."""
    greeting: bytes = b""
    request: bytes
    answer: bytes

    @property
    def heads(self) -> tuple[bytes, bytes]:
        """
        What the kernel would send up of it.
        """
        return self.request[:REQUEST_HEAD], self.answer[:RESPONSE_HEAD]


def captured() -> Iterator[Example]:
    """
    Yield the golden captures.
    """
    for known in protocols().values():
        for path in sorted((DATA / known.name).glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            request, answer = (content[part].encode("latin-1") for part in ("request", "response"))
            yield Example(family=known.name, case=path.stem, protocol=known.number, request=request, answer=answer)


def variants(example: Example, dice: random.Random) -> Iterator[Example]:
    """
    Yield it whole, with less of its answer, and pipelined where that is done.
    """
    yield example
    for _ in range(3):
        kept = dice.randrange(min(16, len(example.answer)), min(len(example.answer), RESPONSE_HEAD) + 1)
        yield msgspec.structs.replace(example, answer=example.answer[: max(kept, 1)] if example.answer else b"")
    if example.protocol in IN_ORDER:
        times = dice.randrange(2, 5)
        yield msgspec.structs.replace(example, request=example.request * times, answer=example.answer * times)


def http(dice: random.Random) -> tuple[bytes, bytes]:
    """
    A page.
    """
    verb = dice.choice(["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
    path = "/".join([""] + [dice.choice([word(dice), str(number(dice))]) for _ in range(dice.randrange(1, 5))])
    lines = [
        f"{verb} {path} HTTP/1.{dice.randrange(2)}",
        f"Host: {word(dice)}",
        f"X-{word(dice)}: {word(dice)}",
        "",
        "",
    ]
    status = dice.choice(["200 OK", "404 Not Found", "500 Internal Server Error", "302 Found", "204 No Content"])
    return "\r\n".join(lines).encode(), f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()


def redis(dice: random.Random) -> tuple[bytes, bytes]:
    """
    A command.
    """
    words = [
        dice.choice(["GET", "SET", "HGET", "LPUSH", "EXPIRE", "del", "incr"]),
        f"{word(dice)}:{number(dice)}",
        word(dice),
    ]
    asked = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
    return asked, dice.choice([b"+OK\r\n", b":1\r\n", b"$-1\r\n", b"$3\r\nabc\r\n", b"-ERR wrong\r\n"])


def memcached(dice: random.Random) -> tuple[bytes, bytes]:
    """
    A command of the text protocol.
    """
    key, value = f"{word(dice)}:{number(dice)}", word(dice)
    return dice.choice(
        [
            (f"get {key}\r\n".encode(), f"VALUE {key} 0 {len(value)}\r\n{value}\r\nEND\r\n".encode()),
            (f"gets {key} {key}2\r\n".encode(), b"END\r\n"),
            (f"set {key} 0 {number(dice)} {len(value)}\r\n{value}\r\n".encode(), b"STORED\r\n"),
            (f"incr {key} {number(dice)}\r\n".encode(), f"{number(dice)}\r\n".encode()),
            (f"delete {key}\r\n".encode(), dice.choice([b"DELETED\r\n", b"NOT_FOUND\r\n"])),
            (f"mg {key} v t\r\n".encode(), dice.choice([b"EN\r\n", b"VA 2 t1\r\nhi\r\n"])),
        ]
    )


def dns(dice: random.Random) -> tuple[bytes, bytes]:
    """
    A question.
    """
    labels = [word(dice), f"{word(dice)}{number(dice, 99)}", "example", "org"]
    name = b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"
    asked = name + struct.pack("!HH", dice.choice([1, 28, 15, 16, 33]), 1)
    ident = dice.randrange(65536)
    return (
        struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0) + asked,
        struct.pack("!HHHHHH", ident, 0x8180 | dice.choice([0, 3]), 1, 0, 0, 0) + asked,
    )


def postgresql(dice: random.Random) -> tuple[bytes, bytes]:
    """
    A statement.
    """
    sql = f"select {word(dice)} from {word(dice)}s where id = {number(dice)}".encode() + b"\0"
    return b"Q" + struct.pack("!I", len(sql) + 4) + sql, b"T\0\0\0\x06\0\0C\0\0\0\x0dSELECT 0\0Z\0\0\0\5I"


def mysql(dice: random.Random) -> tuple[bytes, bytes]:
    """
    A statement.
    """
    sql = f"select {word(dice)} from {word(dice)}s where id = {number(dice)}".encode()
    return struct.pack("<I", len(sql) + 1) + b"\3" + sql, b"\7\0\0\1\0\0\0\2\0\0\0"


def thrift(dice: random.Random) -> tuple[bytes, bytes]:
    """
    A call, in one of four ways.
    """
    name = f"{word(dice)}{word(dice).title()}".encode()
    if dice.random() < 0.5:
        head = [b"\x80\1\0" + bytes([kind]) + struct.pack(">I", len(name)) + name + bytes(4) for kind in (1, 2)]
    else:
        head = [b"\x82" + bytes([kind << 5 | 1, dice.randrange(128), len(name)]) + name for kind in (1, 2)]
    asked, answer = head[0] + b"\0", head[1] + b"\0"
    if dice.random() < 0.5:
        return asked, answer
    return struct.pack(">I", len(asked)) + asked, struct.pack(">I", len(answer)) + answer


def dubbo(dice: random.Random) -> tuple[bytes, bytes]:
    """
    A call.
    """
    words = [b"2.0.2", f"com.example.{word(dice).title()}Service".encode(), b"0.0.0", word(dice).encode(), b"I"]
    body = b"".join(bytes([len(one)]) + one for one in words) + b"\x97HZ"
    ident = struct.pack(">Q", number(dice))
    return (
        b"\xda\xbb\xc2\0" + ident + struct.pack(">I", len(body)) + body,
        b"\xda\xbb\2\x14" + ident + b"\0\0\0\2\x94\x91",
    )


GENERATORS: Final[dict[str, tuple[Protocol, Callable[[random.Random], tuple[bytes, bytes]]]]] = {
    "http": (Protocol.HTTP1, http),
    "redis": (Protocol.REDIS, redis),
    "memcached": (Protocol.MEMCACHED, memcached),
    "dns": (Protocol.DNS, dns),
    "postgresql": (Protocol.POSTGRESQL, postgresql),
    "mysql": (Protocol.MYSQL, mysql),
    "thrift": (Protocol.THRIFT, thrift),
    "dubbo": (Protocol.DUBBO, dubbo),
}


def generated() -> Iterator[Example]:
    """
    Yield what the generators make.
    """
    for name, (protocol, make) in GENERATORS.items():
        dice = random.Random(name)
        for _ in range(EACH):
            request, answer = make(dice)
            yield Example(family=name, protocol=protocol, request=request, answer=answer)


def halves() -> Iterator[Example]:
    """
    Yield messages whose beginning is not there: what is left of them is nobody's.
    """
    dice = random.Random("halves")
    for example in captured():
        if len(example.request) > 40 and b"\n" not in example.request and example.protocol is not Protocol.DNS:
            at = dice.randrange(17, len(example.request) - 12)
            yield msgspec.structs.replace(
                example,
                family="half messages",
                protocol=Protocol.UNKNOWN,
                request=example.request[at:],
                answer=example.answer[min(at, 9) :],
            )


def neighbours() -> Iterator[Example]:
    """
    Yield what other programs say.
    """
    for family, make in FAMILIES.items():
        dice = random.Random(family)
        for _ in range(EACH):
            greeting, request, answer = make(dice)
            yield Example(family=family, protocol=Protocol.UNKNOWN, greeting=greeting, request=request, answer=answer)


def corpus() -> list[Example]:
    """
    Return everything.
    """
    found: list[Example] = []
    dice = random.Random("variants")
    by_family: dict[str, list[Example]] = {}
    for example in captured():
        by_family.setdefault(example.family, []).extend(variants(example, dice))
    for examples in by_family.values():
        found += examples if len(examples) <= VARIANTS else dice.sample(examples, VARIANTS)
    return [*found, *generated(), *halves(), *neighbours()]
