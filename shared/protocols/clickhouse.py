"""
ClickHouse's native protocol: one query at a time on each connection.

https://clickhouse.com/docs/native-protocol/basics
"""

from __future__ import annotations

import re
from typing import Final

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _clickhouse_packets as packets
from shared.protocols import _sql, _trace_context
from shared.protocols._base import Parsed, WireProtocol
from shared.protocols._clickhouse_packets import HELLO, NAMES, QUERY
from shared.protocols._collapse import cover, may_stay

STAND_IN: Final = "QUERY"
"""What a query is called whose text is not in the head."""

CALLER: Final = frozenset((
    6, 10, 15, 16, 17, 20, 26, 27, 34, 35, 36, 38, 41, 42, 43, 44, 46, 47, 48, 50, 52, 53, 57, 60, 62, 63, 69, 70, 72,
    73, 78, 80, 81, 82, 115, 153, 164, 179, 184, 192, 193, 194, 195, 206, 215, 350, 352, 386, 395, 497, 516,
))  # fmt: skip
"""Codes of what is wrong with the statement, its data or the one who sends it; `bpf/l7/clickhouse.h` has the same."""
CODES: Final = {
    47: "unknown_identifier", 53: "type_mismatch", 57: "table_exists", 60: "unknown_table", 62: "syntax_error",
    81: "unknown_database", 115: "unknown_setting", 159: "timeout_exceeded", 164: "readonly", 192: "unknown_user",
    193: "wrong_password", 201: "quota_exceeded", 202: "too_many_simultaneous_queries", 209: "socket_timeout",
    210: "network_error", 241: "memory_limit_exceeded", 242: "table_is_read_only", 243: "not_enough_space",
    252: "too_many_parts", 394: "query_was_cancelled", 395: "function_throw_if", 497: "access_denied",
    516: "authentication_failed", 999: "keeper_exception",
}  # fmt: skip

_PRODUCT: Final = re.compile(rb"[A-Za-z0-9_. /+-]{1,64}\Z")
_VERB: Final = re.compile(
    rb"(?:select|insert|with|create|alter|drop|show|set|use|desc|describe|optimize|system|exists|explain|truncate|rename"
    rb"|attach|detach|kill|check|delete|update|grant|revoke)[ \t\r\n]",
    re.IGNORECASE,
)
_INLINE: Final = re.compile(rb"[ \t\r\n]FORMAT[ \t\r\n]++[A-Za-z]++", re.IGNORECASE)


