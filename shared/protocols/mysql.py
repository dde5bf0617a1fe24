"""
MySQL and MariaDB client/server protocol, text and prepared statements.

https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html
"""

from __future__ import annotations

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _mysql_errors, _sql, _trace_context
from shared.protocols._base import Parsed, WireProtocol, text_of
from shared.protocols._mysql_masking import mask_request, mask_response
from shared.protocols._mysql_packets import (
    COMMANDS,
    COMPRESS,
    EXECUTE,
    FULL,
    HEADER_BYTES,
    INIT_DB,
    LENGTHS,
    LOGIN_BYTES,
    NO_GOOD_INDEX,
    NO_INDEX,
    PREPARE,
    PREPARED_BYTES,
    SLOW,
    SQL_BEGINS,
    STATE,
    TEXT,
    VERSION,
    Packet,
    answers,
    begins,
    database_at,
    is_compressed,
    is_execution,
    is_plain_ok,
    packets,
    pushed,
    sql_at,
    sure_of_login,
    text_end,
    told_statement,
)


class MySql(WireProtocol):
    """
    Packets of a length, a number within the exchange, and a payload; a command is packet 0.
    """

    name = "mysql"
    number = Protocol.MYSQL
    specification = "https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html"
    family = "database"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: the command, its length and what it must hold, then the answer's number and kind.
        """
        asked = _sure_of_request(request) if request else 0.35
        if not asked or not response:
            return asked if request else 0.0
        answered = _sure_of_response(request, response)
        return min(asked + answered, 0.98) if answered else 0.0

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the packets without literals, bound values, rows, scrambles, passwords and error texts.
        """
        return mask_request(request), mask_response(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the statement or the command in short, and the number of the error that answered it.
        """
        attributes: dict[str, str | int] = {"db.system.name": "mysql"}
        name, operation, traceparent = _asked(request, attributes) if request else ("", "", "")
        number, outcome = _answered(response, attributes)
        trace_id, parent = _trace_context.of_traceparent(traceparent)
        return Parsed(
            name=name,
            operation=operation,
            outcome=outcome,
            status=number,
            attributes=attributes,
            trace_id=trace_id,
            parent_span_id=parent,
            stand_in=name in ("EXECUTE", "BULK_EXECUTE", "QUERY"),
        )

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first message: of all its packets, where one is full.
        """
        at = 0
        while at + HEADER_BYTES <= len(buffer):
            length = int.from_bytes(buffer[at : at + 3], "little")
            if at == 0:
                _possible(buffer, length, response)
            at += HEADER_BYTES + length
            if length < FULL:
                return at if at <= len(buffer) else None
        return None


PROTOCOL: WireProtocol = MySql()


def _possible(buffer: bytes, length: int, response: bool) -> None:
    if response or buffer[3]:
        if not length and not buffer[3]:
            raise Malformed("mysql: an exchange begins with an empty packet")
        return
    if not length:
        raise Malformed("mysql: a command without a byte")
    command = buffer[HEADER_BYTES : HEADER_BYTES + 1]
    if command and (command[0] not in COMMANDS or LENGTHS.get(command[0], length) != length):
        raise Malformed(f"mysql: no command {command[0]:#04x} has {length} bytes")


def _sure_of_request(request: bytes) -> float:
    if is_compressed(request):
        return 0.65
    first = next(packets(request), None)
    if first is None or first.start == first.end:
        return 0.0
    if pushed(request, first):
        return 0.65
    if first.sequence:
        return sure_of_login(request, first)
    command = request[first.start]
    if command not in COMMANDS or LENGTHS.get(command, first.length) != first.length:
        return 0.0
    if command in TEXT:
        at, plain = sql_at(request, first)
        if not plain:
            return 0.3
        text = request[at : first.end]
        return 0.75 if text and SQL_BEGINS.match(text) and b"\0" not in text else 0.0
    if command == EXECUTE:
        return 0.7 if is_execution(request, first) else 0.0
    return 0.45 if first.whole and first.length <= 600 else 0.1


def _sure_of_response(request: bytes, response: bytes) -> float:
    """
    Return how well *response* answers: 0 when it cannot.
    """
    first = next(packets(response), None)
    if first is None or first.start == first.end:
        return 0.0
    kind = response[first.start]
    if not request:
        greets = first.sequence == 0 and kind == 10 and VERSION.match(response, first.start + 1)
        return 0.6 if greets else 0.0
    asked = [packet for packet in packets(request) if not packet.sequence]
    if asked and first.sequence != 1:
        return 0.0
    if kind == 0xFF:
        return 0.2 if 3 <= first.length < 600 else 0.0
    if kind == 0 and asked and request[asked[0].start : asked[0].start + 1] == bytes((PREPARE,)):
        return 0.2 if 12 <= first.length <= 16 else 0.0
    if kind == 0:
        return 0.2 if 7 <= first.length < 4096 else 0.0
    if kind in (0xFB, 0xFE):
        return 0.2 if first.length < 4096 else 0.0
    return 0.2 if first.length <= 10 or not asked or request[asked[0].start] not in TEXT else 0.0


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, str, str]:
    """
    Return the endpoint's name, the operation and a `traceparent`, and add to *attributes*.
    """
    if is_compressed(request):
        return "COMPRESSED", "COMPRESSED", ""
    first = next(packets(request), None)
    push = pushed(request, first) if first else ""
    if first and push:
        if request[first.start]:
            _answered(request, attributes)
        return push, push, ""
    if first is None or not begins(request, first):
        raise Malformed("mysql: no command in the request")
    if first.sequence:
        return _logged_in(request, first, attributes)
    command = request[first.start]
    operation = COMMANDS[command]
    at, told = first.start + 1, command in TEXT
    if told:
        at, told = sql_at(request, first)
    elif command == EXECUTE:
        told = told_statement(request[at : first.end])
    elif command == INIT_DB and first.end > at:
        attributes["db.namespace"] = text_of(request[at : first.end])
    if not told:
        attributes["db.operation.name"] = operation
        return operation, operation, ""
    statement = _sql.describe(request[at : first.end], _sql.MYSQL)
    _describe(statement, attributes)
    summary = statement.summary or "EMPTY"
    if command == PREPARE:
        attributes["db.operation.name"] = operation
        return f"{operation} {summary}"[:256], operation, statement.traceparent
    return summary, statement.operation or "EMPTY", statement.traceparent


