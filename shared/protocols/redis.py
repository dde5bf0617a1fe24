"""
Redis serialization protocol, versions 2 and 3, and its inline commands.

https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import _redis_errors, _redis_pushes
from shared.protocols._base import Parsed, WireProtocol
from shared.protocols._collapse import collapsed, cover, is_id, may_stay
from shared.protocols._redis_commands import CONTAINERS, KEYED, KNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator

LINE_LIMIT: Final = 64 * 1024
"""The longest line, in bytes; Redis allows the same for an inline command."""
LENGTH_LIMIT: Final = 512 * 1024 * 1024
ARGUMENTS_LIMIT: Final = 1024 * 1024
WORDS_SHOWN: Final = 16

_COMMAND: Final = re.compile(rb"[A-Za-z][A-Za-z0-9._-]{0,31}\Z")
_COUNT: Final = re.compile(rb"[0-9]{1,10}\Z")
_HEAD: Final = re.compile(rb"([*$])([0-9]{1,10})\r\n")
_LINE_END: Final = re.compile(rb"[ \t]*+(?:\r?\n|\r\Z)?")
_WORD: Final = re.compile(rb"[^ \t\r\n]+")
_LINE: Final = re.compile(rb"([+\-:$*_#,(!=%~>|])([^\r\n]*)")
_REPLY: Final = re.compile(rb"[+\-:$*_#,(!=%~>|][^\r\n]*(?:\r\n|\r?\Z)")
_INLINE_REPLY: Final = re.compile(
    rb"(?:[+](?:OK|PONG|QUEUED|RESET|[*]+)|:-?[0-9]+|[$*](?:-1|[0-9]+)|-[A-Z]+ [^\r\n]*)\r\n"
)
"""To a command on a line, which people also type to others: the replies of those (`+OK 3 messages`) are no such."""
_KEY_PARTS: Final = re.compile(rb"([:/|{}])")
_PLAIN_LINES: Final = (b"", b"-1", b"t", b"f")
"""What null and boolean replies hold."""
_BLOBS: Final = b"$!="
_STATUS_WORDS: Final = frozenset(
    [b"OK", b"PONG", b"QUEUED", b"RESET", b"NONE", b"none", b"string", b"list", b"set", b"zset", b"hash", b"stream"]
)


class Word(msgspec.Struct, frozen=True):
    """
    One argument of a command in a head, from *start* to *end*.
    """

    start: int
    end: int
    whole: bool
    """Whether all of it is there."""


class Redis(WireProtocol):
    """
    Commands are arrays of bulk strings, or words on a line; replies tell their type in the first byte.
    """

    name = "redis"
    number = Protocol.REDIS
    specification = "https://redis.io/docs/latest/develop/reference/protocol-spec/"
    family = "cache"

    def confidence(self, request: bytes, response: bytes) -> float:
        """
        Return how sure it is: an array of bulk strings that begins with a known command says most.
        """
        if request and not response and _redis_pushes.push(request):
            return 0.9
        inline = request[:1] != b"*"
        answered = (_INLINE_REPLY if inline else _REPLY).match(response) is not None
        command = next(_commands(request), None)
        if not command or (response and not answered):
            return 0.0
        verb = _verb(request, command)
        if inline:
            return 0.7 if answered and verb in KNOWN else 0.0
        if not verb:
            return 0.0
        return (0.98 if verb in KNOWN else 0.7) if answered else 0.9 if verb in KNOWN else 0.5

    def mask(self, request: bytes, response: bytes) -> tuple[bytes, bytes]:
        """
        Return the commands with their keys' patterns, and the replies' types and lengths.
        """
        return _mask_push(request) or _mask_request(request), _mask_reply(response)

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Return the first command of the head, and the error word of its reply.
        """
        attributes: dict[str, str | int] = {"db.system.name": "redis"}
        push = _redis_pushes.push(request)
        if push is not None:
            return _pushed(request, push, attributes)
        name, operation = _asked(request, attributes) if request else ("", "")
        failure = _failure(response, inside=name in ("EXEC", ""))
        outcome, status = Outcome.OK if response else Outcome.NO_RESPONSE, 0
        if failure:
            outcome, status = _redis_errors.judged(failure)
            attributes["db.response.status_code"] = failure
        if outcome in (Outcome.CLIENT_ERROR, Outcome.SERVER_ERROR):
            attributes["error.type"] = attributes["db.response.status_code"]
        return Parsed(name=name, operation=operation, outcome=outcome, status=status, attributes=attributes)

    def frame(self, buffer: bytes, *, response: bool) -> int | None:
        """
        Return the length of the first command or of the first whole reply.
        """
        told = response or buffer[:1] in (b">", b"+") or _redis_pushes.push(buffer[:256]) is not None
        if not told and buffer[:1] not in b"*":
            return _inline_length(buffer)
        return _value_length(buffer, commands_only=not told)


