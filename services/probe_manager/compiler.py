"""
Compiling a probe with bcc, in a process that ends afterwards: `python -m services.probe_manager.compiler`.

The compiler's memory, some 120 MB, is never given back to a process that goes on. What comes out are instructions and
the shapes of maps. The header tree is `bpf/headers`, a stub; offsets come in as defines. An argument is how far the
process steps back behind others (nice), when nobody waits for it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any, Final

import msgspec

from services.probe_manager import bpf
from services.probe_manager.assembly import SOURCES

BACKGROUND: Final = 10
"""How far the compiler steps back when counting goes on without it: the observed programs come first."""


class Unit(msgspec.Struct, frozen=True):
    """
    What the compiler is asked for.
    """

    name: str
    text: str
    flags: list[str]


class CompiledMap(msgspec.Struct, frozen=True):
    """
    A map that a compiled probe uses, and the number that stands for it in its instructions.
    """

    marker: int
    shape: bpf.Shape


class Compiled(msgspec.Struct, frozen=True):
    """
    A compiled probe.
    """

    functions: dict[str, bytes]
    maps: dict[str, CompiledMap]


def _compile_here(unit: Unit) -> Compiled:
    os.environ["BCC_KERNEL_SOURCE"] = str(SOURCES / "headers")
    from bcc import lib

    # bcc.BPF() would attach what it recognises by name; here nothing is attached.
    flags = (ctypes.c_char_p * len(unit.flags))(*(flag.encode() for flag in unit.flags))
    module = lib.bpf_module_create_c_from_string(unit.text.encode(), 0, flags, len(unit.flags), True, None)
    if not module:
        raise SystemExit(1)
    maps: dict[str, CompiledMap] = {}
    for index in range(lib.bpf_num_tables(module)):
        figures = [_ask(lib, f"bpf_table_{what}_id", module, index) for what in _MAP_FIGURES]
        maps[_ask(lib, "bpf_table_name", module, index, ctypes.c_char_p).decode()] = CompiledMap(
            figures[0], bpf.Shape(*figures[1:])
        )
    functions: dict[str, bytes] = {}
    for index in range(lib.bpf_num_functions(module)):
        symbol = lib.bpf_function_name(module, index)
        start, size = lib.bpf_function_start(module, symbol), lib.bpf_function_size(module, symbol)
        functions[symbol.decode()] = ctypes.string_at(start, size)
    return Compiled(functions, maps)


_MAP_FIGURES: Final = ("fd", "type", "key_size", "leaf_size", "max_entries", "flags")


def _ask(lib: Any, function: str, module: int, index: int, kind: Any = ctypes.c_int) -> Any:  # bcc has no types
    question = getattr(lib, function)
    question.argtypes, question.restype = [ctypes.c_void_p, ctypes.c_ulonglong], kind
    return question(module, index)


if __name__ == "__main__":
    os.nice(int(sys.argv[1]))
    sys.stdout.buffer.write(
        msgspec.msgpack.encode(_compile_here(msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Unit)))
    )