def _logged_in(request: bytes, login: Packet, attributes: dict[str, str | int]) -> tuple[str, str, str]:
    start, end = login.start, login.end
    operation = "SSLREQUEST" if login.length == LOGIN_BYTES else "CONNECT"
    attributes["db.operation.name"] = operation
    user = text_end(request, start + LOGIN_BYTES, end)
    if user > start + LOGIN_BYTES:
        attributes["db.user"] = text_of(request[start + LOGIN_BYTES : user])
    database = database_at(request, start, user + 1, end)
    named = text_of(request[database : text_end(request, database, end)])
    if named:
        attributes["db.namespace"] = named
    if int.from_bytes(request[start : start + 4], "little") & COMPRESS:
        attributes["mysql.compression"] = "zlib"
    return operation, operation, ""


def _describe(statement: _sql.Statement, attributes: dict[str, str | int]) -> None:
    told = {
        "db.operation.name": statement.operation,
        "db.collection.name": statement.collection,
        "db.query.summary": statement.summary,
        "db.query.text": statement.text,
    }
    attributes.update({name: value for name, value in told.items() if value})


def _answered(response: bytes, attributes: dict[str, str | int]) -> tuple[int, Outcome]:
    """
    Return the number of an error, 0 without one, and who is at fault, and add to *attributes*.
    """
    if not response:
        return 0, Outcome.NO_RESPONSE
    for index, packet in enumerate(answers(response)):
        body = response[packet.start : packet.end]
        number = int.from_bytes(body[1:3], "little")
        if body[:1] == b"\xff" and number != _mysql_errors.PROGRESS:
            return number, _failed(number, body, attributes)
        if (body[:1] == b"\xfe" and packet.length == 5 and packet.whole) or (
            index == 0 and body[:1] == b"\0" and packet.length < PREPARED_BYTES and is_plain_ok(response, packet)
        ):
            _flagged(int.from_bytes(body[3:5], "little"), attributes)
        found = VERSION.match(body, 1) if index == 0 and packet.sequence == 0 else None
        if found:
            attributes["db.system.version"] = text_of(body[1 : found.end()].rstrip(b"\0"))
    return 0, Outcome.OK


def _failed(number: int, body: bytes, attributes: dict[str, str | int]) -> Outcome:
    found = STATE.match(body, 3)
    state = text_of(found[0][1:]) if found else ""
    attributes["db.response.status_code"] = str(number)
    attributes["error.type"] = _mysql_errors.NAMES.get(number, str(number))
    if state:
        attributes["mysql.sqlstate"] = state
    return _mysql_errors.blame(number, state)


def _flagged(status: int, attributes: dict[str, str | int]) -> None:
    """
    Say what the server says of how it ran the statement.
    """
    for flag, attribute in ((SLOW, "mysql.slow"), (NO_INDEX, "mysql.no_index"), (NO_GOOD_INDEX, "mysql.no_good_index")):
        if status & flag:
            attributes[attribute] = 1
