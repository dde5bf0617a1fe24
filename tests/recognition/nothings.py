"""
Bytes that are no protocol at all, or the middle of something: files, numbers, letters, noise.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from typing import TYPE_CHECKING

from tests.recognition.dice import number, word

if TYPE_CHECKING:
    from tests.recognition.dice import Dice, Talk


def json_lines(dice: Dice) -> Talk:
    """
    Objects, one a line.
    """
    said = {word(dice): number(dice), "method": word(dice), "params": [word(dice)]}
    return b"", json.dumps(said).encode() + b"\n", json.dumps({"result": number(dice)}).encode() + b"\n"


def prefixed_protobuf(dice: Dice) -> Talk:
    """
    A private protocol: a length, and fields behind it.
    """
    body = b"".join(bytes([field << 3 | 2]) + bytes([len(w := word(dice).encode())]) + w for field in range(1, 6))
    size = dice.choice([">I", "<I", ">H", "<H"])
    return b"", struct.pack(size, len(body)) + body, struct.pack(size, 4) + b"\x08\x96\x01\x10"


def prefixed_noise(dice: Dice) -> Talk:
    """
    A private protocol: a length, a kind, an id, and what nobody can read.
    """
    body = dice.randbytes(dice.randrange(8, 200))
    asked = struct.pack(dice.choice([">IHI", "<IHI"]), len(body), dice.randrange(40), number(dice)) + body
    return b"", asked, struct.pack(">IHI", 20, 0, number(dice)) + dice.randbytes(20)


def message_pack(dice: Dice) -> Talk:
    """
    A call in MessagePack.
    """
    name = word(dice).encode()
    return b"", b"\x94\0" + bytes([dice.randrange(128), 0xA0 | len(name)]) + name + b"\x91\x07", b"\x94\1\1\xc0\x2a"


def noise(dice: Dice) -> Talk:
    """
    Any bytes.
    """
    return b"", dice.randbytes(dice.randrange(16, 256)), dice.randbytes(dice.randrange(16, 128))


def letters(dice: Dice) -> Talk:
    """
    Any letters.
    """
    return (
        b"",
        "".join(dice.choices(" abcdefghijklmnopqrstuvwxyzABCDEFGHIJ0123456789\r\n:/", k=150)).encode(),
        b"".join(dice.choice([b"ok ", b"no ", b"\n"]) for _ in range(9)),
    )


def small_numbers(dice: Dice) -> Talk:
    """
    Bytes that are mostly nought: what lengths and flags look like.
    """
    return (
        b"",
        bytes(dice.choice([0, 0, 0, 1, 2, 3, 4, 16, 255]) for _ in range(90)),
        bytes(dice.choice([0, 0, 1, 2]) for _ in range(60)),
    )


def compressed(dice: Dice) -> Talk:
    """
    A part of a compressed file.
    """
    packed = zlib.compress(dice.randbytes(200) + b"x" * 200)
    return b"", packed[dice.randrange(20) :], zlib.compress(b"done" * number(dice, 99))


def body_fragment(dice: Dice) -> Talk:
    """
    The middle of an upload.
    """
    form = f'--{number(dice)}\r\nContent-Disposition: form-data; name="{word(dice)}"\r\n\r\n{word(dice)}\r\n'
    markup = f"<html><body><p>{word(dice)}</p>" * 3
    encoded = base64.b64encode(dice.randbytes(120))
    return b"", dice.choice([form.encode(), markup.encode(), encoded, b"a=1&b=" + word(dice).encode()]), b"ok"


def table(dice: Dice) -> Talk:
    """
    A file of values.
    """
    rows = "".join(f"{number(dice)},{word(dice)},{number(dice)}.50\n" for _ in range(6))
    return b"", f"id,{word(dice)},price\n{rows}".encode(), b""
