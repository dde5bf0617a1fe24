"""
Words and ids: what names an endpoint, and what may leave the node.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.protocols._collapse import is_id, may_stay

WORDS = [
    b"", b"users", b"v1", b"oauth2", b"s3", b"app.js", b"order-items", b"getUserAccountDetails", b"_search",
    b"a_rather_long_name_of_a_route", b"index.html", b"facade", b"GETTING_STARTED_WITH_CAPITALS",
]  # fmt: skip
IDS = [
    b"1", b"12345", b"6f1e0c52-9a3b-4c1d-8e2f-0123456789ab", b"deadbeef1", b"alice@example.org", b"caf%C3%A9",
    b"4111111111111111", b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIi", b"2024-01-31", b"***", b"sk_live_51H8xQ2eZvKYlo2C", b"\xff",
    b"AbCdEfGhIjKlMnOpQrStUvWx", b"x" * 41,
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_words_name_what_is_asked_for(word: bytes) -> None:
    """
    What people write into routes stays as it is.
    """
    assert not is_id(word)
    assert may_stay(word)


@pytest.mark.parametrize("word", IDS)
def test_ids_collapse(word: bytes) -> None:
    """
    What tells one thing from its like is no part of a name.
    """
    assert is_id(word)


@pytest.mark.parametrize(("word", "expected"), [(b"123456789", True), (b"1234567890", False), (b"a" * 41, False)])
def test_only_short_numbers_stay(word: bytes, expected: bool) -> None:
    """
    A number as long as a telephone's or a card's does not leave the node.
    """
    assert may_stay(word) is expected


@given(st.text("0123456789abcdefxyzABCDEF-_.", max_size=40))
def test_whatever_the_kernel_collapses_is_an_id_here(text: str) -> None:
    """
    All requests of one hash have one name: the rule of `bpf/include/text.h`, written out again, is the narrower one.
    """
    digits = sum(c.isdigit() for c in text)
    hexadecimal = sum(c in "abcdefABCDEF-" for c in text)
    plain = digits + hexadecimal
    collapses = digits > 0 and (
        digits == len(text) or (plain == len(text) and plain >= 8) or (len(text) >= 16 and digits >= 4)
    )

    assert is_id(text.encode()) or not collapses
