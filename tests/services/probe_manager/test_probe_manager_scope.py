"""
The scope as the operator writes it, and as the kernel side reads it.
"""

from __future__ import annotations

import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.probe_manager import scope
from services.probe_manager.scope import Kind, Mark, Rule
from shared.errors import ConfigError


def test_rules_are_separated_by_commas_or_blanks() -> None:
    """
    Each kind of rule is understood, and the whole is said in words.
    """
    rules = scope.parse("tree:4711, cgroup:/shop  netns:cart,exe:/usr/sbin/nginx port:8080")

    assert [
        Rule(Kind.TREE, "4711"),
        Rule(Kind.CGROUP, "/shop"),
        Rule(Kind.NETNS, "cart"),
        Rule(Kind.EXECUTABLE, "/usr/sbin/nginx"),
        Rule(Kind.PORT, "8080"),
    ] == rules
    assert (31).to_bytes(4, "little") == scope.encode_kinds(rules)
    assert (
        "tree of pid 4711, cgroup /shop, network namespace cart, executable /usr/sbin/nginx, server port 8080"
        == scope.words(rules)
    )


def test_the_host_is_an_explicit_choice() -> None:
    """
    The whole host is observed only when that is what is written, and alone.
    """
    assert [Rule(Kind.HOST, "")] == scope.parse("host")
    with pytest.raises(ConfigError, match="alone"):
        scope.parse("host,port:80")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("everything", "not understood"),
        ("host:*", "not understood"),
        ("tree", "not understood"),
        ("tree:0", "process id"),
        ("tree:nginx", "process id"),
        ("port:65536", "1 to 65535"),
        ("port:-1", "1 to 65535"),
        ("cgroup:shop", "begins with a slash"),
        ("netns:", "name the network namespace"),
        ("exe:nginx", "path from the root"),
        ("exe:*", "path from the root"),
        ("exe:/a*b*c", "single"),
        ("exe:/" + "a" * 64, "at most 64"),
        ("exe:/1,exe:/2,exe:/3,exe:/4,exe:/5", "more than 4"),
        (",".join(f"port:{port}" for port in range(1, 131)), "more than 128"),
    ],
)
def test_what_is_wrong_is_named(text: str, why: str) -> None:
    """
    A scope that is not understood stops with a sentence about the rule.
    """
    with pytest.raises(ConfigError, match=why):
        scope.parse(text)


def test_patterns_have_the_layout_of_the_kernel_side() -> None:
    """
    A pattern is its two lengths, whether it is whole, and two texts of 64 bytes.
    """
    assert scope.encode_pattern("/opt/*/x") == (
        struct.pack("<III64s64s", 5, 2, 0, b"/opt/", b"/x")
    )  # fmt: skip
    assert (1).to_bytes(4, "little") == scope.encode_pattern("/sbin/nginx")[8:12]


def test_marks_have_the_layout_of_the_kernel_side() -> None:
    """
    A mark is its kind, four empty bytes and the number.
    """
    assert bytes([4, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0xF0]) == Mark(Kind.NETNS, 0xF0 << 56 | 1).encode()


@given(st.text())
def test_any_text_is_rules_or_a_sentence(text: str) -> None:
    """
    No text does anything else than parse or be refused.
    """
    rules: list[Rule] | None = None
    with contextlib.suppress(ConfigError):
        rules = scope.parse(text)

    assert rules is None or len(rules) > 0
