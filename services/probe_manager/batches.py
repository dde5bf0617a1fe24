"""
Many entries of a map at once.

Most maps are nearly empty most of the time, and a place for their entries costs as much as it is large (it is filled
with zeros, page by page): so the first one is small.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from typing import Final

from services.probe_manager.syscalls import ask, buffer

_LOOKUP_BATCH: Final = 24


class Batch:
    """
    A walk over a map.
    """

    def __init__(self, fd: int, key_bytes: int, value_bytes: int, room: int) -> None:
        self._fd: Final = fd
        self._key_bytes: Final = key_bytes
        self._value_bytes: Final = value_bytes
        self._token: Final = ctypes.create_string_buffer(max(key_bytes, 8))
        self._begun = False
        self.ended = False
        """There is nothing more."""
        self.widen(room)

    def widen(self, room: int) -> None:
        """
        Have room for so many entries from now on.
        """
        self.room = room
        self._keys = ctypes.create_string_buffer(self._key_bytes * room)
        self._values = ctypes.create_string_buffer(self._value_bytes * room)

    def look_up(self) -> int:
        """
        Fetch the next entries, and return how many came; none is not the end.
        """
        token, keys, values = (ctypes.addressof(one) for one in (self._token, self._keys, self._values))
        attributes = buffer(
            struct.pack("<QQQQIIQQ", token if self._begun else 0, token, keys, values, self.room, self._fd, 0, 0)
        )
        try:
            ask(_LOOKUP_BATCH, attributes)
        except FileNotFoundError:
            self.ended = True
        except OSError as refusal:
            if refusal.errno != errno.ENOSPC:
                raise
            self.widen(4 * self.room)  # one bucket holds more than that, and comes whole or not at all
            return 0
        self._begun = True
        count: int = struct.unpack_from("<I", attributes, 32)[0]
        return count

    def taken(self, count: int) -> tuple[bytes, bytes, int]:
        """
        Return the *count* entries that came last: keys, values, and how many.
        """
        keys = ctypes.string_at(self._keys, count * self._key_bytes)
        return keys, ctypes.string_at(self._values, count * self._value_bytes), count
