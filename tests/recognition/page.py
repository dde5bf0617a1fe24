"""
The page `docs/reference/recognition.md`, made of measurements.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.messages.kernel import Protocol
from tests.recognition.measure import called

if TYPE_CHECKING:
    from tests.recognition.measure import Matrix

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "recognition.md"
HEAD: Final = """\
# Recognition

<!-- Made by `python -m tests.recognition`, which measures: change the code, not this page. -->

Each example is a request with the beginning of its answer.
It comes from a golden capture of a real server, from a variant of one, from a seeded generator, or from a neighbour:
a protocol that meshlens does not know, or bytes that are none at all.
Precision is the share of what was recognised that was recognised rightly.
Recall is the share of what there was to recognise that was.

"""


def summary(name: str, matrix: Matrix) -> str:
    """
    Return one line of the first table.
    """
    there = sum(count for (_, true, _), count in matrix.counts.items() if true is not Protocol.UNKNOWN)
    strange = sum(matrix.counts.values()) - there
    return f"| {name} | {there} | {strange} | {matrix.precision:.2%} | {matrix.recall:.2%} |"


def table(matrix: Matrix) -> list[str]:
    """
    Return who was taken for whom, a family a line.
    """
    families = dict[tuple[str, Protocol], dict[Protocol, int]]()
    for (family, true, taken), count in matrix.counts.items():
        families.setdefault((family, true), {})[taken] = count
    lines = ["| examples of | are | number | rightly | taken for another |", "|---|---|---|---|---|"]
    order = sorted(families, key=lambda key: (key[1] is Protocol.UNKNOWN, key[1], key[0]))
    for family, true in order:
        found = families[family, true]
        others = ", ".join(f"{called(one)} {count}" for one, count in sorted(found.items()) if one is not true)
        lines.append(f"| {family} | {called(true)} | {sum(found.values())} | {found.get(true, 0)} | {others or '-'} |")
    return lines


def page(measured: dict[str, Matrix]) -> str:
    """
    Return the whole page.
    """
    lines = ["| recognised by | of known protocols | of others | precision | recall |", "|---|---|---|---|---|"]
    lines += [summary(name, matrix) for name, matrix in measured.items()]
    for name, matrix in measured.items():
        lines += ["", f"## Recognised by {name}", "", *table(matrix)]
    return HEAD + "\n".join(lines) + "\n"
