"""
Memcached: what is read, what is kept back, and what is no Memcached.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome, Protocol
from shared.protocols import recognise
from shared.protocols._registry import SURE
from shared.protocols.memcached import PROTOCOL

MISS = b"END\r\n"


@pytest.mark.parametrize(
    ("reply", "outcome", "status"),
    [
        (b"STORED\r\n", Outcome.OK, 0),
        (b"NOT_STORED\r\n", Outcome.OK, 5),
        (b"EXISTS\r\n", Outcome.OK, 2),
        (b"NOT_FOUND\r\n", Outcome.OK, 1),
        (b"ERROR\r\n", Outcome.CLIENT_ERROR, 0x81),
        (b"CLIENT_ERROR bad data chunk\r\n", Outcome.CLIENT_ERROR, 4),
        (b"SERVER_ERROR out of memory storing object\r\n", Outcome.SERVER_ERROR, 0x82),
        (b"SERVER_ERROR object too large for cache\r\n", Outcome.SERVER_ERROR, 0x84),
        (b"", Outcome.NO_RESPONSE, 0),
    ],
)
def test_replies_have_the_binary_protocols_numbers(reply: bytes, outcome: Outcome, status: int) -> None:
    """
    A word of a reply and the number that the binary protocol has for it are the same status.
    """
    parsed = PROTOCOL.parse(b"set key 0 0 2\r\nhi\r\n", reply)

    assert (outcome, status) == (parsed.outcome, parsed.status)


def test_a_miss_is_no_failure() -> None:
    """
    Nothing found is an attribute of a request that went well.
    """
    hit = PROTOCOL.parse(b"get key\r\n", b"VALUE key 0 2\r\nhi\r\nEND\r\n")
    miss = PROTOCOL.parse(b"get key\r\n", MISS)

    assert (Outcome.OK, 0, 1) == (hit.outcome, hit.status, hit.attributes["memcached.hit"])
    assert (Outcome.OK, 1, 0) == (miss.outcome, miss.status, miss.attributes["memcached.hit"])


@pytest.mark.parametrize(
    "request_head", [b"delete key noreply\r\n", b"md key q\r\n", b"set key 0 0 2 noreply\r\nhi\r\n"]
)
def test_what_wants_no_reply_went_well(request_head: bytes) -> None:
    """
    A command that forbids its reply is not one without an answer.
    """
    assert Outcome.OK is PROTOCOL.parse(request_head, b"").outcome


def test_many_keys_are_one_request() -> None:
    """
    A get of three keys is counted once and says how many it asked for.
    """
    parsed = PROTOCOL.parse(b"gets a b c\r\n", MISS)

    assert ("gets", 3) == (parsed.name, parsed.attributes["db.operation.batch.size"])


def test_keys_values_and_opaques_stay() -> None:
    """
    Of a command only its verb, its lengths and the letters of its flags leave the node.
    """
    request, response = PROTOCOL.mask(
        b"ms user:7 2 T60 Osecret\r\nhi\r\nget user:8\r\n", b"HD Osecret kuser:7\r\nVALUE user:8 17 2\r\nho\r\nEND\r\n"
    )

    assert b"ms ****** 2 T** O******\r\n**\r\nget ******\r\n" == request
    assert b"HD O****** k******\r\nVALUE ****** 00 2\r\n**\r\nEND\r\n" == response


def test_a_status_is_a_word_of_the_server() -> None:
    """
    The version and the names of statistics stay, what clients can put into messages does not.
    """
    assert b"VERSION 1.6.18\r\n" == PROTOCOL.mask(b"", b"VERSION 1.6.18\r\n")[1]
    assert b"STAT curr_items **\r\nEND\r\n" == PROTOCOL.mask(b"", b"STAT curr_items 12\r\nEND\r\n")[1]
    assert b"CLIENT_ERROR *** *****\r\n" == PROTOCOL.mask(b"", b"CLIENT_ERROR bad alice\r\n")[1]


def test_quiet_packets_have_their_commands_name() -> None:
    """
    A quiet get of the binary protocol is a get, and nobody waits for its answer.
    """
    quiet = bytes([0x80, 0x0D, 0, 3, 0, 0, 0, 0, 0, 0, 0, 3, *bytes(12)]) + b"key"
    parsed = PROTOCOL.parse(quiet, b"")

    assert ("get", Outcome.OK) == (parsed.name, parsed.outcome)


@pytest.mark.parametrize(
    ("request_head", "response"),
    [
        (b"get value\n", b"the value is 7\n"),
        (b"stats\r\n", b"OK 12\r\n---\r\n"),
        (b"quit\r\n", b"221 bye\r\n"),
        (b"get\r\n", b""),
        (b"set a b c\r\n", b""),
        (b"GET key\r\n", b"END\r\n"),
        (b"\x80\x01\x00\x01\x00\x00\x00\x04ping\x00\x00\x00\x00\x00", b""),
    ],
    ids=["a shell", "another's statistics", "mail", "no key", "no numbers", "upper case", "Thrift"],
)
def test_strangers_are_not_claimed(request_head: bytes, response: bytes) -> None:
    """
    Commands that lack something, and answers of somebody else, are no Memcached.
    """
    assert PROTOCOL.confidence(request_head, response) < SURE


def test_an_answer_makes_sure() -> None:
    """
    `version` alone may be anybody's; with the answer it is Memcached's.
    """
    assert Protocol.UNKNOWN is recognise(b"version\r\n", b"")[0]
    assert Protocol.MEMCACHED is recognise(b"version\r\n", b"VERSION 1.6.18\r\n")[0]


@pytest.mark.parametrize("buffer", [b"frobnicate\r\n", b"\xff", b"set k 0 0 99999999999\r\n", b"get " + b"k" * 70000])
def test_what_never_becomes_a_command(buffer: bytes) -> None:
    """
    An unknown verb, a length beyond all bounds and a line without an end are malformed.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(buffer, response=False)
