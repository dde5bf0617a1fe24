"""
HTTP/2's heads: masking that keeps names, blocks over several frames, and neighbours that are not HTTP/2.
"""

from __future__ import annotations

import pytest
from hpack import Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import mask, protocols, recognise
from shared.protocols._http2_frames import PREFACE
from shared.protocols._registry import SURE

HTTP2 = protocols()[Protocol.HTTP2]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """
    Return a frame.
    """
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def block(*fields: tuple[str, str], huffman: bool = True) -> bytes:
    """
    Return a header block.
    """
    return bytes(Encoder().encode(fields, huffman=huffman))


def request(path: str, *more: tuple[str, str], huffman: bool = True) -> bytes:
    """
    Return a request's frame.
    """
    return frame(1, 5, 1, block((":method", "GET"), (":scheme", "http"), (":path", path), *more, huffman=huffman))


segments = st.one_of(
    st.from_regex(r"[a-z]{1,12}", fullmatch=True),
    st.from_regex(r"[0-9]{1,20}", fullmatch=True),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=50),
)


@settings(deadline=None)
@given(parts=st.lists(segments, max_size=8), query=st.text("abc=&%s3", max_size=40), huffman=st.booleans())
def test_masked_paths_keep_their_length_and_name(parts: list[str], query: str, huffman: bool) -> None:
    """
    With or without Huffman's code, whole or cut anywhere, a masked path is as long and has the same name.
    """
    head = request("/" + "/".join(parts) + ("?" + query if query else ""), huffman=huffman)
    for cut in {len(head), len(head) - 1, len(head) * 2 // 3}:
        masked = HTTP2.mask(head[:cut], b"")[0]
        try:
            before = HTTP2.parse(head[:cut], b"")
        except Malformed:
            continue

        assert cut == len(masked)
        assert before.name == HTTP2.parse(masked, b"").name
        assert masked == HTTP2.mask(masked, b"")[0]


SECRETS = [
    "4111111111111111",
    "bob@example.org",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2VjcmV0",
    "AKIAIOSFODNN7EXAMPLE",
]


@pytest.mark.parametrize("huffman", [False, True])
@pytest.mark.parametrize("secret", SECRETS)
def test_secrets_do_not_survive_in_any_code(secret: str, huffman: bool) -> None:
    """
    Secrets in paths, queries, values, unknown names and bodies are gone, also when they were Huffman-coded.
    """
    more = (
        ("authorization", f"Bearer {secret}"),
        ("cookie", secret),
        ("x-" + secret.lower(), "1"),
        ("content-type", secret),
    )
    head = request(f"/reset/{secret}/now?token={secret}", *more, huffman=huffman) + frame(0, 1, 1, secret.encode())
    for cut in range(1, len(head) + 1):
        masked = mask(Protocol.HTTP2, head[:cut], b"")[0]
        texts = [masked]
        with_values = HTTP2.parse(masked, b"").attributes.values() if cut > 20 else ()
        texts += [str(value).encode() for value in with_values]

        assert not any(secret[:6].encode() in text or secret[-6:].encode() in text for text in texts)
        assert block(("x", secret))[4:12] not in masked


def test_a_block_over_several_frames_is_one() -> None:
    """
    Padding and priority are passed over, continuations belong to the frame before them.
    """
    raw = block((":method", "GET"), (":path", "/carts/7/items"))
    padded = frame(1, 0x29, 3, b"\x03" + bytes(4) + b"\x10" + raw[:5] + bytes(3))
    head = padded + frame(9, 0, 3, raw[5:8]) + frame(9, 4, 3, raw[8:])

    assert "GET /carts/{id}/items" == HTTP2.parse(head, b"").name
    assert "GET /carts/{id}/items" == HTTP2.parse(*HTTP2.mask(head, b"")).name


def test_the_first_stream_is_meant() -> None:
    """
    Other streams in the same bytes, and informational responses, say nothing about it.
    """
    asked = frame(1, 5, 3, block((":method", "GET"), (":path", "/a"))) + frame(1, 5, 5, block((":method", "PUT")))
    answered = frame(1, 4, 3, b"\x08\x03103") + frame(1, 5, 5, b"\x8e") + frame(1, 5, 3, b"\x8d")
    parsed = HTTP2.parse(asked, answered)

    assert ("GET /a", 404, Outcome.CLIENT_ERROR) == (parsed.name, parsed.status, parsed.outcome)


def test_a_reset_is_a_failure() -> None:
    """
    A stream that the server reset before it answered failed.
    """
    parsed = HTTP2.parse(request("/a"), frame(3, 0, 1, b"\0\0\0\x07"))

    assert (Outcome.SERVER_ERROR, "reset 7") == (parsed.outcome, parsed.attributes["error.type"])


def test_a_path_that_is_not_told_names_nothing() -> None:
    """
    A request that refers to what was said before the head is a stand-in.
    """
    parsed = HTTP2.parse(frame(1, 5, 7, b"\x82\x86\xbe\xbf"), b"")

    assert ("GET", True) == (parsed.name, parsed.stand_in)


NEIGHBOURS = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(64)),
    b"\x00\x00\x00\x2a\x00\x12\x00\x03\x00\x00\x00\x01\x00\x09client-id" + bytes(20),
    b"\x00\x00\x04\x01\x00\x00\x00\x00\x01abcd",
    b"\x00\x00\x08\x06\x00\x00\x00\x00\x01" + bytes(8),
    b"\x00\x00\x12\x01\x04\x00\x00\x00\x01" + bytes(range(18)),
    b"PRI something else entirely",
    b"*1\r\n$4\r\nPING\r\n",
    bytes(range(256)),
    bytes(64),
]


@pytest.mark.parametrize("head", NEIGHBOURS, ids=[repr(head[:8]) for head in NEIGHBOURS])
def test_neighbours_are_not_taken_for_it(head: bytes) -> None:
    """
    Bytes that begin like a frame, and are none, are no recognition.
    """
    assert HTTP2.confidence(head, b"") < SURE
    assert HTTP2.confidence(b"", head) < SURE


def test_the_preface_is_enough() -> None:
    """
    The first bytes of a connection say what it is, before any request.
    """
    for cut in range(15, len(PREFACE) + 1):
        assert Protocol.HTTP2 is recognise(PREFACE[:cut], b"")[0]
