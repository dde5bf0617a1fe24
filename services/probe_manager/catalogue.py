"""
The probes, from the block at the head of each file in `bpf/`: its question, hooks, cost, and what it misses.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST: Final = ("process_lifetime", "listen_queue", "tcp_connections")
"""Loaded in this order before all others: they know who is in scope, and which connections are open."""
REQUIRED: Final = frozenset({"process_lifetime"})
"""Without these nothing is in scope."""
_BLOCK: Final = re.compile(r"/\*\n(.*?)\*/", re.DOTALL)
_FIELD: Final = re.compile(r"^ \* (\w+): +(.*)$")
_MUST: Final = ("hooks", "emits", "kernel", "cost", "misses")


class Probe(msgspec.Struct, frozen=True):
    """
    What a probe says of itself.
    """

    name: str
    question: str
    hooks: str
    emits: str
    kernel: str
    cost: str
    misses: str
    fallback: str = ""


def read(name: str, source: str) -> Probe:
    """
    Return what the *source* of the probe *name* says in its first block.

    Raises:
        ConfigError: the block, or one of its fields, is not there.
    """
    block = _BLOCK.search(source)
    if block is None:
        raise ConfigError(f"bpf/{name}.c does not open with a block that says what it is for")
    fields: dict[str, str] = {"question": ""}
    current = "question"
    for line in block.group(1).splitlines():
        field = _FIELD.match(line)
        if field:
            current = field.group(1)
            fields[current] = field.group(2).strip()
        else:
            fields[current] = f"{fields[current]} {line.removeprefix(' *').strip()}".strip()
    missing = [field for field in _MUST if field not in fields]
    if missing or not fields["question"]:
        raise ConfigError(f"the block at the head of bpf/{name}.c lacks: {', '.join(missing) or 'its question'}")
    return Probe(name=name, fallback=fields.get("fallback", ""), **{key: fields[key] for key in ("question", *_MUST)})


def catalogue(sources: Mapping[str, str]) -> list[Probe]:
    """
    Return every probe of *sources*, name to text, in the order in which they are to be loaded.
    """
    order = [name for name in FIRST if name in sources]
    order += [name for name in sorted(sources) if name not in FIRST]
    return [read(name, sources[name]) for name in order]
