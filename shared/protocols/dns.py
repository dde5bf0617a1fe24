"""
DNS messages in datagrams, and behind their length on streams.

https://www.rfc-editor.org/rfc/rfc1035
"""

from __future__ import annotations

import contextlib
import ipaddress
import struct
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols._base import Parsed, WireProtocol, blank
from shared.protocols._collapse import ID, collapsed, may_stay

HEADER: Final = struct.Struct("!HHHHHH")
PREFIX: Final = 2
"""Bytes that tell a message's length on a stream."""
RECORD: Final = struct.Struct("!HHIH")
QUESTION: Final = struct.Struct("!HH")

NAME_LIMIT: Final = 255
LABELS_LIMIT: Final = 128
JUMPS_LIMIT: Final = 16
ANSWERS_SHOWN: Final = 4
RECORDS_LIMIT: Final = 256
"""A datagram of 64 KiB holds more records than anybody needs to see."""

RESPONSE_BIT: Final = 0x8000
TRUNCATED_BIT: Final = 0x0200

TYPES: Final = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 17: "RP", 24: "SIG",
    25: "KEY", 28: "AAAA", 29: "LOC", 33: "SRV", 35: "NAPTR", 36: "KX", 37: "CERT", 39: "DNAME", 41: "OPT",
    43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3", 51: "NSEC3PARAM", 52: "TLSA",
    64: "SVCB", 65: "HTTPS", 99: "SPF", 250: "TSIG", 251: "IXFR", 252: "AXFR", 255: "ANY", 256: "URI", 257: "CAA",
}  # fmt: skip
"""https://www.iana.org/assignments/dns-parameters"""

CODES: Final = {
    0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED", 6: "YXDOMAIN",
    7: "YXRRSET", 8: "NXRRSET", 9: "NOTAUTH", 10: "NOTZONE", 11: "DSOTYPENI",
}  # fmt: skip

CALLER_AT_FAULT: Final = frozenset({1, 3})
"""FORMERR and NXDOMAIN; every other code but NOERROR is the server's failure."""

OPEN_DATA: Final = frozenset({1, 2, 5, 12, 28})
NAMES: Final = frozenset({2, 5, 12})
"""Types whose data is a name."""
TOKEN: Final = 12
"""A label of this length that is an id is a token; shorter ones tell pods and shards apart."""
"""Records whose data may leave the node: addresses and names of hosts."""


class Header(msgspec.Struct, frozen=True):
    """
    The first twelve bytes.
    """

    id: int
    flags: int
    questions: int
    records: tuple[int, int, int]
    """Answers, authorities, additional ones."""

    @property
    def response(self) -> bool:
        """
        Return whether it is an answer.
        """
        return bool(self.flags & RESPONSE_BIT)


class Record(msgspec.Struct, frozen=True):
    """
    One resource record; its data lies from *start* to *end*.
    """

    type: int
    section: int
    start: int
    end: int


class Dns(WireProtocol):
    """
    Questions and answers share one format and one transaction id.
    """

    name = "dns"
    number = Protocol.DNS
    specification = "https://www.rfc-editor.org/rfc/rfc1035"
    family = "dns"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: the flags leave little room, the ids must agree, and the question must be readable.
        """
        request, response = _unframed(request, response=False), _unframed(response, response=True)
        try:
            asked = _header(request, response=False)
            name, at = _name(request, HEADER.size)
            kind, group = QUESTION.unpack_from(request, at)
        except (Malformed, struct.error):
            return 0.0
        sure = 0.85 if kind in TYPES and group in (1, 3, 4, 255) else 0.4
        if not _plausible(name):
            sure -= 0.3
        if not response:
            return sure
        try:
            answered = _header(response, response=True)
        except Malformed:
            return 0.0
        return sure + 0.14 if answered.id == asked.id else 0.1

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return both messages; names and addresses stay, other record data (text, keys, cookies) becomes zeros.
        """
        return _mask_any(request, response=False), _mask_any(response, response=True)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the question, the response code and the first answers.
        """
        request, response = _unframed(request, response=False), _unframed(response, response=True)
        attributes: dict[str, str | int] = {}
        name, kind = _asked(request, attributes) if request else ("", "")
        outcome, code = Outcome.NO_RESPONSE, 0
        if response:
            answered = _header(response, response=True)
            code = answered.flags & 0xF
            outcome = _outcome(code)
            attributes["dns.response.code"] = CODES.get(code, f"RCODE{code}")
            answers = _answers(response, answered)
            if answers:
                attributes["dns.answers"] = ",".join(answers)
            if code:
                attributes["error.type"] = CODES.get(code, f"RCODE{code}")
        return Parsed(name=name, operation=kind, outcome=outcome, status=code, attributes=attributes)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the message; None while records that its header announces are missing.
        """
        if len(buffer) < HEADER.size + PREFIX and not _begins(buffer, response=response):
            return None
        if _unframed(buffer, response=response) is not buffer:
            length = PREFIX + int.from_bytes(buffer[:PREFIX], "big")
            return length if length <= len(buffer) else None
        header = _header(buffer, response=response)
        at = HEADER.size
        for _ in range(header.questions):
            end = _skip_name(buffer, at)
            if end is None or end + QUESTION.size > len(buffer):
                return None
            at = end + QUESTION.size
        for _ in range(min(sum(header.records), RECORDS_LIMIT)):
            end = _skip_name(buffer, at)
            if end is None or end + RECORD.size > len(buffer):
                return None
            at = end + RECORD.size + int(RECORD.unpack_from(buffer, end)[3])
        return at if at <= len(buffer) else None


