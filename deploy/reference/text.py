"""
Markdown and YAML, as far as the reference needs them.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NOTE: Final = "<!-- Made from the code by `python -m deploy.reference`: change the code, not this page. -->"
PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
WORDS: Final = ("true", "false", "null", "yes", "no", "on", "off", "y", "n")


def page(title: str, *parts: str) -> str:
    """
    Return a page with its *title* and *parts*.
    """
    return "\n\n".join([f"# {title}", NOTE, *(part.strip() for part in parts)]) + "\n"


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """
    Return a table.
    """
    made = [_line(heads), _line(["---"] * len(heads))]
    return "\n".join([*made, *(_line([cell(text) for text in line]) for line in lines)])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def cell(text: str) -> str:
    """
    Return *text* fit for a cell: on one line, its bars kept apart from the table's.
    """
    return " ".join(text.split()).replace("|", r"\|")


def yaml(value: Any) -> str:
    """
    Return *value* as YAML in block style.
    """
    return "\n".join(_block(value, "")) + "\n"


def _block(value: Any, indent: str) -> Iterator[str]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _entry(f"{indent}{_scalar(str(key))}:", inner, indent + "  ")
    elif isinstance(value, list) and value:
        for inner in value:
            lines = list(_block(inner, indent + "  "))
            yield f"{indent}- {lines[0].strip()}"
            yield from lines[1:]
    else:
        yield f"{indent}{_scalar(value)}"


def _entry(head: str, inner: Any, indent: str) -> Iterator[str]:
    if isinstance(inner, dict | list) and inner:
        yield head
        yield from _block(inner, indent)
    else:
        yield f"{head} {_scalar(inner)}"


def _scalar(value: Any) -> str:
    if isinstance(value, str) and PLAIN.fullmatch(value) and value.lower() not in WORDS:
        return value
    return json.dumps(value)
