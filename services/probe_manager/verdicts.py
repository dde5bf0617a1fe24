"""
How a verdict on a connection that the kernel could not name is written for the kernel side to read.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from shared.messages.kernel import ProtocolVerdict

MAP: Final = "l7_verdicts"
"""Hash: instance and server port to the number of the protocol; `bpf/include/conn.h` reads it."""


def entry(verdict: ProtocolVerdict) -> tuple[bytes, bytes]:
    """
    Return key and value of *verdict*.
    """
    return struct.pack("<IHH", verdict.instance, verdict.port, 0), struct.pack("<I", verdict.protocol)