PROTOCOL: WireProtocol = Redis()


def _commands(head: bytes) -> Iterator[list[Word]]:
    """
    Yield the commands in *head*, the last one perhaps cut off; end at the first byte that fits none.
    """
    at = 0
    while at < len(head):
        if head[at] == ord("*"):
            words, at = _array(head, at)
        else:
            words, at = _inline(head, at)
        if words:
            yield words
        if at < 0:
            return


def _array(head: bytes, at: int) -> tuple[list[Word], int]:
    counted = _HEAD.match(head, at)
    if counted is None or counted[1] != b"*":
        return [], -1
    words: list[Word] = []
    at = counted.end()
    for _ in range(int(counted[2])):
        sized = _HEAD.match(head, at)
        if sized is None or sized[1] != b"$":
            return words, -1
        start, end = sized.end(), sized.end() + int(sized[2])
        if head[end : end + 2] not in (b"\r\n", b"\r", b""):
            return words, -1
        words.append(Word(start, min(end, len(head)), end <= len(head)))
        at = end + 2
        if at > len(head):
            return words, -1
    return words, at


def _inline(head: bytes, at: int) -> tuple[list[Word], int]:
    end = head.find(b"\n", at)
    stop = len(head) if end < 0 else end
    words = [
        Word(found.start(), found.end(), end >= 0 or found.end() < stop) for found in _WORD.finditer(head, at, stop)
    ]
    if words and (_upper(head, words[0]).encode("ascii") not in KNOWN or b"\r" in head[at : stop - 1]):
        return [], -1
    return words, -1 if end < 0 else end + 1


def _upper(head: bytes, word: Word) -> str:
    raw = head[word.start : word.end]
    return raw.upper().decode("ascii") if word.whole and _COMMAND.match(raw) else ""


def _verb(head: bytes, words: list[Word]) -> bytes:
    verb = _upper(head, words[0]).encode("ascii")
    return verb if verb in KNOWN or not is_id(verb) else b""


def _asked(request: bytes, attributes: dict[str, str | int]) -> tuple[str, str]:
    """
    Return the first command and its full verb, and add to *attributes*.
    """
    words = next(_commands(request), None)
    verb = _verb(request, words) if words else b""
    if not words or not verb:
        raise Malformed("redis: no command")
    command = operation = verb.decode("ascii")
    if verb in CONTAINERS and len(words) > 1:
        operation = f"{command} {_upper(request, words[1])}".rstrip()
    attributes["db.operation.name"] = operation
    attributes["db.query.text"] = _query_text(request, words, operation)
    return command, operation


def _key_pattern(key: bytes) -> str:
    return "".join(collapsed(p) if p and p not in b":/|{}" else p.decode("ascii") for p in _KEY_PARTS.split(key))


def _query_text(head: bytes, words: list[Word], operation: str) -> str:
    shown = [operation]
    rest = words[1 + operation.count(" ") :]
    if operation.encode("ascii") in KEYED and rest:
        key, rest = rest[0], rest[1:]
        shown.append(_key_pattern(head[key.start : key.end]) if key.whole else "?")
    shown += "?" * min(len(rest), WORDS_SHOWN)
    return " ".join(shown)


def _mask_request(head: bytes) -> bytes:
    """
    Build the masked head out of what is understood; all the rest stays NUL.
    """
    out = bytearray(len(head))
    done = 0
    for words in _commands(head):
        kept = _words_kept(head, words)
        for number, word in enumerate(words):
            out[done : word.start] = head[done : word.start]
            out[word.start : word.end] = head[word.start : word.end]
            if number == 1 and kept == 1 and word.whole and _verb(head, words) in KEYED:
                _mask_key(out, word)
            elif number >= kept:
                cover(out, word.start, word.end)
            done = word.end
        tail = _LINE_END.match(head, done)
        if tail is not None:  # it always matches
            out[done : tail.end()] = tail[0]
    return bytes(out)


def _words_kept(head: bytes, words: list[Word]) -> int:
    verb = _verb(head, words)
    if verb in CONTAINERS and len(words) > 1 and _upper(head, words[1]):
        return 1 + (not is_id(head[words[1].start : words[1].end]))
    return int(bool(verb))


def _mask_key(out: bytearray, word: Word) -> None:
    at = word.start
    for part in _KEY_PARTS.split(bytes(out[word.start : word.end])):
        if not may_stay(part) and part not in (b"{", b"}", b"|", b"/", b":"):
            cover(out, at, at + len(part))
        at += len(part)


