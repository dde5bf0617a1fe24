"""
A full CI machine leaves no test out in silence.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import conftest

pytest_plugins = ["pytester"]

INNER = "from tests.conftest import pytest_make_collect_report, pytest_runtest_makereport"
CASES = """
import pytest

@pytest.mark.skipif(True, reason="optional: there is no Fortran")
def test_optional(): pass

@pytest.mark.skipif(True, reason="there is no nginx")
def test_lacking(): pass

def test_in_the_middle():
    pytest.skip("there is no kernel")

@pytest.fixture
def server():
    pytest.skip("optional: there is no Oracle")

def test_of_a_fixture(server): pass

@pytest.mark.xfail(strict=True)
def test_expected_to_fail():
    assert False

def test_that_runs(): pass
"""


@pytest.fixture
def full_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """
    A CI machine with root and BTF, as far as the hooks can tell.
    """
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(conftest, "BTF", tmp_path)


def run(pytester: pytest.Pytester, *files: str) -> dict[str, int]:
    """
    Run *files* under the hooks, and return how many tests and files ended how.
    """
    pytester.makeconftest(INNER)
    for number, text in enumerate(files):
        pytester.makepyfile(**{f"test_{number}": text})
    return pytester.runpytest_inprocess("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:asyncio").parseoutcomes()


@pytest.mark.usefixtures("full_machine")
def test_a_skip_that_is_not_optional_fails(pytester: pytest.Pytester) -> None:
    """
    By mark or by call, what is skipped for a want that the machine must not have is a failure; the rest is as it was.
    """
    assert {"errors": 1, "failed": 1, "skipped": 2, "xfailed": 1, "passed": 1} == run(pytester, CASES)


@pytest.mark.usefixtures("full_machine")
def test_a_file_that_is_left_out_is_an_error(pytester: pytest.Pytester) -> None:
    """
    A module that another cannot be imported for is an error, and one that calls it optional is skipped.
    """
    lacking = "import pytest; pytest.importorskip('there_is_no_such_module')"
    optional = "import pytest; pytest.importorskip('there_is_no_such_module', reason='optional: needs it')"

    assert {"errors": 1, "skipped": 1} == run(pytester, lacking, optional)


def test_elsewhere_all_may_be_skipped(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    On the machine of somebody who works on it, a skip is a skip.
    """
    monkeypatch.delenv("CI", raising=False)

    assert {"skipped": 4, "xfailed": 1, "passed": 1} == run(pytester, CASES)
