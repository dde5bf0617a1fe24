"""
Figures, how they are judged, and how they come into `docs/performance.md`.
"""

from __future__ import annotations

import itertools
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

PAGE: Final = Path(__file__).parents[2] / "docs" / "performance.md"


class Figure(msgspec.Struct, frozen=True):
    """
    One line of a table.
    """

    what: str
    value: str
    noise: str = ""
    """How much the same measurement differs by itself on this machine."""
    target: str = ""
    met: bool | None = None
    """None where there is no target."""


def table(figures: Sequence[Figure]) -> str:
    """
    Return *figures* in Markdown.
    """
    words = {True: "yes", False: "**no**", None: ""}
    lines = ["| what | figure | noise | target | met |", "|---|---|---|---|---|"]
    lines += [f"| {one.what} | {one.value} | {one.noise} | {one.target} | {words[one.met]} |" for one in figures]
    return "\n".join(lines)


def spread(values: Sequence[float]) -> str:
    """
    Return the least and the greatest of *values*.
    """
    return f"{min(values):.3f} to {max(values):.3f}"


def median(values: Sequence[float]) -> float:
    """
    Return the median.
    """
    return statistics.median(values)


def quantile(values: Sequence[float], q: float) -> float:
    """
    Return the smallest of *values* that a share *q* of them does not exceed.
    """
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -int(-q * len(ordered) // 1) - 1))]


def pairs(offs: Sequence[float], ons: Sequence[float]) -> tuple[list[float], list[float]]:
    """
    Return ON to OFF for each pair, and OFF to the OFF before, which is the noise; *offs* has one more than *ons*.

    A pair's OFF is the mean of the one before and the one after, so that a drift of the machine falls out.
    """
    around = [(before + after) / 2 for before, after in itertools.pairwise(offs)]
    ratios = [on / off for on, off in zip(ons, around, strict=True)]
    return ratios, [after / before for before, after in itertools.pairwise(offs)]


def write(section: str, text: str, page: Path = PAGE) -> None:
    """
    Put *text* between the markers of *section* in *page*; a section that is not there yet comes to its end.
    """
    begin, end = f"<!-- figures: {section} -->", f"<!-- end of figures: {section} -->"
    before = page.read_text(encoding="utf-8")
    if begin not in before or end not in before:
        before += f"\n## {section.replace('-', ' ').capitalize()}\n\n{begin}\n{end}\n"
    between = re.compile(re.escape(begin) + ".*?" + re.escape(end), re.DOTALL)
    page.write_text(between.sub(lambda _: f"{begin}\n{text.strip()}\n{end}", before), encoding="utf-8")
