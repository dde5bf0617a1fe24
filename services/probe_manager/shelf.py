"""
Compiled probes kept for the next start, which then needs no compiler: most of the time that a start takes.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager.compiler import Compiled

if TYPE_CHECKING:
    from services.probe_manager.compiler import Unit

MOST: Final = 64
"""Compiled probes kept; the oldest make room."""


class Shelf:
    """
    A folder of compiled probes, each named by the digest of all that it was made from.
    """

    def __init__(self, folder: Path, made_from: str) -> None:
        """
        Declare the folder; *made_from* stands for the header tree and the kernel.
        """
        self._folder: Final = folder
        self._made_from: Final = made_from

    def take(self, unit: Unit) -> Compiled | None:
        """
        Return what was compiled from *unit*, or None; a file that others could have written does not count.
        """
        path = self._path(unit)
        with contextlib.suppress(OSError, msgspec.DecodeError):
            if not _is_ours(path.parent) or not _is_ours(path):
                return None
            return msgspec.msgpack.decode(path.read_bytes(), type=Compiled)
        return None

    def put(self, unit: Unit, compiled: Compiled) -> None:
        """
        Keep *compiled*; where it cannot be written, the next start compiles again.
        """
        path = self._path(unit)
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, mode=0o700, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}")
            part.touch(mode=0o600)
            part.write_bytes(msgspec.msgpack.encode(compiled))
            part.replace(path)
            for old in sorted(self._folder.glob("*.probe"), key=os.path.getmtime)[:-MOST]:
                old.unlink()

    def _path(self, unit: Unit) -> Path:
        digest = hashlib.sha256(f"{self._made_from} {_compiler()} ".encode())
        digest.update(msgspec.msgpack.encode(unit))
        return self._folder / f"{digest.hexdigest()[:32]}.probe"


def _is_ours(path: Path) -> bool:
    found = path.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _compiler() -> str:
    package = importlib.util.find_spec("bcc")
    origin = package.origin if package else None
    return f"{origin} {Path(origin).stat().st_mtime_ns}" if origin else "none"
