"""
Running one benchmark, alone or among all, and showing its figures.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from typing import TYPE_CHECKING

from tests.benchmarks import _figures

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.benchmarks._figures import Figure


def described(doc: str, figures: Sequence[Figure]) -> str:
    """
    Return the table of *figures* under how they were measured: *doc* is the benchmark's docstring.
    """
    command = re.search(r"`(python -m [\w.]+)", doc)
    words = " ".join(doc.strip().partition("\n\n")[2].split())
    return f"{words}\n\nCommand: `{command[1] if command else ''}`\n\n{_figures.table(figures)}"


def alone(section: str, measure: Callable[..., Sequence[Figure]]) -> None:
    """
    Run one benchmark and print its table; exit with 1 when a target is missed.

    Args:
        section: its place in `docs/performance.md`.
        measure: returns its figures; `quick` is short and says little.
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--quick", action="store_true", help="short runs, to see that it works")
    parser.add_argument("--write", action="store_true", help="also write the table into docs/performance.md")
    asked = parser.parse_args()
    began = time.monotonic()
    figures = measure(quick=asked.quick)
    print(_figures.table(figures))
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    if asked.write:
        _figures.write(section, described(sys.modules["__main__"].__doc__ or "", figures))
    sys.exit(int(any(figure.met is False for figure in figures)))
