"""
What HTTP and what carries HTTP's words (FastCGI) have in common: routes, queries and header fields, masked and read.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from shared.messages.kernel import Outcome
from shared.protocols._base import text_of
from shared.protocols._collapse import ID, collapsed, cover, may_stay

if TYPE_CHECKING:
    from collections.abc import Collection

NAME_LIMIT: Final = 160

KEPT_HEADERS: Final = frozenset(
    b"host content-type content-length content-encoding transfer-encoding connection upgrade server user-agent date "
    b"traceparent tracestate b3 x-b3-traceid x-b3-spanid x-b3-parentspanid x-b3-sampled x-b3-flags "
    b"grpc-status grpc-encoding grpc-accept-encoding grpc-timeout x-elastic-product".split()
)
"""The only headers whose values leave the node."""

PHRASES: Final = frozenset(status.phrase.encode() for status in HTTPStatus) | {
    b"Moved Temporarily",
    b"Request Time-out",
    b"Request Entity Too Large",
}

_HEADER: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}):[ \t]*([^\r\n]*)")


def template(path: bytes, ids: Collection[int] = ()) -> str:
    """
    Return the route that *path* is on; *ids* are the segments that are ids whatever they look like.
    """
    if path == b"*":
        return "*"
    words, ended = list[str](), False
    for number, segment in enumerate(path.split(b"/")):
        words.append(ID if number in ids or (ended and segment) else collapsed(segment))
        ended = ended or b"#" in segment
    return "/".join(words)[:NAME_LIMIT]


def mask_path(out: bytearray, start: int, end: int, ids: Collection[int] = (), *, cut: bool = False) -> None:
    """
    Cover the ids of the path from *start* to *end*; if it is *cut* off also the last segment; what follows a `#`.
    """
    at, ended, path = start, False, bytes(out[start:end])
    for number, segment in enumerate(path.split(b"/")):
        if (cut and at + len(segment) == end) or number in ids or ended or not may_stay(segment):
            cover(out, at, at + len(segment))
        ended = ended or b"#" in segment
        at += len(segment) + 1
    if end - start == 1 and out[start] != path[0]:
        out[start] = ord("%")  # a star alone would mean the whole server


def mask_query(out: bytearray, start: int, end: int) -> None:
    """
    Cover the values of the query from *start* to *end*, and names that look like values.
    """
    at = start
    for pair in bytes(out[start:end]).split(b"&"):
        name, equals, _ = pair.partition(b"=")
        keep = len(name) + 1 if equals and may_stay(name) else 0
        cover(out, at + keep, at + len(pair))
        at += len(pair) + 1


def mask_fields(out: bytearray, start: int, end: int) -> None:
    """
    Cover the values of headers from *start* on that are not kept, then everything behind the empty line up to *end*.
    """
    at = start
    while at < end:
        found_end = out.find(b"\n", at, end)
        stop = end if found_end < 0 else found_end
        if found_end >= 0 and bytes(out[at:stop]) in (b"", b"\r"):
            cover(out, stop + 1, end)
            return
        found = _HEADER.match(out, at, stop)
        if found is None:
            cover(out, at, stop, b"\r")
        elif found[1].lower() == b"status":
            _mask_status(out, found.start(2), found.end(2))
        elif found[1].lower() not in KEPT_HEADERS:
            cover(out, found.start(2), stop, b"\r")
        at = stop + 1


def fields(lines: bytes) -> dict[str, str]:
    """
    Return the kept headers at the start of *lines*, up to the empty line, names in lower case.
    """
    found_fields: dict[str, str] = {}
    for raw in lines.split(b"\n"):
        if raw in (b"", b"\r"):
            break
        found = _HEADER.match(raw)
        if found is not None and (found[1].lower() in KEPT_HEADERS or found[1].lower() == b"status"):
            known = found[1].lower()
            raw = found[2].partition(b" ")[0] if known == b"status" else found[2].strip()
            found_fields[known.decode("ascii")] = text_of(raw)
    return found_fields


def outcome_of(status: int, answered: bool) -> Outcome:
    """
    Return whose fault *status* is.
    """
    if status >= 500:
        return Outcome.SERVER_ERROR
    if status >= 400:
        return Outcome.CLIENT_ERROR
    return Outcome.OK if answered else Outcome.NO_RESPONSE


def _mask_status(out: bytearray, start: int, end: int) -> None:
    code, _, phrase = bytes(out[start:end]).partition(b" ")
    if len(code) != 3 or not code.isdigit():
        cover(out, start, end)
    elif phrase not in PHRASES:
        cover(out, start + 4, end, b" ")
