"""
No bytes, however shaped, make a protocol raise what it must not, leak, or take longer than they deserve.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.errors import Malformed
from shared.protocols import mask, protocols, recognise
from tests.shared.protocols.conftest import captures

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.protocols import WireProtocol

GOLDEN = [part for capture in captures() for part in (capture.request, capture.response)]
EXAMPLES = 200


@st.composite
def hostile(draw: st.DrawFn) -> bytes:
    """
    Real bytes that were cut, repeated, joined in the middle, or whose lengths were stretched.
    """
    head = draw(st.sampled_from(GOLDEN))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(head)))
        match draw(st.sampled_from(("cut", "skip", "repeat", "stretch", "digits", "splice", "noise"))):
            case "cut":
                head = head[:at]
            case "skip":
                head = head[at:]
            case "repeat":
                head = head[:at] + head[at : at + 40] * draw(st.integers(2, 8)) + head[at:]
            case "stretch":
                length = draw(st.sampled_from((b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\0\0\0\x03")))
                head = head[:at] + length + head[at + 4 :]
            case "digits":
                head = head[:at] + b"9" * draw(st.integers(1, 5000)) + head[at:]
            case "splice":
                head = head[:at] + draw(st.sampled_from(GOLDEN))
            case "noise":
                head = head[:at] + draw(st.binary(max_size=16)) + head[at:]
    return head[:4096]


anything = st.one_of(hostile(), st.binary(max_size=600))


@settings(max_examples=EXAMPLES, deadline=None)
@given(request=anything, response=anything)
def test_nothing_is_raised_but_malformed(request: bytes, response: bytes) -> None:
    """
    `confidence` and `mask` take any bytes; `parse` and `frame` raise `Malformed` at most, and consume what is there.
    """
    for protocol in protocols().values():
        assert 0.0 <= protocol.confidence(request, response) <= 1.0
        with contextlib.suppress(Malformed):
            protocol.parse(request, response)
        for buffer, side in ((request, False), (response, True)):
            try:
                length = protocol.frame(buffer, response=side)
            except Malformed:
                continue
            assert length is None or 0 < length <= len(buffer)


@settings(max_examples=EXAMPLES, deadline=None)
@given(request=anything, response=anything)
def test_masking_keeps_length_and_rests(request: bytes, response: bytes) -> None:
    """
    Whatever the bytes, masked ones are as long, and masking them again changes nothing.
    """
    for protocol in protocols().values():
        once = protocol.mask(request, response)

        assert (len(request), len(response)) == tuple(len(part) for part in once)
        assert once == protocol.mask(*once)


@settings(max_examples=EXAMPLES, deadline=None)
@given(request=anything, response=anything)
def test_masking_keeps_name_and_outcome(request: bytes, response: bytes) -> None:
    """
    What can be parsed can be parsed once it is masked, and to the same endpoint with the same outcome.
    """
    for protocol in protocols().values():
        try:
            before = protocol.parse(request, response)
        except Malformed:
            continue
        after = protocol.parse(*protocol.mask(request, response))

        assert (before.name, before.outcome, before.status) == (after.name, after.outcome, after.status)


@settings(max_examples=EXAMPLES, deadline=None)
@given(request=anything, response=anything)
def test_names_and_attributes_are_bounded_text(request: bytes, response: bytes) -> None:
    """
    Nothing of unbounded length, and no NUL, gets into a name or an attribute.
    """
    for protocol in protocols().values():
        try:
            parsed = protocol.parse(request, response)
        except Malformed:
            continue
        texts = [parsed.name, parsed.operation, *(str(value) for value in parsed.attributes.values())]

        assert max(len(text) for text in texts) <= 1100
        assert "\0" not in "".join(texts)


@settings(max_examples=EXAMPLES, deadline=None)
@given(buffer=hostile(), cut=st.integers(0, 4096))
def test_a_frame_that_is_there_stays(buffer: bytes, cut: int) -> None:
    """
    More bytes behind a whole frame do not move its end, and fewer of them are never an error.
    """
    for protocol in protocols().values():
        for response in (False, True):
            try:
                length = protocol.frame(buffer, response=response)
            except Malformed:
                continue
            if length is not None:
                assert length == protocol.frame(buffer[:length], response=response)
                if cut < length:
                    assert protocol.frame(buffer[:cut], response=response) is None


HOSTILE_SHAPES: dict[str, Callable[[int], bytes]] = {
    "many headers": lambda n: b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * n,
    "long path": lambda n: b"GET " + b"/a1" * n + b" HTTP/1.1\r\n\r\n",
    "long query": lambda n: b"GET /?" + b"a=b&" * n + b" HTTP/1.1\r\n\r\n",
    "bare line ends": lambda n: b"GET / HTTP/1.1\r\nA" + b"\n\r" * n,
    "nested arrays": lambda n: b"*1\r\n" * n,
    "empty inline commands": lambda n: b"\r\n" * n,
    "inline commands": lambda n: b"GET a\r\n" * n,
    "bulk strings": lambda n: b"*%d\r\n" % n + b"$1\r\na\r\n" * n,
    "quotes": lambda n: query(b"select '" + b"''" * n),
    "open comments": lambda n: query(b"/*" * n),
    "dollar tags": lambda n: query(b"$a$ $b$ " * n),
    "brackets": lambda n: query(b"select (" * n),
    "escapes": lambda n: query(b"select E'" + b"\\'" * n),
    "one long number": lambda n: query(b"9" * 4 * n),
    "small messages": lambda n: b"S\0\0\0\x04" * n,
    "pointers": lambda n: b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\xc0\x0c" * n,
    "labels": lambda n: b"\0\1\1\0\0\1\0\0\0\0\0\0" + b"\1a" * n + b"\0\0\1\0\1",
    "records": lambda n: b"\0\1\1\0\0\1\xff\xff\xff\xff\xff\xff" + b"\0\0\1\0\1" + b"\0\0\1\0\1\0\0\0\0\0\0" * n,
}


def query(sql: bytes) -> bytes:
    """
    Return a simple query.
    """
    return b"Q" + (len(sql) + 5).to_bytes(4, "big") + sql + b"\0"


def steps(work: Callable[[], Any]) -> int:
    """
    Return how many lines and calls *work* executes: a clock that other programs cannot disturb.
    """
    count = 0

    def tick(_frame: Any, _event: str, _argument: Any) -> Any:
        nonlocal count
        count += 1
        return tick

    before = sys.gettrace()
    sys.settrace(tick)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def everything(protocol: WireProtocol, head: bytes) -> None:
    """
    Ask all four questions.
    """
    protocol.confidence(head, head)
    protocol.mask(head, head)
    for ask in (lambda: protocol.parse(head, head), lambda: protocol.frame(head, response=False)):
        with contextlib.suppress(Malformed):
            ask()


@pytest.mark.parametrize("shape", HOSTILE_SHAPES)
def test_time_is_linear(protocol: WireProtocol, shape: str) -> None:
    """
    Four times the bytes take at most about four times the steps.
    """
    few, many = (steps(lambda n=n: everything(protocol, HOSTILE_SHAPES[shape](n))) for n in (250, 1000))  # type: ignore[misc]  # a default binds n

    assert many <= 5 * few + 2000


TOKENS = [
    b"4111111111111111",
    b"bob@example.org",
    b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2VjcmV0",
    b"AKIAIOSFODNN7EXAMPLE",
    b"ghp_16C7e42F292c6912E7710c838347Ae178B4a",
]
CORPUS = [*TOKENS, b"s3cr3t-value", b"Tr0ub4dor&3", b"correct-horse-battery", b"hunter2hunter2"]


@pytest.mark.parametrize("secret", CORPUS, ids=[s.decode()[:12] for s in CORPUS])
def test_secrets_do_not_survive(secret: bytes) -> None:
    """
    Wherever applications put secrets, masked heads do not hold them, whole or in part, however they are cut.
    """
    size = len(secret)
    places = [
        b"GET /x?token=%b HTTP/1.1\r\n\r\n" % secret,
        b"GET /x HTTP/1.1\r\nAuthorization: Bearer %b\r\nX-Api-Key: %b\r\nCookie: a=%b\r\n\r\n"
        % (secret, secret, secret),
        b"POST /x HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (size, secret),
        b"GET http://user:%b@host/x HTTP/1.1\r\n\r\n" % secret,
        b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%b\r\n" % (size, secret),
        b"*5\r\n$5\r\nHELLO\r\n$1\r\n3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$%d\r\n%b\r\n" % (size, secret),
        b"*4\r\n$6\r\nCONFIG\r\n$3\r\nSET\r\n$11\r\nrequirepass\r\n$%d\r\n%b\r\n" % (size, secret),
        b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$%d\r\n%b\r\n" % (size, secret),
        b"AUTH %b\r\n" % secret,
        query(b"select * from t where a = '%b' and b = E'\\'%b' -- %b\n/* %b */" % ((secret,) * 4)),
        query(b"select $$%b$$, $q$%b$q$, U&'%b', X'%b'" % ((secret,) * 4)),
        query(b"alter role r password '%b" % secret),
        b"p" + (size + 5).to_bytes(4, "big") + secret + b"\0",
        b"B" + (size + 4 + 2 + 6 + 4).to_bytes(4, "big") + b"\0\0\0\0\0\1" + size.to_bytes(4, "big") + secret,
    ]
    for place in places:
        for cut in range(1, len(place) + 1):
            masked = mask(recognise(place[:cut], b"")[0], place[:cut], b"")[0]
            every = [masked, *(protocol.mask(place[:cut], b"")[0] for protocol in protocols().values())]

            assert not any(secret[:6] in one or secret[-6:] in one for one in every), place


@pytest.mark.parametrize("secret", TOKENS, ids=[s.decode()[:12] for s in TOKENS])
def test_tokens_in_paths_and_keys_do_not_survive(secret: bytes) -> None:
    """
    A path's segment or a key's part that looks like a token, an address or a card is masked.
    """
    for place in (
        b"GET /reset/%b/now HTTP/1.1\r\n\r\n" % secret,
        b"*2\r\n$3\r\nGET\r\n$%d\r\nsession:%b\r\n" % (len(secret) + 8, secret),
    ):
        assert secret not in mask(recognise(place, b"")[0], place, b"")[0]
