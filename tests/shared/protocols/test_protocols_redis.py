"""
Redis: commands, keys and replies, in both forms and both versions.
"""

from __future__ import annotations

import pytest

from shared.errors import Malformed
from shared.messages.kernel import Outcome
from shared.protocols.redis import PROTOCOL


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
    ("reply", "word"), [(b"-WRONGTYPE x\r\n", "WRONGTYPE"), (b"-oops\r\n", "ERR"), (b"!8\r\nOOM full\r\n", "OOM")]
)
def test_an_error_reply_is_the_servers_failure(reply: bytes, word: str) -> None:
    """
    The error's first word is its status code.
    """
    parsed = PROTOCOL.parse(command("PING"), reply)

    assert Outcome.SERVER_ERROR is parsed.outcome
    assert word == parsed.attributes["db.response.status_code"]


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