PROTOCOL: WireProtocol = Dns()


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, str]:
    """
    Return the endpoint's name and the record type, and add to *attributes*.
    """
    _header(request, response=False)
    name, at = _name(request, HEADER.size)
    kind = TYPES.get(_u16(request, at), f"TYPE{_u16(request, at)}")
    attributes["dns.question.name"] = name
    attributes["dns.question.type"] = kind
    return f"{kind} {endpoint_name(name)}", kind


def endpoint_name(name: str) -> str:
    """
    Return *name* with its ids collapsed, and reverse look-ups as one endpoint for each tree.
    """
    labels = [collapsed(label.encode("ascii")) for label in name.split(".")]
    return ".".join([ID, *labels[-2:]] if name.endswith(".arpa") else labels)


def _header(message: bytes, *, response: bool) -> Header:
    if len(message) < HEADER.size:
        raise Malformed("dns: shorter than a header")
    identity, flags, questions, *records = HEADER.unpack_from(message)
    header = Header(identity, flags, questions, (records[0], records[1], records[2]))
    opcode = flags >> 11 & 0xF
    if header.response != response:
        raise Malformed("dns: a question where an answer should be, or the other way round")
    if opcode > 6 or opcode == 3 or flags & 0x40:
        raise Malformed(f"dns: flags {flags:#06x} mean nothing")
    if questions > 1 or (questions == 0 and not response):
        raise Malformed(f"dns: {questions} questions")
    if not response and (header.records[0] or flags & 0xF) and opcode == 0:
        raise Malformed("dns: a question that brings answers")
    return header


def _begins(message: bytes, *, response: bool) -> bool:
    """
    Return whether the header of a datagram is there.
    """
    try:
        _header(message, response=response)
    except Malformed:
        return False
    return True


def _unframed(message: bytes, *, response: bool) -> bytes:
    """
    Return the first message of a stream without the length before it, and anything else as it is.

    The one is never mistaken for the other: where a datagram counts its questions, a stream's message has its flags.
    """
    size = int.from_bytes(message[:PREFIX], "big")
    if len(message) < PREFIX + HEADER.size or size < HEADER.size:
        return message
    if _begins(message, response=response):
        return message
    inner = message[PREFIX : PREFIX + size]
    return inner if _begins(inner, response=response) else message


def _name(message: bytes, at: int) -> tuple[str, int]:
    """
    Return the name at *at*, compressed or not, and where the bytes behind it begin.
    """
    labels: list[str] = []
    behind, length = -1, 0
    jumps, first = 0, at == HEADER.size  # before the first name there is nothing to point to
    while True:
        if at >= len(message):
            raise Malformed("dns: a name runs out of the message")
        size = message[at]
        if size >= 0xC0:
            target = _u16(message, at) & 0x3FFF
            behind = at + 2 if behind < 0 else behind
            jumps += 1
            if target >= at or jumps > JUMPS_LIMIT or first:
                raise Malformed("dns: a name points forward or around")
            at = target
            continue
        if size > 63:
            raise Malformed(f"dns: a label of type {size >> 6}")
        at += 1
        if size == 0:
            return ".".join(labels) or ".", at if behind < 0 else behind
        length += size + 1
        if length > NAME_LIMIT or at + size > len(message):
            raise Malformed("dns: a name is too long")
        labels.append(_label(message[at : at + size]))
        at += size


