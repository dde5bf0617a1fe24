"""
The house's own rules about its files, each with the check that enforces it.
"""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES = 400
FUNCTION_LINES = 40


def tracked(*patterns: str) -> list[Path]:
    """
    Return the files of the tree that git knows, or would add, by pattern.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


SOURCES = [path for path in tracked("*.py") if "/ui/" not in str(path)]
PUBLIC = [path for path in SOURCES if not str(path.relative_to(ROOT)).startswith("tests")]


@pytest.mark.parametrize("path", tracked("*.py", "*.ts", "*.tsx", "*.c", "*.h", "*.sql"), ids=str)
def test_no_file_is_long(path: Path) -> None:
    """
    A file has at most 400 lines, or says in a line `long file: ...` why it has more.
    """
    text = path.read_text(encoding="utf-8")

    assert len(text.splitlines()) <= FILE_LINES or "long file: " in text


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_no_function_is_long(path: Path) -> None:
    """
    A function's body has at most 40 lines, its docstring not counted.
    """
    long = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            lines = (node.end_lineno or 0) - first.lineno + 1
            if lines > FUNCTION_LINES:
                long.append(f"{node.name}: {lines}")

    assert long == []


@pytest.mark.parametrize("path", PUBLIC, ids=str)
def test_public_things_have_a_sentence(path: Path) -> None:
    """
    Every module, and every public class and function of it, opens with a sentence that ends in a full stop.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    items: list[ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef] = [tree] if tree.body else []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            items.append(node)
            if isinstance(node, ast.ClassDef):
                items += [
                    method
                    for method in node.body
                    if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef) and not method.name.startswith("_")
                ]
    silent = [
        getattr(item, "name", "module")
        for item in items
        if not re.search(r"[.:?]$", (ast.get_docstring(item) or "").strip().split("\n\n")[0].strip())
    ]

    assert silent == []


@pytest.mark.parametrize("path", [p for p in SOURCES if p.name.startswith("test_")], ids=str)
def test_every_test_says_what_is_true(path: Path) -> None:
    """
    Each test has a docstring, and asserts or expects an error.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


def test_nothing_names_this_machine() -> None:
    """
    No lock file records a registry address.
    """
    named = [
        str(path.relative_to(ROOT))
        for path in tracked("*.lock", "*package-lock.json", "*.txt")
        if re.search(r"https?://|--index-url|\"resolved\"", path.read_text(encoding="utf-8"))
    ]

    assert named == []