def _mask_reply(head: bytes) -> bytes:
    """
    Build the masked head out of what is understood; all the rest stays NUL.
    """
    out = bytearray(len(head))
    at = 0
    while at < len(head):
        line = _line(head, at)
        if line is None:
            break
        end = line.end()
        out[at : end + 2] = head[at : end + 2]
        _mask_line(out, line)
        at = end + 2
        if line[1] in (b"$", b"!", b"=") and not line[2].startswith(b"-"):
            if not _COUNT.match(line[2]):
                break
            stop = min(at + int(line[2]), len(head))
            out[at:stop] = head[at:stop]
            cover(
                out,
                at + (_redis_errors.shown(head, at) if line[1] == b"!" else 0),
                stop,
                b" \r\n" if line[1] == b"!" else b"",
            )
            out[stop : stop + 2] = b"\r\n"[: len(head) - stop]
            at = stop + 2
    return bytes(out)


def _line(head: bytes, at: int) -> re.Match[bytes] | None:
    """
    Return the line of a reply at *at*, whole or cut off by the end of the head; None when it is none.
    """
    line = _LINE.match(head, at)
    if line is None or head[line.end() : line.end() + 2] not in (b"\r\n", b"\r", b""):
        return None
    kind, text = line[1], line[2]
    known = kind in b"+-:,(" or text in _PLAIN_LINES or (kind in b"$!=*~>%|" and _COUNT.match(text))
    return line if known else None


def _mask_line(out: bytearray, line: re.Match[bytes]) -> None:
    start, end = line.span(2)
    kind, text = line[1], line[2]
    if kind in (b"+", b"-"):
        kept = _redis_errors.shown(text, 0) if kind == b"-" else len(text) if text in _STATUS_WORDS else 0
        cover(out, start + kept, end, b" ")
    elif kind in (b":", b",", b"("):
        out[start:end] = b"0" * len(text)


def _mask_push(head: bytes) -> bytes:
    push = _redis_pushes.push(head)
    if push is None:
        return b""
    out = bytearray(_mask_reply(head))
    _redis_pushes.mask(out, head, push)
    return bytes(out)


def _pushed(head: bytes, push: _redis_pushes.Push, attributes: dict[str, str | int]) -> Parsed:
    """
    Return what a server has said unasked.
    """
    name = _redis_pushes.name(head, push)
    attributes["db.operation.name"] = push.kind
    if " " in name and push.operation != "PUSH":
        attributes["messaging.destination.name"] = name.partition(" ")[2]
    return Parsed(
        name=name,
        operation=push.operation,
        outcome=Outcome.NO_RESPONSE,
        attributes=attributes,
        stand_in=name == push.operation,
    )


def _failure(response: bytes, *, inside: bool) -> str:
    """
    Return the word of the error that *response* is, or that a value *inside* it is.
    """
    at = 0
    while (line := _line(response, at)) is not None:
        if line[1] in b"-!":
            return _redis_errors.word(response, at + 1 if line[1] == b"-" else line.end() + 2) or "OTHER"
        at = line.end() + 2
        if line[1] in (b"$", b"=") and _COUNT.match(line[2]):
            at += int(line[2]) + 2
        if not inside or at >= len(response):
            break
    return ""


def _inline_length(buffer: bytes) -> int | None:
    end = buffer.find(b"\n", 0, LINE_LIMIT)
    line = buffer[:LINE_LIMIT] if end < 0 else buffer[:end]
    first = line.split(None, 1)[0] if line.strip() else b"X"
    if not _COMMAND.match(first) or (end < 0 and len(buffer) >= LINE_LIMIT):
        raise Malformed("redis: neither an array nor a command on a line")
    return None if end < 0 else end + 1


def _value_length(buffer: bytes, *, commands_only: bool) -> int | None:
    at, pending, first = 0, 1, True
    while pending:
        line = _LINE.match(buffer, at)
        if line is None and at < len(buffer):
            raise Malformed(f"redis: no value begins with byte {buffer[at]}")
        end = buffer.find(b"\r\n", at, at + LINE_LIMIT)
        if line is None or end < 0:
            if len(buffer) - at >= LINE_LIMIT:
                raise Malformed(f"redis: a line longer than {LINE_LIMIT} bytes")
            return None
        if commands_only and line[1] != (b"*" if first else b"$"):
            raise Malformed("redis: a command is an array of bulk strings")
        more, body = _announced(line, end)
        pending += more - 1
        at = end + 2 + body
        first = False
    return at if at <= len(buffer) else None


def _announced(line: re.Match[bytes], end: int) -> tuple[int, int]:
    """
    Return how many values follow inside this one, and how many bytes of body.
    """
    kind, text = line[1], line[2]
    if line.end() != end:
        raise Malformed("redis: a bare line end inside a line")
    if kind not in b"$!=*~>%|":
        return 0, 0
    if text == b"-1":
        return 0, 0
    if not _COUNT.match(text):
        raise Malformed("redis: a length that is no number")
    count = int(text)
    if count > (LENGTH_LIMIT if kind in _BLOBS else ARGUMENTS_LIMIT):
        raise Malformed(f"redis: a length of {count}")
    if kind in _BLOBS:
        return 0, count + 2
    return (2 * count + (kind == b"|")) if kind in b"%|" else count, 0
