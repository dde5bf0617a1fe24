"""
What the operator asks to be observed: parsing the setting, and the marks that tell the kernel side.

`bpf/include/membership.h` has the same numbers and layouts.
"""

from __future__ import annotations

import re
import struct
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_PATTERNS: Final = 4
PATTERN_BYTES: Final = 64
MAX_MARKS: Final = 256
_MARK: Final = struct.Struct("<IIQ")
_PATTERN: Final = struct.Struct(f"<III{PATTERN_BYTES}s{PATTERN_BYTES}s")
_FORMS: Final = "tree:<pid>, cgroup:/<path>, netns:<name or inode>, exe:/<path> (one * allowed), port:<number>, or host"


class Kind(IntEnum):
    """
    By what a process is in scope.
    """

    TREE = 1
    CGROUP = 2
    NETNS = 4
    EXECUTABLE = 8
    PORT = 16
    HOST = 32
    EXCLUDED = 64


class Rule(msgspec.Struct, frozen=True):
    """
    One rule; a process is in scope when one of them holds.
    """

    kind: Kind
    text: str
    """What the operator wrote: a pid, a path, a name, a pattern, a port."""

    @property
    def words(self) -> str:
        """
        Return the rule as a reader would say it.
        """
        return _WORDS[self.kind].format(self.text)


class Mark(msgspec.Struct, frozen=True):
    """
    A rule as the kernel side compares it: a number of its kind.
    """

    kind: Kind
    value: int

    def encode(self) -> bytes:
        """
        Return the key of the map `scope_marks`.
        """
        return _MARK.pack(self.kind, 0, self.value)


_NAMES: Final = {
    "tree": Kind.TREE,
    "cgroup": Kind.CGROUP,
    "netns": Kind.NETNS,
    "exe": Kind.EXECUTABLE,
    "port": Kind.PORT,
    "host": Kind.HOST,
}
_WORDS: Final = {
    Kind.TREE: "tree of pid {}",
    Kind.CGROUP: "cgroup {}",
    Kind.NETNS: "network namespace {}",
    Kind.EXECUTABLE: "executable {}",
    Kind.PORT: "server port {}",
    Kind.HOST: "the whole host",
}


def parse(text: str) -> list[Rule]:
    """
    Return the rules in *text*: separated by commas or blanks.

    Raises:
        ConfigError: a rule is malformed, or there is none.
    """
    rules = [_rule(word) for word in re.split(r"[,\s]+", text.strip()) if word]
    if not rules:
        raise ConfigError(f"the scope is empty; name what is to be observed: {_FORMS}")
    if any(rule.kind is Kind.HOST for rule in rules) and len(rules) > 1:
        raise ConfigError("the scope `host` includes everything; give it alone")
    if sum(rule.kind is Kind.EXECUTABLE for rule in rules) > MAX_PATTERNS:
        raise ConfigError(f"the scope has more than {MAX_PATTERNS} `exe:` patterns")
    if len(rules) > MAX_MARKS // 2:
        raise ConfigError(f"the scope has more than {MAX_MARKS // 2} rules")
    return rules


def _rule(word: str) -> Rule:
    name, colon, value = word.partition(":")
    kind = _NAMES.get(name)
    if kind is None or (kind is Kind.HOST) == bool(colon):
        raise ConfigError(f"scope `{word}` is not understood; write {_FORMS}")
    if kind is Kind.PORT and not (value.isdecimal() and 0 < int(value) < 65536):
        raise ConfigError(f"scope `{word}`: a port is a number from 1 to 65535")
    if kind is Kind.TREE and not (value.isdecimal() and int(value) > 0):
        raise ConfigError(f"scope `{word}`: a tree is named by the process id of its root")
    if kind is Kind.CGROUP and not value.startswith("/"):
        raise ConfigError(f"scope `{word}`: a cgroup path begins with a slash, at the root of cgroup v2")
    if kind is Kind.NETNS and not value:
        raise ConfigError(f"scope `{word}`: name the network namespace, or give its inode number")
    if kind is Kind.EXECUTABLE:
        encode_pattern(value)
    return Rule(kind, value)


def encode_pattern(pattern: str) -> bytes:
    """
    Return *pattern* as a value of the map `scope_patterns`.

    Raises:
        ConfigError: the pattern has no path, more than one star, or is too long.
    """
    prefix, star, suffix = pattern.partition("*")
    if "*" in suffix or not pattern.startswith(("/", "*")) or pattern == "*":
        raise ConfigError(f"scope `exe:{pattern}`: give a path from the root, or a part of one and a single *")
    if max(len(prefix.encode()), len(suffix.encode())) > PATTERN_BYTES:
        raise ConfigError(f"scope `exe:{pattern}`: before and after the * at most {PATTERN_BYTES} bytes each")
    head, tail = prefix.encode(), suffix.encode()
    return _PATTERN.pack(len(head), len(tail), not star, head, tail)


def encode_kinds(rules: Sequence[Rule]) -> bytes:
    """
    Return the value of the map `scope_kinds`.
    """
    kinds = 0
    for rule in rules:
        kinds |= rule.kind
    return kinds.to_bytes(4, "little")


def words(rules: Sequence[Rule]) -> str:
    """
    Return the scope in words.
    """
    return ", ".join(rule.words for rule in rules)