def _skip_name(message: bytes, at: int) -> int | None:
    for _ in range(LABELS_LIMIT):
        if at >= len(message):
            return None
        size = message[at]
        if size >= 0xC0:
            return at + 2
        if size > 63:
            raise Malformed(f"dns: a label of type {size >> 6}")
        at += 1 + size
        if size == 0:
            return at
    raise Malformed("dns: a name of too many labels")


def _label(raw: bytes) -> str:
    return "".join(chr(c) if 0x21 <= c <= 0x7E and c not in b".\\{}" else f"\\{c:03d}" for c in raw.lower())


def _u16(message: bytes, at: int) -> int:
    if at + 2 > len(message):
        raise Malformed("dns: cut off")
    return int.from_bytes(message[at : at + 2], "big")


def _records(message: bytes, header: Header) -> tuple[list[Record], int]:
    """
    Return the records that are wholly there and can be read, and where they end.
    """
    at = HEADER.size
    found: list[Record] = []
    sections = [section for section in range(3) for _ in range(min(header.records[section], RECORDS_LIMIT))]
    with contextlib.suppress(Malformed):
        for _ in range(header.questions):
            end = _skip_name(message, at)
            if end is None or end + QUESTION.size > len(message):
                return found, at
            at = end + QUESTION.size
        for section in sections[:RECORDS_LIMIT]:
            end = _skip_name(message, at)
            if end is None or end + RECORD.size > len(message):
                break
            kind, _, _, length = RECORD.unpack_from(message, end)
            start = end + RECORD.size
            if start + length > len(message):
                break
            found.append(Record(kind, section, start, start + length))
            at = start + length
    return found, at


def _mask_any(message: bytes, *, response: bool) -> bytes:
    inner = _unframed(message, response=response)
    masked = _mask(inner, response=response)
    if inner is message or not any(masked):
        return masked.ljust(len(message), b"\0")
    return (message[:PREFIX] + masked).ljust(len(message), b"\0")


def _mask(message: bytes, *, response: bool) -> bytes:
    try:
        header = _header(message, response=response)
        records, end = _records(message, header)
        if not response:
            kind_at = _name(message, HEADER.size)[1]
            _u16(message, kind_at)
            end = max(end, min(kind_at + QUESTION.size, len(message)))
    except Malformed:
        return blank(message)
    out = bytearray(len(message))
    out[:end] = message[:end]
    for record in records:
        if record.type not in OPEN_DATA:
            out[record.start : record.end] = bytes(record.end - record.start)
    _cover_names(out, header, records)
    return bytes(out)


def _cover_names(out: bytearray, header: Header, records: list[Record]) -> None:
    """
    Overwrite the labels in *out* that are tokens or people.
    """
    at = HEADER.size
    for _ in range(header.questions):
        at = _cover_name(out, at, len(out)) + QUESTION.size
    for record in records:
        _cover_name(out, at, record.start)
        if record.type in NAMES:
            _cover_name(out, record.start, record.end)
        at = record.end


def _cover_name(out: bytearray, at: int, stop: int) -> int:
    """
    Overwrite what must not stay of the name that lies from *at* to *stop* at most, and return where it ends.
    """
    for _ in range(LABELS_LIMIT):
        size = out[at] if at < len(out) else 0
        if size == 0 or size > 63 or at + size >= stop:
            return at + (2 if size > 63 else 1)
        label = bytes(out[at + 1 : at + 1 + size])
        if not may_stay(label) and (size >= TOKEN or b"@" in label):
            out[at + 1 : at + 1 + len(label)] = b"0" * len(label)
        at += 1 + size
    return at


def _answers(message: bytes, header: Header) -> list[str]:
    shown: list[str] = []
    for record in _records(message, header)[0]:
        data = message[record.start : record.end]
        if record.section != 0 or len(shown) == ANSWERS_SHOWN:
            break
        if (record.type, len(data)) in ((1, 4), (28, 16)):
            shown.append(str(ipaddress.ip_address(data)))
        elif record.type in NAMES:
            try:
                shown.append(_name(message, record.start)[0])
            except Malformed:
                break
    return shown


def _outcome(code: int) -> Outcome:
    if code == 0:
        return Outcome.OK
    return Outcome.CLIENT_ERROR if code in CALLER_AT_FAULT else Outcome.SERVER_ERROR


def _plausible(name: str) -> bool:
    return "\\" not in name
