"""
What the name of a compiled function says, and its instructions with the maps put in.

A function's name says where it is attached: `tp_btf__<tracepoint>` (typed), `raw_tracepoint__<tracepoint>`,
`bpf_iter__<target>` or `bpf_iter__bpf_map_elem__<map>`, `uprobe__<what>` and `uretprobe__<what>` (by uprobes.py, as
functions of libraries are found); `tail__<tracepoint>__<place>` is called by another program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPED, RAW, ITERATOR, TAIL = "tp_btf__", "raw_tracepoint__", "bpf_iter__", "tail__"
USER: Final = ("uprobe__", "uretprobe__")
_LOAD_MAP: Final = 0x18
_WORDS: Final = {TYPED: "tp_btf", TAIL: "tp_btf", RAW: "raw_tracepoint", ITERATOR: "iter"}


def point(function: str) -> str:
    """
    Return the tracepoint, or what comes first in its place.
    """
    return function.split("__")[1]


def place(function: str) -> int:
    """
    Return which place of the table of tail calls *function* takes.
    """
    return int(function.split("__")[2])


def target(function: str) -> tuple[str, str]:
    """
    Return what an iterator visits, and the map whose elements these are, or an empty text.
    """
    kind, _, over = function.removeprefix(ITERATOR).partition("__")
    return kind, over


def hook(function: str) -> str:
    """
    Return the attach point of *function* in words.
    """
    return f"{_WORDS[function.split('__', 1)[0] + '__']}:{point(function)}"


def with_maps(code: bytes, descriptors: Mapping[int, int]) -> bytes:
    """
    Return *code* with the file descriptors of its maps in place of the compiler's marks.
    """
    patched, at = bytearray(code), 0
    while at < len(patched):
        if patched[at] != _LOAD_MAP:
            at += 8
            continue
        if patched[at + 1] >> 4 == 1:
            marker = int.from_bytes(patched[at + 4 : at + 8], "little")
            patched[at + 4 : at + 8] = descriptors[marker].to_bytes(4, "little")
        at += 16
    return bytes(patched)
