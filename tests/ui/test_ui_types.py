"""
The page's types are those of the API.
"""

from __future__ import annotations

from pathlib import Path

from tests.ui.typescript import document

TYPES = Path(__file__).parents[2] / "services/query_api/ui/src/api/types.gen.ts"


def test_types_are_current() -> None:
    """
    The committed TypeScript types are what the answers give now; `python -m tests.ui.typescript` writes them anew.
    """
    assert document() == TYPES.read_text(encoding="utf-8")
