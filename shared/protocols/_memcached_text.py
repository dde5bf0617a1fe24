"""
Memcached's text protocol, classic and meta: where the words of a command and the lines of a reply lie.

https://github.com/memcached/memcached/blob/master/doc/protocol.txt
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from shared.errors import Malformed
from shared.protocols._base import MASK
from shared.protocols._collapse import cover

LINE_LIMIT: Final = 64 * 1024
"""The longest command line, in bytes; a client may ask for many keys at once."""
DATA_LIMIT: Final = 1024 * 1024 * 1024

STORING: Final = dict.fromkeys((b"set", b"add", b"replace", b"append", b"prepend"), "knnd")
COMMANDS: Final[dict[bytes, str]] = {
    **STORING,
    b"cas": "knndn",
    b"get": "K",
    b"gets": "K",
    b"gat": "nK",
    b"gats": "nK",
    b"incr": "kn",
    b"decr": "kn",
    b"touch": "kn",
    b"delete": "k",
    b"mg": "kf",
    b"ms": "kdf",
    b"md": "kf",
    b"ma": "kf",
    b"me": "kf",
    b"mn": "",
    b"stats": "w",
    b"flush_all": "w",
    b"verbosity": "w",
    b"slabs": "w",
    b"lru": "w",
    b"lru_crawler": "w",
    b"watch": "w",
    b"cache_memlimit": "w",
    b"shutdown": "w",
    b"version": "",
    b"quit": "",
}
"""The words behind each verb: k a key, K keys, n a number, d the length of the data block, f flags, w any words."""

RETRIEVING: Final = frozenset((b"get", b"gets", b"gat", b"gats", b"mg"))
ADMINISTRATIVE: Final = frozenset(verb for verb, kinds in COMMANDS.items() if kinds in ("", "w"))
"""Commands that other protocols' people type as well."""

STATUS: Final[dict[bytes, int]] = {
    b"END": 1,
    b"EN": 1,
    b"NF": 1,
    b"NOT_FOUND": 1,
    b"EX": 2,
    b"EXISTS": 2,
    b"NS": 5,
    b"NOT_STORED": 5,
    b"CLIENT_ERROR": 4,
    b"ERROR": 0x81,
    b"SERVER_ERROR": 0x84,
}
"""The binary protocol's number for what a reply says; nothing found is 1."""
OUT_OF_MEMORY: Final = 0x82

PLAIN: Final = frozenset(b"STORED DELETED TOUCHED OK RESET END NOT_FOUND EXISTS NOT_STORED MN".split())
FLAGGED: Final = frozenset(b"HD EN NF EX NS".split())
ERRORS: Final = frozenset(b"ERROR CLIENT_ERROR SERVER_ERROR BUSY BADCLASS".split())
REPLIES: Final = PLAIN | FLAGGED | ERRORS | {b"VALUE", b"VA", b"STAT", b"VERSION", b"ME"}
SAID: Final = frozenset(
    (
        b"bad command line format",
        b"bad data chunk",
        b"cannot increment or decrement non-numeric value",
        b"invalid exptime argument",
        b"invalid numeric delta argument",
        b"line too long",
        b"object too large for cache",
        b"out of memory storing object",
        b"out of memory",
        b"unauthenticated",
    )
)
"""What errors say; other words might repeat what the client sent."""

_WORD: Final = re.compile(rb"[!-~\x80-\xff]+")
_LINE: Final = re.compile(rb"[ -~\x80-\xff]*")
_NUMBER: Final = re.compile(rb"-?[0-9]{1,20}\Z")
_LENGTH: Final = re.compile(rb"[0-9]{1,10}\Z")
_COUNTED: Final = re.compile(rb"[0-9]{1,20} *\Z")
_VERSION: Final = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){1,3}\Z")
_STAT: Final = re.compile(rb"(?:items:[0-9]{1,3}:|[0-9]{1,3}:)?[a-z_]{1,40}\Z")
_FULL: Final = b" out of memory"
_ENDS: Final = (b"\r\n", b"\r", b"")


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """
    One command of a head, perhaps cut off.
    """

    verb: bytes
    words: list[tuple[int, int, str]]
    """Start, end and kind of each word behind the verb."""
    line_end: int
    whole_line: bool
    data: int = -1
    """Bytes of the data block; -1 when there is none."""
    quiet: bool = False
    """Whether no reply may come."""

    @property
    def end(self) -> int:
        """
        Where the next command begins, if the head reaches that far.
        """
        return self.line_end + (self.data + 2 if self.data >= 0 else 0)


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """
    One line of a reply, perhaps cut off, with its data block.
    """

    word: bytes
    start: int
    stop: int
    """Where its text ends."""
    end: int
    """Where the next line begins, if the head reaches that far."""
    data: int = -1


