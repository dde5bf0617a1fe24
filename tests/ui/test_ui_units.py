"""
The pure parts of the page, tested where they run: in JavaScript.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.ui

UI = Path(__file__).parents[2] / "services/query_api/ui"


def test_the_unit_tests_of_the_page_pass() -> None:
    """
    Formatting, layout, filters, routes and charts pass their own tests.
    """
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm here: install node 20.19 or newer")
    assert (UI / "node_modules").is_dir(), "run npm ci in services/query_api/ui first"

    done = subprocess.run([npm, "run", "--silent", "test"], cwd=UI, capture_output=True, text=True, timeout=300)
    assert 0 == done.returncode, done.stdout + done.stderr
