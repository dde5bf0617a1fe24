"""
Where the tests keep compiled probes, so that each is compiled once and not once for every test that loads it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

COMPILED: Final = Path(__file__).parents[1] / "build" / "probes"