def command_at(head: bytes, at: int) -> Command | None:
    """
    Return the command that begins at *at*, None when none does.
    """
    line = _LINE.match(head, at)
    found = _WORD.match(head, at)
    if line is None or found is None or found.end() == len(head) or found[0] not in COMMANDS:
        return None
    stop = line.end()
    behind = head[stop : stop + 2]
    if behind not in _ENDS and behind[:1] != b"\n":
        return None
    verb, kinds = found[0], COMMANDS[found[0]]
    words: list[tuple[int, int, str]] = []
    for index, word in enumerate(_WORD.finditer(head, found.end(), stop)):
        kind = _kind(kinds, index, word[0], cut=word.end() == len(head))
        if not kind:
            return None
        words.append((word.start(), word.end(), kind))
    whole = behind == b"\r\n" or behind[:1] == b"\n"
    if whole and not _complete(kinds, words):
        return None
    data = next((int(head[start:end]) for start, end, kind in words if kind == "d" and end < len(head)), -1)
    if data > DATA_LIMIT:
        return None
    quiet = any(kind == "q" or (kind == "f" and head[start:end] == b"q") for start, end, kind in words)
    end = stop + (1 if behind[:1] == b"\n" else 2)
    return Command(verb=verb, words=words, line_end=end, whole_line=whole, data=data, quiet=quiet)


def _kind(kinds: str, index: int, word: bytes, *, cut: bool) -> str:
    """
    Return what the word at this place is; empty when it cannot stand there.
    """
    last = kinds[-1:]
    kind = kinds[index] if index < len(kinds) else last if last in "Kfw" else ""
    if not kind or (kind == "w" and word == b"noreply"):
        return "q" if word == b"noreply"[: len(word) if cut else 7] else ("n" if _NUMBER.match(word) else "")
    if kind in "nd" and not (_NUMBER if kind == "n" else _LENGTH).match(word):
        return "n" if cut and word == b"-" else ""
    if kind == "f" and not word[:1].isalpha():
        return ""
    return kind


def _complete(kinds: str, words: list[tuple[int, int, str]]) -> bool:
    needed = [kind for kind in kinds if kind not in "fw"]
    return len(words) >= len(needed)


def mask_command(out: bytearray, head: bytes, at: int, command: Command) -> bool:
    """
    Write the command without its keys, numbers and data into *out*; false when what follows is not understood.
    """
    stop = min(command.line_end, len(head))
    out[at:stop] = head[at:stop]
    for start, end, kind in command.words:
        if kind == "n" or (kind == "d" and end == len(head)):
            out[start:end] = bytes(c if c == ord("-") else ord("0") for c in head[start:end])
        elif kind == "f":
            cover(out, start + 1, end)
        elif kind not in "dq":
            cover(out, start, end)
    if not command.whole_line:
        return False
    return command.data < 0 or _mask_data(out, head, command.line_end, command.data)


def _mask_data(out: bytearray, head: bytes, start: int, size: int) -> bool:
    end = start + size
    stop = min(end, len(head))
    out[start:stop] = bytes([MASK]) * (stop - start)
    if head[end : end + 2] not in _ENDS:
        return False
    out[stop : stop + 2] = head[stop : stop + 2]
    return end + 2 <= len(head)


