"""
What an input reaches in the protocols' code, and what it costs in steps.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType

SOURCES: Final = "/shared/protocols/"


class Coverage:
    """
    Remembers the lines that were reached; functions of which every line was are not watched any more, so it gets cheap.
    """

    def __init__(self) -> None:
        self.lines = 0
        self._missing: Final[dict[CodeType, set[int]]] = {}

    def grows(self, work: Callable[[], Any]) -> bool:
        """
        Return whether *work* reaches a line that nothing reached before.
        """
        before = self.lines
        earlier = sys.gettrace()
        sys.settrace(self._enter)
        try:
            work()
        finally:
            sys.settrace(earlier)
        return self.lines > before

    def _enter(self, frame: Any, _event: str, _argument: Any) -> Any:
        code = frame.f_code
        missing = self._missing.get(code)
        if missing is None:
            ours = SOURCES in code.co_filename
            missing = {line for _, _, line in code.co_lines() if line} if ours else set()
            missing.discard(code.co_firstlineno)
            self._missing[code] = missing
        return self._line if missing else None

    def _line(self, frame: Any, _event: str, _argument: Any) -> Any:
        missing = self._missing[frame.f_code]
        if frame.f_lineno in missing:
            missing.discard(frame.f_lineno)
            self.lines += 1
        return self._line if missing else None


def steps(work: Callable[[], Any]) -> int:
    """
    Return how many lines of Python *work* takes, in the protocols' code and in what is defined there.
    """
    count = 0

    def tick(frame: Any, event: str, _argument: Any) -> Any:
        nonlocal count
        if event == "call" and SOURCES not in frame.f_code.co_filename:
            return None
        count += 1
        return tick

    before = sys.gettrace()
    sys.settrace(tick)
    try:
        work()
    finally:
        sys.settrace(before)
    return count
