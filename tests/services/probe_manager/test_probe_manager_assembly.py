"""
The text that the compiler is handed: every header once, and every framed protocol written out.
"""

from __future__ import annotations

import re

import pytest

from services.probe_manager.assembly import (
    ALWAYS,
    RECOGNISE,
    SOURCES,
    assemble,
    framed_protocols,
    parts,
    wanted_protocols,
)
from shared.errors import ConfigError
from shared.messages.kernel import Protocol

PROBE = SOURCES / "socket_l7.c"


def test_every_framed_protocol_has_its_programs() -> None:
    """
    Each has one tail program for each set of hooks, in the slot of its number, and one call of its matcher.
    """
    text = assemble(PROBE)

    for framed in framed_protocols():
        for tracepoint in ("sock_recv_length", "sys_exit"):
            assert 1 == text.count(f"int tail__{tracepoint}__{framed.number}(")
        assert 1 == text.count(f"match = {framed.name}_match(conn, f);")
        assert Protocol(framed.number) is not Protocol.UNKNOWN


def test_magic_words_are_asked_before_mere_structure() -> None:
    """
    The matchers stand in the order of their ranks.
    """
    asked = re.findall(r"match = (\w+)_match\(conn, f\);", assemble(PROBE))
    ranks = {framed.name: framed.rank for framed in framed_protocols()}

    assert sorted(ranks[name] for name in asked) == [ranks[name] for name in asked]


def test_only_what_is_wanted_is_put_in() -> None:
    """
    A protocol that is off leaves nothing behind, not even in the masks; HTTP and Redis are never off.
    """
    without = assemble(PROBE, frozenset())

    assert f"#define FOLLOWED_BY_FRAMES {1 << Protocol.HTTP1 | 1 << Protocol.REDIS:#x}ULL" in without
    assert "dns_tcp_match" not in without
    assert ["http", "redis"] == sorted(framed.name for framed in framed_protocols(frozenset()))


def test_framed_protocols_are_a_part_of_their_own() -> None:
    """
    Every program is in one of two parts; the one that recognises is in both, and asks for less in the first.
    """
    text = assemble(PROBE)
    whole, first, second = (set(re.findall(r"^int (\w+)\(u64", one, re.MULTILINE)) for one in (text, *parts(text)))
    later = {framed.number for framed in framed_protocols() if framed.name not in ALWAYS}
    asked = [re.findall(r"match = (\w+)_match\(conn, f\);", part) for part in parts(text)]

    assert whole == first | second
    assert {f"tail__{hook}__{RECOGNISE}" for hook in ("sock_recv_length", "sys_exit")} == first & second
    assert later | {RECOGNISE} == {int(name.rpartition("__")[2]) for name in second}
    assert set(ALWAYS) == set(asked[0])
    assert {framed.name for framed in framed_protocols()} == set(asked[1])
    assert "" == parts(assemble(SOURCES / "listen_queue.c"))[1]


def test_nothing_is_left_to_write_out() -> None:
    """
    No marker and no include is left for the compiler.
    """
    text = assemble(PROBE)

    assert [] == re.findall(
        r"^(?:FRAMED_HEADERS|\tFRAMED_MATCHERS|CONN_STORE\(.*|\tFORGET_STORES)$", text, re.MULTILINE
    )
    assert '#include "' not in text


def test_switched_off_protocols() -> None:
    """
    Those named are left out; a name that nobody knows, or that is always followed, is an error that says so.
    """
    assert wanted_protocols("") is None
    assert frozenset(framed.name for framed in framed_protocols()) - {"dns_tcp"} == wanted_protocols(" dns_tcp, ")
    with pytest.raises(ConfigError, match=r"names no protocol: dnstcp; there are .*dns_tcp"):
        wanted_protocols("dnstcp")
    with pytest.raises(ConfigError, match="http, redis: always followed"):
        wanted_protocols("redis,http")