def line_at(head: bytes, at: int) -> Line | None:
    """
    Return the line of a reply that begins at *at*, None when none does.
    """
    line = _LINE.match(head, at)
    if line is None or line.end() == at or line.end() == len(head) or head[line.end() : line.end() + 2] not in _ENDS:
        found = _WORD.match(head, at)
        if line is None or found is None or line.end() < len(head) or found.end() == len(head):
            return None
        return Line(word=found[0], start=at, stop=len(head), end=len(head) + 2) if found[0] in REPLIES else None
    if _COUNTED.match(line[0]):
        return Line(word=b"0", start=at, stop=line.end(), end=line.end() + 2)
    words = _WORD.findall(line[0])
    if not words or words[0] not in REPLIES or not line[0].startswith(words[0]):
        return None
    if words[0] in PLAIN and len(words) > 1:
        return None
    place = {b"VALUE": 3, b"VA": 1}.get(words[0], 0)
    data = -1
    if place:
        if len(words) <= place or not _LENGTH.match(words[place]):
            return None
        data = int(words[place])
    end = line.end() + 2 + (data + 2 if data >= 0 else 0)
    return Line(word=words[0], start=at, stop=line.end(), end=end, data=data)


def mask_line(out: bytearray, head: bytes, line: Line) -> bool:
    """
    Write the line without keys and values into *out*; false when what follows is not understood.
    """
    start, stop = line.start, line.stop
    out[start : stop + 2] = head[start : stop + 2]
    text, at = head[start:stop], start + len(line.word)
    if line.word == b"0":
        out[start:stop] = re.sub(rb"[0-9]", b"0", text)
    elif line.word in ERRORS or line.word == b"VERSION":
        rest = text[len(line.word) + 1 :]
        if not (_VERSION.match(rest) if line.word == b"VERSION" else rest in SAID):
            cover(out, at + (len(_FULL) if text.startswith(_FULL, len(line.word)) else 0), stop, b" ")
    else:
        _mask_words(out, head, line, at)
    if stop >= len(head):
        return False
    return line.data < 0 or _mask_data(out, head, stop + 2, line.data)


def _mask_words(out: bytearray, head: bytes, line: Line, at: int) -> None:
    for index, word in enumerate(_WORD.finditer(head, at, line.stop)):
        start, end = word.span()
        if line.data >= 0 and index == (0 if line.word == b"VA" else 2):
            continue
        if line.word == b"VALUE" and index and _NUMBER.match(word[0]):
            out[start:end] = b"0" * (end - start)
        elif line.word == b"STAT" and not index and end < line.stop and _STAT.match(word[0]):
            continue
        else:
            flagged = line.word in FLAGGED or line.word == b"VA"
            cover(out, start + (flagged and word[0][:1].isalpha()), end)


def command_length(buffer: bytes) -> int | None:
    """
    Return the length of the first command with its data block, None when its end is not there yet.

    Raises:
        Malformed: no command begins like this.
    """
    end = buffer.find(b"\n", 0, LINE_LIMIT)
    if end < 0:
        word = re.split(rb"[ \r]", buffer, maxsplit=1)[0]
        known = word in COMMANDS if len(word) < len(buffer) else any(verb.startswith(word) for verb in COMMANDS)
        if not known or len(buffer) >= LINE_LIMIT:
            raise Malformed("memcached: no command begins like this")
        return None
    command = command_at(buffer[: end + 1], 0)
    if command is None or not command.whole_line:
        raise Malformed("memcached: no such command")
    return command.end if command.end <= len(buffer) else None


def reply_length(buffer: bytes) -> int | None:
    """
    Return the length of the first whole reply: values and statistics reach to their END.

    Raises:
        Malformed: no reply begins like this.
    """
    at = 0
    while at < len(buffer):
        end = buffer.find(b"\r\n", at, at + LINE_LIMIT)
        if end < 0:
            word = re.split(rb"[ \r]", buffer[at : at + 16], maxsplit=1)[0]
            begins = word.isdigit() or any(reply.startswith(word) for reply in REPLIES)
            if not begins or len(buffer) - at >= LINE_LIMIT:
                raise Malformed("memcached: no reply begins like this")
            return None
        line = line_at(buffer[at : end + 2], 0)
        if line is None or (line.data > DATA_LIMIT):
            raise Malformed("memcached: no such reply")
        at += line.end
        if line.word not in (b"VALUE", b"STAT"):
            return at if at <= len(buffer) else None
    return None
