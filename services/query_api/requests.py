"""
Reading a request: its parameters, its times, its cursor.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import re
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import msgspec

from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from services.query_api.answers import Page
    from services.query_api.questions import (
        AnomalyList,
        EndpointList,
        InstanceList,
        Listing,
        Ranged,
        RangedListing,
        SpanList,
    )

K = TypeVar("K", bound=msgspec.Struct)
T = TypeVar("T")

MAX_RANGE_S: Final = 31 * 24 * 3600
MAX_POINTS: Final = 2000
FULL_POINTS: Final = 400
"""As many points as a chart can show."""
RESOLUTIONS_S: Final = (10, 60, 600, 3600, 21_600)
"""The widths of the buckets that figures are stored in."""
EARLIEST_NS: Final = 0
LATEST_NS: Final = 4_102_444_800 * S_NS
"""The year 2100: what is later is a mistake in the question."""
UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class BadRequest(Exception):
    """
    The question cannot be read: the text says which part, and what would be right.
    """


KeyText = Annotated[str, msgspec.Meta(max_length=2048, pattern=r"^[^\x00]*$")]


class Range(msgspec.Struct, frozen=True):
    """
    A time range, end excluded.
    """

    start_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """
        Return how long it is.
        """
        return (self.end_ns - self.start_ns) / S_NS


LIVE: Final = Range(0, 0)
"""Stands for the last ten seconds."""


class Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """
    Where a page ended: its time range and the sort key of its last item.
    """

    start_ns: Annotated[int, msgspec.Meta(ge=EARLIEST_NS, le=LATEST_NS)]
    end_ns: Annotated[int, msgspec.Meta(ge=EARLIEST_NS, le=LATEST_NS)]
    key: Annotated[list[int | float | KeyText], msgspec.Meta(max_length=4)]


def read(kind: type[K], parameters: Iterable[tuple[str, str]], fixed: Mapping[str, str]) -> K:
    """
    Return the question of *kind* in the query's *parameters* and the path's *fixed* ones.

    Raises:
        BadRequest: a parameter is unknown, repeated, or out of its bounds.
    """
    found: dict[str, str] = {}
    for name, value in parameters:
        if name in found or name in fixed:
            raise BadRequest(f"the parameter {name!r} is given twice")
        found[name] = value
    return _convert({**found, **fixed}, kind, strict=False)


def read_body(kind: type[K], body: bytes, fixed: Mapping[str, str]) -> K:
    """
    Return the command of *kind* in the JSON *body* and the path's *fixed* parameters.

    Raises:
        BadRequest: the body is no JSON object, or a field is unknown or out of its bounds.
    """
    try:
        found = msgspec.json.decode(body, type=dict[str, Any]) if body else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the body is not a JSON object: {error}") from error
    return _convert({**found, **fixed}, kind, strict=True)


def _convert(found: dict[str, Any], kind: type[K], *, strict: bool) -> K:
    try:
        return msgspec.convert(found, kind, strict=strict)
    except msgspec.ValidationError as error:
        raise BadRequest(str(error).replace("Object contains", "The question contains")) from error


def time_ns(text: str, now_ns: int) -> int:
    """
    Return the instant that *text* names, in unix nanoseconds.

    Raises:
        BadRequest: *text* is no time, or lies outside the years 1970 to 2100.
    """
    if text == "now":
        return now_ns
    if relative := re.fullmatch(r"-([0-9]{1,9})([smhd])", text):
        at_ns = now_ns - int(relative[1]) * UNITS_S[relative[2]] * S_NS
    else:
        at_ns = _absolute_ns(text)
    if not EARLIEST_NS <= at_ns <= LATEST_NS:
        raise BadRequest(f"{text!r} lies outside the years 1970 to 2100")
    return at_ns


def _absolute_ns(text: str) -> int:
    try:
        moment = dt.datetime.fromisoformat(text)
        if moment.tzinfo is None or "T" not in text:
            raise ValueError(text)
        since = moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    except (ValueError, OverflowError) as error:
        raise BadRequest(
            f"{text!r} is not a time: write 2026-01-31T12:00:00Z, now, or a relative one such as -15m"
        ) from error
    return (since.days * 86_400 + since.seconds) * S_NS + since.microseconds * 1000


def time_range(start: str, end: str, now_ns: int) -> Range:
    """
    Return the range from *start* to *end*; an empty *end* is now, an empty *start* lies 15 minutes before it.

    Raises:
        BadRequest: a time cannot be read, the range is empty, backwards, or longer than 31 days.
    """
    end_ns = time_ns(end or "now", now_ns)
    start_ns = time_ns(start, now_ns) if start else max(end_ns - 900 * S_NS, EARLIEST_NS)
    if start_ns >= end_ns:
        raise BadRequest("`from` must be before `to`")
    if end_ns - start_ns > MAX_RANGE_S * S_NS:
        raise BadRequest(f"the range is longer than {MAX_RANGE_S // 86_400} days: ask for less")
    return Range(start_ns, end_ns)


def aligned(over: Range, width_s: int) -> Range:
    """
    Return the whole buckets of *width_s* that *over* touches.
    """
    width_ns = width_s * S_NS
    return Range(over.start_ns // width_ns * width_ns, -(-over.end_ns // width_ns) * width_ns)


def step_s(asked: int, over: Range, finest_s: int) -> int:
    """
    Return the step of a time line in seconds: what is *asked*, or for 0 the finest stored one that a chart can show.

    It is rounded up to a multiple of *finest_s*, the finest that is still kept.

    Raises:
        BadRequest: the step is no multiple of 10 s, or the time line would have too many points.
    """
    if asked % RESOLUTIONS_S[0]:
        raise BadRequest("`step` must be a multiple of 10 seconds")
    step = asked or next((step for step in RESOLUTIONS_S if over.seconds / step <= FULL_POINTS), RESOLUTIONS_S[-1])
    if over.seconds / step > MAX_POINTS:
        raise BadRequest(f"the time line would have more than {MAX_POINTS} points: ask for a longer `step`")
    return -(-step // finest_s) * finest_s


def encode_cursor(over: Range, key: tuple[int | float | str, ...]) -> str:
    """
    Return the cursor after the item with *key*.
    """
    packed = msgspec.msgpack.encode(Cursor(over.start_ns, over.end_ns, list(key)))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode_cursor(text: str, shape: tuple[type, ...]) -> tuple[Range, tuple[Any, ...]]:
    """
    Return the range and the key in a cursor whose key has the types of *shape*.

    Raises:
        BadRequest: it is not one of ours.
    """
    try:
        packed = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        cursor = msgspec.msgpack.decode(packed, type=Cursor)
    except (msgspec.DecodeError, binascii.Error, UnicodeError, ValueError) as error:
        raise BadRequest("`cursor` is not the `next` of a page before") from error
    if [type(part) for part in cursor.key] != list(shape) or cursor.start_ns > cursor.end_ns:
        raise BadRequest("`cursor` belongs to another list")
    if any(isinstance(part, int) and abs(part) >= 1 << 63 for part in cursor.key):
        raise BadRequest("`cursor` is not the `next` of a page before")
    return Range(cursor.start_ns, cursor.end_ns), tuple(cursor.key)


def asked(ask: Ranged | RangedListing, now_ns: int) -> Range:
    """
    Return the range that *ask* names, `LIVE` when it names none.
    """
    return time_range(ask.start, ask.end, now_ns) if ask.start or ask.end else LIVE


def range_of(
    ask: EndpointList | InstanceList | SpanList | AnomalyList, now_ns: int, shape: tuple[type, ...]
) -> tuple[Range, tuple[Any, ...] | None]:
    """
    Return the range of *ask*, or of its cursor, and the key after which to go on.
    """
    if ask.cursor:
        return decode_cursor(ask.cursor, shape)
    return time_range(ask.start, ask.end, now_ns), None


def paged(
    items: Iterable[T],
    key: Callable[[T], tuple[int | float | str, ...]],
    shape: tuple[type, ...],
    ask: Listing,
    over: Range,
    page: type[Page[T]],
) -> Page[T]:
    """
    Return the *page* of *items*, sorted by *key* ascending, that *ask* wants.

    Raises:
        BadRequest: the cursor is not one of ours.
    """
    after = decode_cursor(ask.cursor, shape)[1] if ask.cursor else None
    rest = sorted((item for item in items if after is None or key(item) > after), key=key)
    here = rest[: ask.limit]
    more = len(rest) > len(here)
    return page(items=here, next=encode_cursor(over, key(here[-1])) if more else None)
