"""
Questions are read strictly, within bounds, and pages continue where they ended.
"""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.query_api import answers, questions
from services.query_api.requests import (
    LATEST_NS,
    MAX_RANGE_S,
    BadRequest,
    Range,
    aligned,
    decode_cursor,
    encode_cursor,
    paged,
    read,
    read_body,
    step_s,
    time_ns,
    time_range,
)
from shared.units import S_NS

NOW_NS = 1_800_000_000 * S_NS


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("now", NOW_NS),
        ("-15m", NOW_NS - 900 * S_NS),
        ("-90s", NOW_NS - 90 * S_NS),
        ("-2d", NOW_NS - 172_800 * S_NS),
        ("1970-01-01T00:00:01Z", S_NS),
        ("1970-01-01T01:00:00.5+01:00", S_NS // 2),
    ],
)
def test_times_are_absolute_or_relative(text: str, expected_ns: int) -> None:
    """
    RFC 3339, `now`, and spans before now are read exactly.
    """
    assert expected_ns == time_ns(text, NOW_NS)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "-5",
        "5m",
        "-5w",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "9999-12-31T00:00:00Z",
        "-99999999d",
        "0001-01-01T00:00:00+14:00",
        "-٣m",
    ],
)
def test_what_is_no_time_is_refused(text: str) -> None:
    """
    A date without time or zone, another unit, and what lies outside 1970 to 2100 are refused.
    """
    with pytest.raises(BadRequest):
        time_ns(text, NOW_NS)


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_refused(text: str) -> None:
    """
    No text makes the reader of times fail in another way.
    """
    try:
        at_ns = time_ns(text, NOW_NS)
    except BadRequest:
        return

    assert 0 <= at_ns <= LATEST_NS


def test_a_range_is_bounded_and_forwards() -> None:
    """
    Without times the range is the last 15 minutes; backwards, empty and endless ones are refused.
    """
    assert Range(NOW_NS - 900 * S_NS, NOW_NS) == time_range("", "", NOW_NS)
    for start, end in (("now", "-5m"), ("now", "now"), ("-32d", "now")):
        with pytest.raises(BadRequest):
            time_range(start, end, NOW_NS)
    assert time_range("-31d", "now", NOW_NS).seconds == MAX_RANGE_S


@given(st.integers(0, LATEST_NS - 1), st.integers(1, 10**15), st.sampled_from([10, 60, 600, 3600]))
def test_aligned_ranges_cover_what_was_asked(start_ns: int, length_ns: int, width_s: int) -> None:
    """
    The whole buckets hold the asked range, and are less than one bucket wider at each end.
    """
    over = Range(start_ns, start_ns + length_ns)
    whole = aligned(over, width_s)

    assert 0 == whole.start_ns % (width_s * S_NS) == whole.end_ns % (width_s * S_NS)
    assert 0 <= over.start_ns - whole.start_ns < width_s * S_NS
    assert 0 <= whole.end_ns - over.end_ns < width_s * S_NS


@pytest.mark.parametrize(
    ("asked", "hours", "finest", "expected"),
    [
        (0, 0.25, 10, 10),
        (0, 6, 10, 60),
        (0, 24, 60, 600),
        (0, 720, 60, 21600),
        (30, 1, 10, 30),
        (30, 1, 60, 60),
        (90, 1, 60, 120),
    ],
)
def test_the_step_of_a_time_line_fits(asked: int, hours: float, finest: int, expected: int) -> None:
    """
    The step is the one asked for, or the finest that a chart can show, in whole steps of what is kept.
    """
    assert expected == step_s(asked, Range(0, int(hours * 3600) * S_NS), finest)


def test_steps_that_cannot_be_are_refused() -> None:
    """
    A step between the windows, or one that makes too many points, is refused.
    """
    for asked, hours in ((15, 1), (10, 24)):
        with pytest.raises(BadRequest):
            step_s(asked, Range(0, hours * 3600 * S_NS), 10)


def test_unknown_repeated_and_wild_parameters_are_refused() -> None:
    """
    Nothing is accepted that is not declared, and nothing out of its bounds.
    """
    for parameters in (
        [("nonsense", "1")],
        [("limit", "1"), ("limit", "2")],
        [("service", "x")],
        [("limit", "0")],
        [("limit", "many")],
        [("q", "\x00")],
        [("slow_s", "nan")],
        [("q", "x" * 257)],
    ):
        with pytest.raises(BadRequest):
            read(questions.ServiceEndpointList, parameters, {"service": "cart"})


def test_parameters_become_a_question() -> None:
    """
    Text from a query becomes numbers and truth values; the path's part is kept apart.
    """
    ask = read(
        questions.ServiceEndpointList,
        [("failing", "true"), ("limit", "7"), ("slow_s", "0.5"), ("from", "-1h")],
        {"service": "cart"},
    )

    assert (ask.service, ask.failing, ask.limit, ask.slow_s, ask.start) == ("cart", True, 7, 0.5, "-1h")


def test_bodies_are_strict() -> None:
    """
    A body is a JSON object with values of their own types; it cannot replace what the path says.
    """
    assert read_body(questions.SwitchProbe, b'{"on": true, "probe": "other"}', {"probe": "x"}).probe == "x"
    for body in (b"", b"[]", b'{"on": "true"}', b'{"on": true, "more": 1}', b"{", b"\xff", b"[" * 100_000):
        with pytest.raises(BadRequest):
            read_body(questions.SwitchProbe, body, {"probe": "x"})


@given(st.lists(st.tuples(st.integers(0, 3), st.text(max_size=3)), unique=True), st.integers(1, 5))
def test_pages_put_together_are_the_list(items: list[tuple[int, str]], limit: int) -> None:
    """
    Following the cursors gives every item once, in order.
    """
    keys = [(number, text.replace("\x00", "")) for number, text in items]
    found: list[tuple[int, str]] = []
    ask = questions.Listing(limit=limit)
    while True:
        page = paged(set(keys), lambda key: key, (int, str), ask, Range(1, 2), answers.Page[tuple[int, str]])
        found += page.items
        if page.next is None:
            break
        ask = questions.Listing(limit=limit, cursor=page.next)

    assert sorted(set(keys)) == found


@given(st.text(max_size=60) | st.binary(max_size=40).map(lambda raw: raw.hex()))
def test_foreign_cursors_are_refused(text: str) -> None:
    """
    A cursor that is not ours, or that belongs to another list, is refused and never anything else.
    """
    with pytest.raises(BadRequest):
        decode_cursor(text, (int, str))
    with pytest.raises(BadRequest):
        decode_cursor(encode_cursor(Range(0, 1), ("x",)), (int, str))


def test_a_cursor_keeps_its_range() -> None:
    """
    The pages of a list are about the range of the first one, whenever they are asked for.
    """
    assert (Range(5, 9), (1, "x")) == decode_cursor(encode_cursor(Range(5, 9), (1, "x")), (int, str))


def test_no_question_is_unbounded() -> None:
    """
    Every text and number that can be asked with has a limit.
    """
    for name, kind in vars(questions).items():
        if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
            continue
        _, components = msgspec.json.schema_components([kind])
        for field, schema in components[name]["properties"].items():
            bounded = {"maxLength", "maximum", "enum"} & set(schema) or schema.get("pattern", "").endswith(")?$")

            assert schema["type" if "type" in schema else "enum"] == "boolean" or bounded, f"{name}.{field}"
