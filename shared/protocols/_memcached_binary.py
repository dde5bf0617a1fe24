"""
Memcached's binary protocol: packets with a header of 24 bytes.

https://github.com/memcached/memcached/blob/master/doc/protocol-binary.txt
"""

from __future__ import annotations

from typing import Final

import msgspec

from shared.errors import Malformed
from shared.protocols._base import MASK

REQUEST: Final = 0x80
RESPONSE: Final = 0x81
HEADER_BYTES: Final = 24
JUDGED_BYTES: Final = 12
"""Up to the length of the body: enough to tell what it is."""
BODY_LIMIT: Final = 1024 * 1024 * 1024
KEY_LIMIT: Final = 250

_NAMES: Final = (
    *("get", "set", "add", "replace", "delete", "incr", "decr", "quit", "flush_all", "getq", "noop", "version"),
    *("getk", "getkq", "append", "prepend", "stats", "setq", "addq", "replaceq", "deleteq", "incrq", "decrq"),
    *("quitq", "flush_allq", "appendq", "prependq", "verbosity", "touch", "gat", "gatq"),
)
OPCODES: Final[dict[int, str]] = {
    **dict(enumerate(_NAMES)),
    0x20: "sasl_list_mechs",
    0x21: "sasl_auth",
    0x22: "sasl_step",
    0x23: "gatk",
    0x24: "gatkq",
}
QUIET: Final = frozenset(code for code, name in OPCODES.items() if name.endswith("q"))
EXTRAS: Final[dict[int, int]] = {
    **dict.fromkeys((0x01, 0x02, 0x03, 0x11, 0x12, 0x13), 8),
    **dict.fromkeys((0x05, 0x06, 0x15, 0x16), 20),
    **dict.fromkeys((0x1B, 0x1C, 0x1D, 0x1E, 0x23, 0x24), 4),
}
"""Bytes of extras in a request; 0 where nothing is said, and a flush may have 4."""
FLUSHES: Final = (0x08, 0x18)

FOUND_NOTHING: Final = 1
NO_FAILURE: Final = (0, 1, 2, 5, 0x21)
"""Success, not found, exists, not stored, continue the authentication."""
SERVERS_FAULT: Final = (7, 0x82, 0x83, 0x84, 0x85, 0x86)


class Packet(msgspec.Struct, frozen=True):
    """
    What the first bytes of a header tell.
    """

    opcode: int
    extras: int
    key: int
    body: int
    status: int
    """Of a request: its virtual bucket."""


def name_of(opcode: int) -> str:
    """
    Return the text protocol's name of *opcode*: quiet and key-returning variants are the same operation.
    """
    name = OPCODES[opcode]
    if name in ("getk", "getkq", "getq"):
        return "get"
    if name in ("gatk", "gatkq", "gatq"):
        return "gat"
    return name[:-1] if opcode in QUIET else name


def packet_at(head: bytes, at: int, magic: int) -> Packet | None:
    """
    Return the packet whose header begins at *at*, None when none does or too little of it is there.
    """
    if len(head) - at < JUDGED_BYTES or head[at] != magic:
        return None
    opcode, extras, kind = head[at + 1], head[at + 4], head[at + 5]
    key, status = (int.from_bytes(head[at + n : at + n + 2], "big") for n in (2, 6))
    body = int.from_bytes(head[at + 8 : at + 12], "big")
    if opcode not in OPCODES or kind or key > KEY_LIMIT or not key + extras <= body <= BODY_LIMIT:
        return None
    if magic == REQUEST and extras != EXTRAS.get(opcode, 0) and not (opcode in FLUSHES and extras == 4):
        return None
    return Packet(opcode, extras, key, body, status)


def mask_packets(head: bytes, magic: int) -> bytes:
    """
    Return the headers with keys, values, extras, opaques and versions of items overwritten.
    """
    out = bytearray(len(head))
    at = 0
    while (packet := packet_at(head, at, magic)) is not None:
        out[at : at + JUDGED_BYTES] = head[at : at + JUDGED_BYTES]
        start = at + HEADER_BYTES + packet.extras
        at += HEADER_BYTES + packet.body
        stop = min(at, len(head))
        if start < stop:
            out[start:stop] = bytes([MASK]) * (stop - start)
    return bytes(out)


def packet_length(buffer: bytes, magic: int) -> int | None:
    """
    Return the length of the first packet, None when its end is not there yet.

    Raises:
        Malformed: no packet has such a header.
    """
    if len(buffer) < JUDGED_BYTES:
        if buffer[:1] != bytes([magic]):
            raise Malformed("memcached: no packet begins like this")
        return None
    packet = packet_at(buffer, 0, magic)
    if packet is None:
        raise Malformed("memcached: a header that contradicts itself")
    length = HEADER_BYTES + packet.body
    return length if length <= len(buffer) else None
