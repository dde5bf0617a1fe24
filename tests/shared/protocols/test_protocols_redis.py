"""
Redis: commands, keys and replies, in both forms and both versions.
"""

from __future__ import annotations

import re
from typing import Final

import pytest

from services.probe_manager.assembly import SOURCES
from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols import _redis_errors
from shared.protocols.redis import PROTOCOL

FAULTS: Final = {"NOBODY": Outcome.OK, "CALLER": Outcome.CLIENT_ERROR, "SERVER": Outcome.SERVER_ERROR}


def command(*words: str) -> bytes:
    """
    Return an array of bulk strings.
    """
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word.encode()) for word in words)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("GET", "cart:12:items"), ("GET", "cart:12:items")),
        (("GET", "session:eyJhbGciOiJIUzI1NiJ9"), ("GET", "session:********************")),
        (("SET", "a", "secret", "EX", "60"), ("SET", "a", "******", "**", "**")),
        (("AUTH", "bob", "secret"), ("AUTH", "***", "******")),
        (("HELLO", "3", "AUTH", "bob", "secret"), ("HELLO", "*", "****", "***", "******")),
        (("CONFIG", "SET", "requirepass", "secret"), ("CONFIG", "SET", "***********", "******")),
        (("EVAL", "return 1", "0"), ("EVAL", "********", "*")),
        (("ACL", "SETUSER", "bob", ">secret"), ("ACL", "SETUSER", "***", "*******")),
        (
            ("MIGRATE", "h", "1", "k", "0", "9", "AUTH", "secret"),
            ("MIGRATE", "*", "*", "*", "*", "*", "****", "******"),
        ),
        (("FT.SEARCH", "idx", "secret"), ("FT.SEARCH", "***", "******")),
    ],
)
def test_arguments_are_masked(words: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """
    The command and the pattern of its key stay.
    """
    assert command(*expected) == PROTOCOL.mask(command(*words), b"")[0]


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (b"+OK\r\n", b"+OK\r\n"),
        (b"+secret\r\n", b"+******\r\n"),
        (b"-ERR no 'secret'\r\n", b"-ERR ** ********\r\n"),
        (b":42\r\n", b":00\r\n"),
        (b"$6\r\nsecret\r\n", b"$6\r\n******\r\n"),
        (b"$-1\r\n", b"$-1\r\n"),
        (b"*2\r\n$1\r\na\r\n:7\r\n", b"*2\r\n$1\r\n*\r\n:0\r\n"),
        (b"%1\r\n+a\r\n,1.5\r\n", b"%1\r\n+*\r\n,000\r\n"),
        (b"!8\r\nERR a\r\nb\r\n", b"!8\r\nERR *\r\n*\r\n"),
        (b"_\r\n#t\r\n", b"_\r\n#t\r\n"),
        (b"$6\r\nsec", b"$6\r\n***"),
    ],
)
def test_replies_are_masked(reply: bytes, expected: bytes) -> None:
    """
    Types, lengths, known states and error words stay.
    """
    assert expected == PROTOCOL.mask(b"", reply)[1]


def test_the_command_is_the_name_and_the_subcommand_its_operation() -> None:
    """
    The kernel hashes the command alone, so a container's subcommands share an endpoint.
    """
    parsed = PROTOCOL.parse(command("config", "get", "maxmemory"), b"*0\r\n")

    assert ("CONFIG", "CONFIG GET") == (parsed.name, parsed.operation)


def test_the_query_text_shows_the_keys_pattern() -> None:
    """
    Ids in keys collapse, other arguments are question marks.
    """
    parsed = PROTOCOL.parse(command("HSET", "cart:12:items", "sku", "9"), b":1\r\n")

    assert parsed.attributes["db.query.text"] == "HSET cart:{id}:items ? ?"


@pytest.mark.parametrize(
    ("reply", "word", "outcome", "status"),
    [
        (b"-WRONGTYPE x\r\n", "WRONGTYPE", Outcome.CLIENT_ERROR, 4),
        (b"-oops\r\n", "OTHER", Outcome.SERVER_ERROR, 99),
        (b"!8\r\nOOM full\r\n", "OOM", Outcome.SERVER_ERROR, 17),
        (b"-MOVED 3999 127.0.0.1:6381\r\n", "MOVED", Outcome.OK, 2),
        (b"-ASK 3999 127.0.0.1:6381\r\n", "ASK", Outcome.OK, 3),
        (b"-ERR max number of clients reached\r\n", "MAXCLIENTS", Outcome.SERVER_ERROR, 27),
        (b"-LOADING Redis is loading\r\n", "LOADING", Outcome.SERVER_ERROR, 18),
        (b"-BUSY a script runs\r\n", "BUSY", Outcome.SERVER_ERROR, 20),
    ],
)
def test_the_errors_word_says_who_is_at_fault(reply: bytes, word: str, outcome: Outcome, status: int) -> None:
    """
    The error's first word is its status code and has a number; a redirection is nobody's failure.
    """
    for seen in (reply, PROTOCOL.mask(b"", reply)[1]):
        parsed = PROTOCOL.parse(command("GET", "a"), seen)

        assert (outcome, status) == (parsed.outcome, parsed.status)
        assert word == parsed.attributes["db.response.status_code"]
        assert (parsed.attributes.get("error.type") == word) is (outcome is not Outcome.OK)


