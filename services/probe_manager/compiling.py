"""
Compiled probes: from the shelf, or from a compiler that runs beside, and that ends when nobody needs it any more.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager.assembly import SOURCES
from services.probe_manager.compiler import Compiled
from shared.errors import ConfigError

if TYPE_CHECKING:
    from services.probe_manager.compiler import Unit
    from services.probe_manager.shelf import Shelf


class Compiling:
    """
    Compiles, from whatever thread, until it is told to stop.
    """

    def __init__(self, shelf: Shelf | None) -> None:
        self._shelf: Final = shelf
        self._lock: Final = threading.Lock()
        self._children: Final[set[subprocess.Popen[bytes]]] = set()
        self.stopped = False

    def compiled(self, unit: Unit, *, nice: int = 0) -> Compiled:
        """
        Return what *unit* becomes; a compiler steps back behind other processes by *nice*.

        Raises:
            ConfigError: it does not compile; the text is the compiler's.
        """
        kept = self._shelf.take(unit) if self._shelf else None
        if kept is not None:
            return kept
        child = self._begin(nice)
        try:
            output, errors = child.communicate(msgspec.msgpack.encode(unit))
        finally:
            with self._lock:
                self._children.discard(child)
        if child.returncode:
            why = "it was stopped" if self.stopped else errors.decode(errors="replace")
            raise ConfigError(f"bpf/{unit.name}.c does not compile: {why}")
        found = msgspec.msgpack.decode(output, type=Compiled)
        if self._shelf:
            self._shelf.put(unit, found)
        return found

    def stop(self) -> None:
        """
        End the compilers that run, and let none begin.
        """
        with self._lock:
            self.stopped = True
            for child in self._children:
                child.kill()

    def _begin(self, nice: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "services.probe_manager.compiler", str(nice)]
        pipe = subprocess.PIPE
        with self._lock:
            if self.stopped:
                raise ConfigError("no compiler begins: probe-manager ends")
            child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=SOURCES.parent)
            self._children.add(child)
            return child