class ClickHouse(WireProtocol):
    """
    Packets of a number and of fields that follow from it and from the revision that both sides speak.
    """

    name = "clickhouse"
    number = Protocol.CLICKHOUSE
    specification = "https://clickhouse.com/docs/native-protocol/basics"
    family = "database"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: the query with its text in its place, then what a server answers to it.
        """
        asked = _sure_of_request(request)
        if not asked or not response:
            return asked
        answered = _sure_of_response(response)
        return min(asked + answered, 0.98) if answered else 0.0

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the heads without literals, passwords, settings, rows and error texts.
        """
        return _mask_request(request), _mask_response(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the statement in short, and the code of the exception that answered it.
        """
        attributes: dict[str, str | int] = {"db.system.name": "clickhouse"}
        name, operation, traceparent = _asked(request, attributes) if request else ("", "", "")
        code, outcome = _answered(response, attributes)
        trace_id, parent = _trace_context.of_traceparent(traceparent)
        return Parsed(
            name=name,
            operation=operation,
            outcome=outcome,
            status=code,
            attributes=attributes,
            trace_id=trace_id,
            parent_span_id=parent,
            stand_in=name == STAND_IN,
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first message, as far as it can be told: of a query and of a block its head.
        """
        if not buffer:
            return None
        return _answer_length(buffer) if response else _request_length(buffer)


PROTOCOL: WireProtocol = ClickHouse()


def _statement(request: bytes) -> packets.Text | None:
    """
    Return the statement of a query, or of what the kernel sends up of one.
    """
    return packets.find_text(request) if packets.is_query(request) else packets.text_at(request, 0)


def _sure_of_request(request: bytes) -> float:
    text = _statement(request)
    if text:
        verb = _VERB.match(request, text.start)
        return 0.8 if packets.is_query(request) else 0.65 if verb else 0.5
    if packets.is_query(request):
        return 0.45
    if request[:1] == b"\0":
        places = packets.hello(request)
        names = [request[start:end] for start, end in places]
        return 0.85 if len(places) == 4 and _PRODUCT.match(names[0]) and _revision(request, places[0][1]) else 0.0
    return 0.3 if request in (b"\4", b"\3") else 0.0


def _revision(head: bytes, at: int) -> bool:
    for _ in range(2):
        _, at = packets.number(head, at)
    return 50_000 <= packets.number(head, at)[0] < 70_000


def _sure_of_response(response: bytes) -> float:
    found = packets.failure(response)
    if packets.SERVER.match(response) or packets.BLOCK.match(response) or (found and not found.at):
        return 0.15
    return 0.05 if 1 <= response[0] < packets.LAST_KIND else 0.0


def _mask_request(head: bytes) -> bytes:
    """
    Build the masked head out of what is understood; all the rest stays NUL.
    """
    out = bytearray(len(head))
    text = _statement(head)
    if packets.is_query(head):
        out[:2] = head[:2]
        out[2 + head[1]] = head[2 + head[1]]
    elif head[:1] == b"\0":
        _mask_hello(head, out)
    elif len(head) == 1 and head[0] in NAMES:
        out[0] = head[0]
    if text:
        end = min(text.end, len(head))
        out[text.stage : end] = head[text.stage : end]
        _sql.mask(out, text.start, end, _sql.CLICKHOUSE)
        inline = _INLINE.search(out, text.start, end)
        if inline:
            cover(out, inline.end(), end)
    return bytes(out)


def _greets(head: bytes) -> tuple[int, int]:
    """
    Return where the client's name ends and where its revision does, zeros when *head* is no greeting.
    """
    places = packets.hello(head)
    if not places or not _PRODUCT.match(head, places[0][0], min(places[0][1], len(head))):
        return 0, 0
    end = behind = places[0][1]
    for _ in range(3):
        value, behind = packets.number(head, behind)
        if value < 0:
            return end, end
    return end, behind


def _mask_hello(head: bytes, out: bytearray) -> None:
    kept = min(_greets(head)[1], len(head))
    out[:kept] = head[:kept]
    places = packets.hello(head) if kept else []
    for start, end in places[:1]:
        at = start
        for word in head[start : min(end, kept)].split(b" "):
            if not may_stay(word):  # a star is no part of a name
                out[at : at + len(word)] = b"x" * len(word)
            at += len(word) + 1


def _mask_response(head: bytes) -> bytes:
    out = bytearray(len(head))
    if head and head[0] < packets.LAST_KIND:
        out[0] = head[0]
        found = packets.SERVER.match(head) or packets.BLOCK.match(head)
        if found:
            out[: found.end()] = head[: found.end()]
        failed = packets.failure(head)
        if failed:
            out[failed.at : failed.behind] = head[failed.at : failed.behind]
    return bytes(out)


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, str, str]:
    """
    Return the endpoint's name, the operation and a `traceparent`, and add to *attributes*.
    """
    text = _statement(request)
    if text:
        statement = _sql.describe(request[text.start : text.end], _sql.CLICKHOUSE)
        told = {
            "db.operation.name": statement.operation,
            "db.collection.name": statement.collection,
            "db.query.summary": statement.summary,
            "db.query.text": statement.text,
        }
        attributes.update({name: value for name, value in told.items() if value})
        return statement.summary or "EMPTY", statement.operation or "EMPTY", statement.traceparent
    if packets.is_query(request):
        name = STAND_IN
    else:
        name = NAMES.get(request[0], "") if len(request) == 1 or request[0] == HELLO else ""
    if not name or (name == "HELLO" and not _greets(request)[0]):
        raise Malformed("clickhouse: no packet in the request")
    attributes["db.operation.name"] = name
    return name, name, ""


def _answered(response: bytes, attributes: dict[str, str | int]) -> tuple[int, Outcome]:
    """
    Return the code of an exception, 0 without one, and who is at fault, and add to *attributes*.
    """
    if not response:
        return 0, Outcome.NO_RESPONSE
    failed = packets.failure(response) if response[0] < packets.LAST_KIND else None
    if not failed:
        return 0, Outcome.OK
    attributes["db.response.status_code"] = str(failed.code)
    attributes["error.type"] = CODES.get(failed.code, str(failed.code))
    return failed.code, Outcome.CLIENT_ERROR if failed.code in CALLER else Outcome.SERVER_ERROR


def _request_length(buffer: bytes) -> int | None:
    kind = buffer[0]
    if kind > packets.TABLES:
        raise Malformed(f"clickhouse: no packet {kind}")
    if kind == QUERY:
        if len(buffer) > 1 and len(buffer) > 2 + buffer[1] and not packets.is_query(buffer):
            raise Malformed("clickhouse: a query without its kind")
        return 3 + buffer[1] if packets.is_query(buffer) else None
    if kind == HELLO:
        places = packets.hello(buffer)
        if not places and len(buffer) > 2:
            raise Malformed("clickhouse: a greeting without a name")
        return places[3][1] if len(places) == 4 and places[3][1] <= len(buffer) else None
    return 1


def _answer_length(buffer: bytes) -> int | None:
    kind = buffer[0]
    if kind >= packets.LAST_KIND:
        raise Malformed(f"clickhouse: no packet {kind} of a server")
    if kind in (packets.PONG, packets.END):
        return 1
    if kind == packets.EXCEPTION:
        failed = packets.failure(buffer)
        if len(buffer) > 12 and (not failed or failed.at):
            raise Malformed("clickhouse: an exception without a name")
        return failed.behind if failed and failed.behind <= len(buffer) else None
    if kind == packets.BLOCKS:
        found = packets.BLOCK.match(buffer)
        return found.end() if found else None
    return 2 if len(buffer) > 1 else None