@pytest.mark.parametrize("reply", [b"$", b"=", b"$\r\n", b"*1\r\n$", b"$-1"])
def test_a_reply_that_is_cut_off_in_its_length_is_no_failure(reply: bytes) -> None:
    """
    A length that is not there, or not whole, says nothing of an error.
    """
    assert Outcome.OK is PROTOCOL.parse(command("GET", "a"), reply).outcome


def test_the_kernel_side_has_the_same_numbers() -> None:
    """
    Each word has the same number and the same one at fault on both sides; the kernel side looks at eight bytes.
    """
    text = (SOURCES / "l7" / "redis_commands.h").read_text(encoding="utf-8")
    said = {}
    for letters, fault, number in re.findall(r"case REDIS_WORD\((.*)\): return REDIS_(\w+)\((\d+)\);", text):
        word = "".join(re.findall("'(.)'", letters))
        said["MAXCLIE" if word == "ERR max " else word] = (FAULTS[fault], int(number))
    words = [*_redis_errors.CALLER, *_redis_errors.SERVER, *_redis_errors.REDIRECTIONS]

    assert said == {word[: 7 if word == "MAXCLIENTS" else 8]: _redis_errors.judged(word) for word in words}
    assert f"return REDIS_SERVER({_redis_errors.OTHER});" in text


def array(*words: str) -> bytes:
    """
    Return what version 2 of the protocol sends for a push.
    """
    return command(*words)


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (array("message", "news", "s3cr3t"), "MSG news"),
        (array("message", "orders:17", "s3cr3t"), "MSG orders:{id}"),
        (array("message", "orders.17/eu-west", "s3cr3t"), "MSG orders.{id}/eu-west"),
        (array("pmessage", "orders.*", "orders.17", "s3cr3t"), "PMSG orders.*"),
        (array("smessage", "session:eyJhbGciOiJIUzI1NiJ9", "s3cr3t"), "SMSG session:{id}"),
        (b">" + array("message", "news", "s3cr3t")[1:], "MSG news"),
        (b">2\r\n$10\r\ninvalidate\r\n*1\r\n$6\r\ns3cr3t\r\n", "PUSH invalidate"),
        (b'+1339518083.107412 [0 127.0.0.1:60866] "AUTH" "s3cr3t"\r\n', "PUSH monitor"),
    ],
)
def test_pushes_are_called_by_their_channel(head: bytes, name: str) -> None:
    """
    What a server says unasked has a name with ids collapsed, before and after masking, and keeps no secret.
    """
    masked = PROTOCOL.mask(head, b"")[0]

    assert name == PROTOCOL.parse(head, b"").name == PROTOCOL.parse(masked, b"").name
    assert masked == PROTOCOL.mask(masked, b"")[0]
    assert len(head) == len(masked) == PROTOCOL.frame(head, response=False)
    assert b"s3cr3t" not in masked
    assert PROTOCOL.confidence(head, b"") == PROTOCOL.confidence(masked, b"") > 0.5
    for cut in range(len(head)):
        assert b"s3cr3t" not in PROTOCOL.mask(head[:cut], b"")[0]


def test_a_push_whose_channel_is_cut_off_only_says_what_it_is() -> None:
    """
    A name that is not whole is no endpoint's.
    """
    parsed = PROTOCOL.parse(array("message", "news:of:today", "x")[:25], b"")

    assert ("MSG", True) == (parsed.name, parsed.stand_in)


def test_a_transaction_fails_with_its_first_error() -> None:
    """
    EXEC's array is one reply; other commands may have errors inside and have not failed.
    """
    reply = b"*3\r\n+OK\r\n$3\r\nabc\r\n-WRONGTYPE x\r\n"

    assert Outcome.CLIENT_ERROR is PROTOCOL.parse(command("EXEC"), reply).outcome
    assert Outcome.OK is PROTOCOL.parse(command("EVAL", "x", "0"), reply).outcome


@pytest.mark.parametrize(
    "reply",
    [
        b"|1\r\n+a\r\n+b\r\n:1\r\n",
        b"%2\r\n+a\r\n*2\r\n:1\r\n:2\r\n+c\r\n_\r\n",
        b"*-1\r\n",
        b"=7\r\ntxt:abc\r\n",
        b">1\r\n+a\r\n",
    ],
)
def test_nested_replies_are_one_frame(reply: bytes) -> None:
    """
    A reply ends with its last element; attributes belong to the reply behind them.
    """
    assert len(reply) == PROTOCOL.frame(reply + b"+next\r\n", response=True)
    assert all(PROTOCOL.frame(reply[:cut], response=True) is None for cut in range(len(reply)))


@pytest.mark.parametrize("buffer", [b"*1\r\n+a\r\n", b"*x\r\n", b"*1\r\n$99999999999\r\n", b"\x00", b"*1\n\r\n"])
def test_what_is_no_command_is_refused(buffer: bytes) -> None:
    """
    A command is an array of bulk strings with lengths that Redis allows.
    """
    with pytest.raises(Malformed):
        PROTOCOL.frame(buffer, response=False)
