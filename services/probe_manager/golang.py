"""
Where crypto/tls reads and writes in a program made by Go, also when its symbols were stripped.

Go moves its stacks, so nothing may be attached to a function's return address: the RET instructions themselves are
found instead (instructions.py). Functions are found in the symbol table, or in the table that Go's runtime keeps to
print its stack traces, which stripping leaves.

https://go.dev/src/runtime/symtab.go
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Final

from services.probe_manager.elf import Function
from services.probe_manager.instructions import returns
from shared.errors import Malformed

if TYPE_CHECKING:
    from services.probe_manager.elf import Elf

WRITE, READ, HANDSHAKE = "crypto/tls.(*Conn).Write", "crypto/tls.(*Conn).Read", "crypto/tls.(*Conn).handshakeContext"
BEGINS: Final = {WRITE: "uprobe__go_write", READ: "uprobe__go_read", HANDSHAKE: "uprobe__go_handshake"}
END: Final = "uprobe__go_end"
OLDEST: Final = (1, 17)
"""The first Go that passes arguments in registers."""
_BUILD_INFO: Final = b"\xff Go buildinf:"
_VERSION: Final = re.compile(rb"go1\.(\d+)")
_TABLE: Final = struct.Struct("<IBBBBQQQQQQQQ")
_MAGICS: Final = {0xFFFFFFF1: "1.20", 0xFFFFFFF0: "1.18"}
_MOST_FUNCTIONS: Final = 1 << 20
_MOST_BYTES: Final = 1 << 16


def is_go(elf: Elf) -> bool:
    """
    Return whether Go made the program.
    """
    return elf.section(".go.buildinfo") is not None or elf.section(".gopclntab") is not None


def places(elf: Elf) -> tuple[list[tuple[str, int]], str]:
    """
    Return programs with their places, and why there are none where the program could speak TLS.
    """
    version = _version(elf)
    if version < OLDEST:
        return [], f"Go {version[0]}.{version[1]} passes arguments on the stack; 1.17 and later can be read"
    found = elf.functions(list(BEGINS))
    if len(found) < len(BEGINS):
        found = _from_runtime_table(elf)
    if WRITE not in found or READ not in found:
        return [], ""  # it does not speak TLS
    hooks: list[tuple[str, int]] = []
    for name, function in found.items():
        code = elf.read(function.offset, min(function.size, _MOST_BYTES))
        ends = returns(code)
        if not ends:
            return [], f"the end of {name} was not found"
        hooks.append((BEGINS[name], function.offset))
        hooks += [(END, function.offset + end) for end in ends]
    return hooks, ""


def _version(elf: Elf) -> tuple[int, int]:
    section = elf.section(".go.buildinfo")
    if section is not None:
        start = elf.read(section.offset, min(section.size, 4096))
        said = _VERSION.search(start) if start.startswith(_BUILD_INFO) else None
        if said is not None:
            return 1, int(said[1])
    return OLDEST  # before 1.18 the version is elsewhere; the table of functions tells the rest


def _from_runtime_table(elf: Elf) -> dict[str, Function]:
    """
    Return the functions of *BEGINS* that the runtime's own table names.
    """
    section, text = elf.section(".gopclntab"), elf.section(".text")
    if section is None or text is None:
        return {}
    table = elf.read(section.offset, section.size)
    if len(table) < _TABLE.size:
        return {}
    magic, _, _, _, width, count, _, start, names_at, _, _, _, functions_at = _TABLE.unpack_from(table)
    if magic not in _MAGICS or width != 8 or not 0 < count <= _MOST_FUNCTIONS:
        return {}
    start = start or text.address  # 1.26 leaves it to the linker
    if functions_at + 8 * count + 4 > len(table):
        raise Malformed("Go's table of functions is cut short")
    wanted = {name.encode(): name for name in BEGINS}
    found: dict[str, Function] = {}
    for index in range(count):
        address, record_at, following = struct.unpack_from("<III", table, functions_at + 8 * index)
        at = functions_at + record_at
        if at + 8 > len(table):
            raise Malformed("Go's table of functions points beyond its end")
        name_at = names_at + struct.unpack_from("<i", table, at + 4)[0]
        if table[name_at : name_at + 18] != b"crypto/tls.(*Conn)":
            continue
        name = wanted.get(table[name_at : table.find(b"\0", name_at)])
        offset = elf.offset_of(start + address)
        if name is not None and offset is not None:
            found[name] = Function(offset, following - address)
    return found
