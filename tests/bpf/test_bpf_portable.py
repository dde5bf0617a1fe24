"""
What older verifiers refuse and this kernel's does not: found in the compiled programs, without those kernels.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from services.probe_manager.assembly import SOURCES
from tests.compiled import SharedKernel

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel

INSTRUCTION: Final = struct.Struct("<BBhi")
LOAD_64, JUMP, CALL, EXIT = 0x18, 0x05, 0x85, 0x95
JUMPS: Final = (5, 6)
"""Classes of instructions."""


def edges(at: int, operation: int, offset: int) -> list[tuple[int, bool]]:
    """
    Return where an instruction may go on, and whether an edge back to there is allowed.
    """
    if operation == LOAD_64:
        return [(at + 2, False)]
    if operation == EXIT:
        return []
    if operation & 7 not in JUMPS or operation == CALL:
        return [(at + 1, False)]
    if operation == JUMP:
        return [(at + offset + 1, True)]
    return [(at + 1, True), (at + offset + 1, True)]


def falls_back(code: bytes) -> list[int]:
    """
    Return the instructions that fall through into a loop that was entered by a jump, as check_cfg of Linux 6.1 walks.
    """
    program = [(operation, offset) for operation, _, offset, _ in INSTRUCTION.iter_unpack(code)]
    on_the_way, done, found = {0}, set[int](), []
    stack: list[tuple[int, Iterator[tuple[int, bool]]]] = [(0, iter(edges(0, *program[0])))]
    while stack:
        at, onward = stack[-1]
        for target, allowed in onward:
            if target in on_the_way:
                if not allowed:
                    found.append(at)
            elif target not in done:
                on_the_way.add(target)
                stack.append((target, iter(edges(target, *program[target]))))
                break
        else:
            on_the_way.discard(at)
            done.add(at)
            stack.pop()
    return found


def test_a_loop_that_is_fallen_into_is_found() -> None:
    """
    The walk tells a loop closed by a jump, which is allowed, from one whose last instruction falls into its head.
    """
    add, back = INSTRUCTION.pack(0x07, 0, 0, 1), INSTRUCTION.pack(0x25, 0, -2, 9)
    leave, over = INSTRUCTION.pack(EXIT, 0, 0, 0), INSTRUCTION.pack(JUMP, 0, 1, 0)
    up = INSTRUCTION.pack(0x25, 0, -2, 9)

    assert [] == falls_back(add + back + leave)
    assert [1] == falls_back(over + add + up + leave)


@pytest.mark.parametrize("fallback", [False, True], ids=["preferred", "fallback"])
@pytest.mark.parametrize("path", sorted(SOURCES.glob("*.c")), ids=lambda path: path.stem)
def test_no_loop_is_fallen_into(path: Path, fallback: bool) -> None:
    """
    Verifiers before 6.4 refuse the compiler's way of turning some loops (`back-edge from insn`).
    """
    kernel = SharedKernel(Path(f"/sys/fs/bpf/meshlens-test-portable-{os.getpid()}"))
    try:
        functions: dict[str, bytes] = {}
        for unit in kernel._recipe.units(path.stem, fallback=fallback):
            functions |= kernel._compile(unit).functions
    finally:
        kernel.close(remove=True)

    assert {} == {name: found for name, code in functions.items() if (found := falls_back(code))}
