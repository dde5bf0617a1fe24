"""
SQL as far as an observer needs it: cover the literals, and say in short what a statement does to which tables.

One scanner serves both. It never gives up: text that is cut off, or not SQL at all, becomes tokens too, and what may be
a literal is treated as one. The patterns are possessive, so no input makes them try twice.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from shared.protocols._base import TEXT_LIMIT
from shared.protocols._collapse import ID, cover, may_stay

if TYPE_CHECKING:
    from collections.abc import Iterator

TARGETS: Final = 3
"""The most tables that a summary names."""


class Kind(IntEnum):
    """
    What a token is.
    """

    SPACE = 0
    COMMENT = 1
    STRING = 2
    NUMBER = 3
    PARAMETER = 4
    WORD = 5
    QUOTED = 6
    SIGN = 7


class Token(NamedTuple):
    """
    A piece of SQL, from *start* to *end*; its secret part from *inside* to *outside*.
    """

    kind: Kind
    start: int
    end: int
    inside: int
    outside: int


class Statement(msgspec.Struct, frozen=True):
    """
    What a statement does.
    """

    operation: str
    """`SELECT`, `CREATE TABLE`, `BEGIN`; empty when there is no word."""
    collection: str
    """The first table; empty when none is named."""
    summary: str
    """Operation and tables: `SELECT orders customers`."""
    text: str
    """The statement with `?` for each literal, cut to a bounded length."""
    traceparent: str
    """Out of a comment, as sqlcommenter writes it; else empty."""


class Dialect(NamedTuple):
    """
    Where one system's SQL is read otherwise than another's.
    """

    pattern: re.Pattern[bytes]
    """One token; the name of the group that matched says what it is."""
    folds: bool
    """A quoted name has no case of its own."""


NOTHING: Final = "\N{REPLACEMENT CHARACTER}"
"""In place of a NUL, which no store takes."""

CARD: Final = 12
"""A name with so many digits is a number."""
_WORDS: Final = re.compile(rb"[ _.-]")
_LATIN: Final = bytes(c if c < 0x80 else ord("a") for c in range(256))
"""Letters of other scripts are letters."""

_PLAIN: Final = (
    rb"|(?P<PARAMETER>\$[0-9]++)"
    rb"|(?P<NUMBER>\.?[0-9][A-Za-z0-9_.]*+)"
    rb"|(?P<WORD>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+)"
)
_STANDARD: Final = re.compile(
    rb"(?P<SPACE>[ \t\r\n\f\v]++)"
    rb"|(?P<LINE>--[^\r\n]*+)"
    rb"|(?P<BLOCK>/\*)"
    rb"|(?P<ESCAPED>[eE]'(?:[^'\\]++|\\.|'')*+(?:'|\\?\Z))"
    rb"|(?P<STRING>(?:[bBxXnN]|[uU]&)?'(?:[^']++|'')*+(?:'|\Z))"
    rb"|(?P<DOLLAR>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?\$)"
    + _PLAIN + rb'|(?P<QUOTED>"(?:[^"]++|"")*+(?:"|\Z))' + rb"|(?P<SIGN>.)",
    re.DOTALL,
)  # fmt: skip
_MYSQL: Final = re.compile(
    rb"(?P<SPACE>[ \t\r\n\f\v]++)"
    rb"|(?P<SPACED>--(?=[ \t\r\n\f\v]|\Z)[^\r\n]*+)"
    rb"|(?P<HASH>#[^\r\n]*+)"
    rb"|(?P<KEPT>/\*![0-9]*+)"
    rb"|(?P<BLOCK>/\*)"
    rb"|(?P<STRING>[bBxXnN]?'(?:[^'\\]++|\\.|'')*+(?:'|\\?\Z))"
    rb'|(?P<DOUBLE>"(?:[^"\\]++|\\.|"")*+(?:"|\\?\Z))'
    + _PLAIN + rb"|(?P<QUOTED>`(?:[^`]++|``)*+(?:`|\Z))" + rb"|(?P<SIGN>.)",
    re.DOTALL,
)  # fmt: skip
_CLICKHOUSE: Final = re.compile(
    rb"(?P<SPACE>[ \t\r\n\f\v]++)"
    rb"|(?P<LINE>--[^\r\n]*+)"
    rb"|(?P<HASH>#[^\r\n]*+)"
    rb"|(?P<BLOCK>/\*)"
    rb"|(?P<STRING>'(?:[^'\\]++|\\.|'')*+(?:'|\\?\Z))"
    rb"|(?P<DOLLAR>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?\$)"
    + _PLAIN + rb'|(?P<QUOTED>`(?:[^`]++|``)*+(?:`|\Z)|"(?:[^"]++|"")*+(?:"|\Z))' + rb"|(?P<SIGN>.)",
    re.DOTALL,
)  # fmt: skip
STANDARD: Final = Dialect(_STANDARD, folds=False)
MYSQL: Final = Dialect(_MYSQL, folds=True)
"""Backquoted names, strings in either quotes, `#` comments, and comments that are executed."""
CLICKHOUSE: Final = Dialect(_CLICKHOUSE, folds=True)
_BLOCK_EDGE: Final = re.compile(rb"/\*|\*/")
_TRACEPARENT: Final = re.compile(rb"traceparent='([0-9a-f-]{55})'")
_LISTS: Final = re.compile(r"\?(?:, ?\?)+")

_OPENS_TARGET: Final = frozenset(b"FROM JOIN INTO UPDATE TABLE TRUNCATE COPY CALL LOCK VACUUM ANALYZE REFRESH".split())
_BEFORE_TARGET: Final = frozenset(
    b"ONLY LATERAL IF NOT EXISTS TABLE FROM INTO CONCURRENTLY MATERIALIZED VIEW FULL VERBOSE "
    b"IGNORE LOW_PRIORITY DELAYED HIGH_PRIORITY".split()
)
_NEVER_TARGET: Final = frozenset(
    b"SELECT VALUES WHERE SET ON USING AS DEFAULT NOWAIT SKIP OF ROWS UNNEST STDIN STDOUT PROGRAM "
    b"OUTFILE DUMPFILE".split()
)
_NO_UPDATE: Final = frozenset(b"FOR DO ON KEY".split())
_PAIRED: Final = ("CREATE", "DROP", "ALTER")
_BEFORE_KIND: Final = frozenset(
    b"CREATE DROP ALTER TEMP TEMPORARY UNLOGGED GLOBAL LOCAL OR REPLACE UNIQUE MATERIALIZED RECURSIVE FOREIGN".split()
)
_KINDS_OF_THING: Final = frozenset(
    b"TABLE INDEX VIEW SCHEMA DATABASE ROLE USER FUNCTION PROCEDURE TRIGGER SEQUENCE TYPE EXTENSION DOMAIN POLICY "
    b"PUBLICATION SUBSCRIPTION STATISTICS SERVER SYSTEM".split()
)
_VERBS: Final = frozenset(b"SELECT INSERT UPDATE DELETE MERGE VALUES TABLE".split())


def tokens(sql: bytes, dialect: Dialect = STANDARD) -> Iterator[Token]:
    """
    Yield the tokens of *sql*; together they cover all of it.
    """
    at = 0
    while at < len(sql):
        found = dialect.pattern.match(sql, at)
        if found is None:  # pragma: no cover - SIGN matches any byte
            return
        token = _token(sql, found)
        yield token
        at = token.end


def _token(sql: bytes, found: re.Match[bytes]) -> Token:
    start, end = found.span()
    match found.lastgroup:
        case "LINE":
            return Token(Kind.COMMENT, start, end, start + 2, end)
        case "SPACED":
            return Token(Kind.COMMENT, start, end, min(start + 3, end), end)
        case "HASH":
            return Token(Kind.COMMENT, start, end, start + 1, end)
        case "KEPT":  # what it holds is executed
            return Token(Kind.COMMENT, start, end, end, end)
        case "BLOCK":
            end, closed = _block_end(sql, end)
            return Token(Kind.COMMENT, start, end, start + 2, end - 2 * closed)
        case "DOLLAR":
            tag = found[0]
            close = sql.find(tag, end)
            stop = len(sql) if close < 0 else close + len(tag)
            return Token(Kind.STRING, start, stop, end, len(sql) if close < 0 else close)
        case "STRING" | "ESCAPED" | "DOUBLE":
            return _string(sql, found)
        case "NUMBER":
            return Token(Kind.NUMBER, start, end, start, end)
        case name:
            return Token(Kind[name or "SIGN"], start, end, end, end)


def _string(sql: bytes, found: re.Match[bytes]) -> Token:
    start, end = found.span()
    quote = b'"' if found.lastgroup == "DOUBLE" else b"'"
    inside = sql.index(quote, start) + 1
    closed = end > inside and sql[end - 1 : end] == quote
    if closed and found.lastgroup != "ESCAPED" and sql.find(b"\\" + quote, inside, end) >= 0:
        # Whether a backslash escapes the quote, and so where the string ends, is a setting of the session (PostgreSQL's
        # standard_conforming_strings, MySQL's NO_BACKSLASH_ESCAPES): nobody can tell, so cover all.
        return Token(Kind.STRING, start, len(sql), inside, len(sql))
    return Token(Kind.STRING, start, end, inside, end - closed)


def _block_end(sql: bytes, at: int) -> tuple[int, bool]:
    depth = 1
    for edge in _BLOCK_EDGE.finditer(sql, at):
        depth += 1 if edge[0] == b"/*" else -1
        if depth == 0:
            return edge.end(), True
    return len(sql), False


def mask(out: bytearray, start: int, end: int, dialect: Dialect = STANDARD) -> None:
    """
    Cover the literals and comments of the SQL that lies in *out* from *start* to *end*.
    """
    sql = bytes(out[start:end])
    first, assigned = b"", False
    for token in tokens(sql, dialect):
        low, high = start + token.inside, start + token.outside
        if token.kind is Kind.NUMBER:
            low += sql[token.start] == ord(".")  # without it, it would go on with the word before it
            out[low:high] = b"0" * (high - low)
        elif token.kind is Kind.COMMENT:
            cover(out, low, high)
            for kept in _TRACEPARENT.finditer(sql, token.inside, token.outside):
                out[start + kept.start() : start + kept.end()] = kept[0]
        elif token.kind is Kind.STRING:
            cover(out, low, high)
        elif token.kind in (Kind.WORD, Kind.QUOTED):
            if token.kind is Kind.QUOTED and _is_secret(sql[token.start : token.end]):
                inside = sql[token.start + 1 : token.end].rstrip(sql[token.start : token.start + 1])
                cover(out, start + token.start + 1, start + token.start + 1 + len(inside))
            word = sql[token.start : token.end].upper()
            first = first or word
            if assigned:  # the value of SET may be a bare word; behind a slash, a star would begin a comment
                begin, end = start + token.start, start + token.end
                out[begin:end] = (b"x" if out[begin - 1 : begin] == b"/" else b"*") * (end - begin)
            assigned = assigned or (first == b"SET" and word == b"TO")
        elif token.kind is Kind.SIGN:
            sign = sql[token.start : token.end]
            assigned = assigned or (first == b"SET" and sign == b"=")
            first, assigned = (b"", False) if sign == b";" else (first, assigned)


def describe(sql: bytes, dialect: Dialect = STANDARD) -> Statement:
    """
    Return what the first statement in *sql* does.
    """
    summary = _Summary(dialect.folds)
    parts: list[str] = []
    length, traceparent, ended = 0, "", False
    for token in tokens(sql, dialect):
        raw = sql[token.start : token.end]
        if token.kind is Kind.COMMENT:
            found = _TRACEPARENT.search(raw)
            traceparent = traceparent or (found[1].decode("ascii") if found else "")
            continue
        if ended:
            continue
        ended = raw == b";"
        if not ended:
            summary.take(token.kind, raw)
            if length < 4 * TEXT_LIMIT:
                parts.append(_plain(token.kind, raw))
                length += len(parts[-1])
    text = _LISTS.sub("?", "".join(parts).strip())[: 2 * TEXT_LIMIT].replace("\0", NOTHING)
    return Statement(
        operation=summary.operation,
        collection=summary.targets[0] if summary.targets else "",
        summary=" ".join([summary.operation, *summary.targets])[:TEXT_LIMIT],
        text=text,
        traceparent=traceparent,
    )


def _is_secret(quoted: bytes) -> bool:
    """
    Return whether a quoted name is a value in the wrong quotes: a token, an address, a number as long as a card's.
    """
    name = quoted.strip(b'"`').translate(_LATIN)
    digits = len(name) - len(name.translate(None, b"0123456789"))
    return digits >= CARD or not all(map(may_stay, _WORDS.split(name)))


def _plain(kind: Kind, raw: bytes) -> str:
    if kind is Kind.SPACE:
        return " "
    if kind in (Kind.STRING, Kind.NUMBER) or (kind is Kind.QUOTED and _is_secret(raw)):
        return "?"
    return raw.decode("utf-8", "replace")


class _Summary:
    """
    Reads a statement token by token and remembers its verb and its tables.

    *levels* holds, for each open parenthesis, whether a query has begun in it: `extract(year from x)` names no table.
    """

    def __init__(self, folds: bool) -> None:
        self.operation = ""
        self._folds = folds
        self.targets: list[str] = []
        self._levels = [True]
        self._wants = False
        self._dotted = False
        self._assigned = False
        self._with = False
        self._names: set[str] = set()
        self._before = b""
        self._last = b""

    def take(self, kind: Kind, raw: bytes) -> None:
        """
        Read one token.
        """
        if kind is Kind.SPACE:
            return
        if kind is Kind.SIGN:
            self._sign(raw)
        elif kind in (Kind.WORD, Kind.QUOTED):
            self._word(kind, raw)
        else:
            self._wants = self._dotted = False
        self._before, self._last = self._last, raw.upper()

    def _sign(self, sign: bytes) -> None:
        if sign == b"(":
            if self._with and self._last == b"AS":
                self._names.add(self._name(self._before))
            self._levels.append(False)
            self._wants = False
        elif sign == b")" and len(self._levels) > 1:
            self._levels.pop()
        self._assigned = self._assigned or (sign == b"=" and self.operation == "SET")
        self._dotted = sign == b"." and self._dotted
        if sign not in b".(":
            self._wants = False

    def _word(self, kind: Kind, raw: bytes) -> None:
        word = raw.upper() if kind is Kind.WORD else b""
        self._assigned = self._assigned or (word == b"TO" and self.operation == "SET")
        if self._assigned:  # what follows is the value, which is masked
            return
        if self._dotted and self._last == b".":
            self._extend(raw)
            return
        self._dotted = False
        if word in (b"SELECT", b"DELETE"):
            self._levels[-1] = True
        if self._verb(word):
            return
        if self._wants and word not in _BEFORE_TARGET:
            self._wants = False
            if word not in _NEVER_TARGET:
                self._target(raw)
                return
        if word in _OPENS_TARGET and self._levels[-1] and not (word == b"UPDATE" and self._last in _NO_UPDATE):
            self._wants = True

    def _verb(self, word: bytes) -> bool:
        """
        Return whether *word* completes the verb and is nothing else besides.
        """
        if not word:
            return False
        if not self.operation and not self._with:
            self._with = word == b"WITH"
            self.operation = "" if self._with else word[:32].decode("utf-8", "replace")
        elif self._with and not self.operation and len(self._levels) == 1 and word in _VERBS:
            self.operation = word.decode("ascii")
        elif self.operation in _PAIRED and self._last in _BEFORE_KIND and word in _KINDS_OF_THING:
            self.operation += " " + word.decode("ascii")
            self._wants = True
            return True
        return False

    def _target(self, raw: bytes) -> None:
        name = self._name(raw)
        if name.lower() in self._names or len(self.targets) >= TARGETS:
            return
        if name not in self.targets:
            self.targets.append(name)
            self._dotted = True

    def _extend(self, raw: bytes) -> None:
        if self.targets:
            self.targets[-1] = f"{self.targets[-1]}.{self._name(raw)}"[:TEXT_LIMIT]

    def _name(self, raw: bytes) -> str:
        if raw[:1] in (b'"', b"`") and _is_secret(raw):
            return ID
        name = raw.strip(b'"`')[:64].decode("utf-8", "replace").replace("\0", NOTHING)
        return name if raw.startswith(b'"') and not self._folds else name.lower()
