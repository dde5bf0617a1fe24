"""
The Prometheus text format, as far as meshlens writes it.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
Point = tuple["Mapping[str, str]", float]


def family(name: str, kind: str, says: str, points: Iterable[tuple[Mapping[str, str], float]]) -> str:
    """
    Return one metric family: its help, its type (`counter`, `gauge`), and a line for each point.
    """
    lines = [f"# HELP {name} {says}", f"# TYPE {name} {kind}"]
    lines += [sample(name, labels, value) for labels, value in points]
    return "\n".join(lines) + "\n"


def sample(name: str, labels: Mapping[str, str], value: float) -> str:
    """
    Return one line.
    """
    number = str(int(value)) if float(value).is_integer() else repr(float(value))
    if not labels:
        return f"{name} {number}"
    inside = ",".join(f'{key}="{escape(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {number}"


def escape(text: str) -> str:
    """
    Return *text* fit to stand between the quotes of a label.
    """
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
