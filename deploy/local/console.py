"""
What `meshlens up` says while it works: one line for each thing, with the time since start.
"""

from __future__ import annotations

import sys
import time
from typing import TextIO


class Console:
    """
    Lines for people, or nothing but warnings when quiet.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._quiet = quiet
        self._started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        """
        Return the time since start.
        """
        return time.monotonic() - self._started

    def step(self, text: str) -> None:
        """
        Say that something is done or begins.
        """
        if not self._quiet:
            self._print(f"{self.elapsed_s:6.1f} s  {text}")

    def warn(self, text: str) -> None:
        """
        Say what the operator should know.
        """
        self._print(f"{self.elapsed_s:6.1f} s  ! {text}")

    def banner(self, lines: list[str]) -> None:
        """
        Say something that must not be overlooked.
        """
        self._print("\n" + "\n".join(f"    {line}" for line in lines) + "\n")

    def _print(self, text: str) -> None:
        print(text, file=self._stream, flush=True)
