"""
Where a function of x86-64 returns: its instructions are walked by their lengths, so that a byte within one is never
taken for a RET.

Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, chapter 2 and appendix A.
"""

from __future__ import annotations

from typing import Final

_PREFIXES: Final = frozenset({0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3})
_OPERAND_SIZE, _ESCAPE, _VEX_3, _VEX_2, _EVEX = 0x66, 0x0F, 0xC4, 0xC5, 0x62
_RETURNS: Final = frozenset({0xC2, 0xC3})
_LONGEST: Final = 15

_ARITHMETIC: Final = [base + low for base in range(0, 0x40, 8) for low in range(4)]
_WITH_MODRM: Final = frozenset(
    [
        *(*_ARITHMETIC, 0x63, 0x69, 0x6B, *range(0x80, 0x90), 0xC0, 0xC1, 0xC6, 0xC7, *range(0xD0, 0xD4)),
        *(*range(0xD8, 0xE0), 0xF6, 0xF7, 0xFE, 0xFF),
    ]
)
_IMMEDIATE: Final = {
    **{base + 4: 1 for base in range(0, 0x40, 8)}, **{base + 5: 4 for base in range(0, 0x40, 8)},
    0x68: 4, 0x69: 4, 0x6A: 1, 0x6B: 1, **dict.fromkeys(range(0x70, 0x80), 1), 0x80: 1, 0x81: 4, 0x83: 1,
    **dict.fromkeys(range(0xA0, 0xA4), 8), 0xA8: 1, 0xA9: 4, **dict.fromkeys(range(0xB0, 0xB8), 1),
    **dict.fromkeys(range(0xB8, 0xC0), 4), 0xC0: 1, 0xC1: 1, 0xC2: 2, 0xC6: 1, 0xC7: 4, 0xC8: 3, 0xCA: 2, 0xCD: 1,
    **dict.fromkeys(range(0xE0, 0xE8), 1), 0xE8: 4, 0xE9: 4, 0xEB: 1,
}  # fmt: skip
"""Bytes behind the opcode and its operands, at the usual operand size."""
_SHRINK: Final = frozenset({0x05, 0x0D, 0x15, 0x1D, 0x25, 0x2D, 0x35, 0x3D, 0x68, 0x69, 0x81, 0xA9, 0xC7})
"""Their four bytes are two with an operand-size prefix."""
_BARE: Final = frozenset(
    [
        0x05,
        0x06,
        0x07,
        0x08,
        0x09,
        0x0B,
        *range(0x30, 0x38),
        0x77,
        0xA0,
        0xA1,
        0xA2,
        0xA8,
        0xA9,
        0xAA,
        *range(0xC8, 0xD0),
    ]
)
"""Behind 0F: without operands in memory."""
_BARE_IMMEDIATE: Final = frozenset([*range(0x70, 0x74), 0xA4, 0xAC, 0xBA, 0xC2, 0xC4, 0xC5, 0xC6])
"""Behind 0F: with one byte more."""


def returns(code: bytes) -> list[int]:
    """
    Return where in *code*, which begins with an instruction, the RETs are; nothing when it cannot be walked to its end.
    """
    found: list[int] = []
    at = 0
    while at < len(code):
        length, opcode = _instruction(code, at)
        if not length:
            return []
        if opcode in _RETURNS:
            found.append(at)
        at += length
    return found


def _instruction(code: bytes, start: int) -> tuple[int, int]:
    """
    Return the length of the instruction at *start*, 0 when it is none, and its opcode when that is of one byte.
    """
    at, short, wide = start, False, False
    head = code[start : start + _LONGEST] + bytes(_LONGEST)
    while head[at - start] in _PREFIXES:
        short |= head[at - start] == _OPERAND_SIZE
        at += 1
        if at - start > 4:
            return 0, 0
    if head[at - start] & 0xF0 == 0x40:
        wide = bool(head[at - start] & 8)
        at += 1
    opcode = head[at - start]
    rest = head[at - start + 1 :]
    if opcode == _ESCAPE:
        body = _escaped(rest)
        return (at - start + 1 + body, -1) if body else (0, 0)
    if opcode in (_VEX_2, _VEX_3, _EVEX):
        return at - start + _vector(opcode, rest), -1
    return at - start + 1 + _plain(opcode, rest, short, wide), opcode


def _plain(opcode: int, rest: bytes, short: bool, wide: bool) -> int:
    length = _IMMEDIATE.get(opcode, 0)
    if short and opcode in _SHRINK:
        length = 2
    if 0xB8 <= opcode < 0xC0:
        length = 8 if wide else 2 if short else 4
    if opcode in _WITH_MODRM:
        if opcode in (0xF6, 0xF7) and rest[0] >> 3 & 7 < 2:
            length = 1 if opcode == 0xF6 else 2 if short else 4
        length += _operand(rest)
    return length


def _escaped(rest: bytes) -> int:
    opcode = rest[0]
    if opcode == 0x38:
        return 2 + _operand(rest[2:])
    if opcode == 0x3A:
        return 3 + _operand(rest[2:])
    if opcode in _BARE:
        return 1
    if 0x80 <= opcode < 0x90:
        return 5
    if opcode in (0x04, 0x0A, 0x0C, 0x0E, 0x0F, 0xFF, 0x24, 0x25, 0x26, 0x27):
        return 0
    return 1 + _operand(rest[1:]) + (opcode in _BARE_IMMEDIATE)


def _vector(prefix: int, rest: bytes) -> int:
    """
    Return the length from the prefix on; *rest* lies behind its first byte.
    """
    behind = {_VEX_2: 1, _VEX_3: 2, _EVEX: 3}[prefix]
    table = 1 if prefix == _VEX_2 else rest[0] & (7 if prefix == _EVEX else 31)
    opcode = rest[behind]
    if table == 1 and opcode == 0x77:
        return 1 + behind + 1
    more = table == 3 or (table == 1 and opcode in _BARE_IMMEDIATE)
    return 1 + behind + 1 + _operand(rest[behind + 1 :]) + more


def _operand(rest: bytes) -> int:
    """
    Return the length of a ModR/M byte with what belongs to it.
    """
    mode, base = rest[0] >> 6, rest[0] & 7
    if mode == 3:
        return 1
    length = 1
    if base == 4:
        length, base = 2, rest[1] & 7
    if mode == 0:
        return length + (4 if base == 5 else 0)
    return length + (1 if mode == 1 else 4)
