"""
HPACK is read as its specification and another implementation have it, and bounded.
"""

from __future__ import annotations

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.protocols import _hpack

names = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20).map(str.encode)
headers = st.lists(st.tuples(names, st.binary(max_size=60)), max_size=20)


@settings(deadline=None)
@given(text=st.binary(max_size=200))
def test_huffman_codes_are_read_back(text: bytes) -> None:
    """
    What is packed is unpacked to the same, and has as many bits as promised.
    """
    packed = _hpack.packed(text)

    assert text == _hpack.unpacked(packed, whole=True)
    assert len(packed) == (_hpack.bits(text) + 7) // 8


@settings(deadline=None)
@given(blocks=st.lists(headers, max_size=4), huffman=st.booleans())
def test_blocks_of_another_encoder_are_read(blocks: list[list[tuple[bytes, bytes]]], huffman: bool) -> None:
    """
    One block after the other fills the table, as the encoder's own.
    """
    encoder, table = Encoder(), _hpack.Table()
    for block in blocks:
        raw = encoder.encode(block, huffman=huffman)
        found = [(field.name, field.value) for field in _hpack.fields(raw, table, whole=True)]

        assert block == found


def test_what_was_said_before_the_head_is_not_known() -> None:
    """
    A reference beyond the entries that were seen has neither name nor value; those that were seen are found.
    """
    encoder = Encoder()
    encoder.encode([("x-old", "1")])
    raw = encoder.encode([("x-new", "2"), ("x-old", "1"), ("x-new", "2")])
    found = [(field.name, field.value) for field in _hpack.fields(raw, [], whole=True)]

    assert [(b"x-new", b"2"), (None, None), (b"x-new", b"2")] == found


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"\x80", "field number 0"),
        (b"\xff\xff\xff\xff\xff\xff\x01", "number"),
        (b"\x00\x00\x01a", "without a name"),
        (b"\x04\x81\xff\xff", "without its end|padding|end of a text"),
        (b"\x04\x84\xff\xff\xff\xff", "end of a text"),
        (b"\x04\x81\x18", "padding"),
        (b"\x04\x05abc", "without its end"),
        (b"\x44", "without its end"),
    ],
)
def test_what_is_no_block_is_refused(raw: bytes, why: str) -> None:
    """
    Each way to be wrong is named.
    """
    with pytest.raises(Malformed, match=why):
        list(_hpack.fields(raw, [], whole=True))


def test_a_block_that_is_cut_off_says_what_is_there() -> None:
    """
    However little is there, the fields that are whole are those of the whole block.
    """
    asked = [(b":method", b"GET"), (b":path", b"/users/12345"), (b"x-key", b"some value")]
    raw = Encoder().encode(asked)
    for cut in range(len(raw)):
        found = [(f.name, f.value) for f in _hpack.fields(raw[:cut], [], whole=False)]

        assert all(field == known for field, known in zip(found, asked, strict=False) if None not in field)
