"""
What asks one cluster stays together, and what mostly waits goes first.
"""

from __future__ import annotations

from pathlib import Path

from tests import scheduling
from tests.scheduling import CLUSTER, LONG, scope, turn

ROOT = Path(__file__).parent.parent


def test_one_cluster_has_one_worker() -> None:
    """
    No file of the whole mesh is forgotten, and those that ask the session's cluster share a worker.
    """
    files = {str(path.relative_to(ROOT)) for path in ROOT.glob("tests/mesh/test_*.py")}

    assert files == set(LONG)
    assert 1 == len({scope(f"{file}::test[a::b]") for file in CLUSTER})
    assert "tests/a/test_b.py" == scope("tests/a/test_b.py::test_c[d]")


def test_turns() -> None:
    """
    The cluster comes first, faults after what goes on while it learns; then what has servers, then the others.
    """
    long = [turn(f"{file}::test_it", set()) for file in LONG]

    assert sorted(long) == long
    assert max(long) < turn("tests/a.py::test_b", {"kernel", "asyncio"}) < turn("tests/a.py::test_b", {"asyncio"})


def test_hooks_are_in_use() -> None:
    """
    Pytest finds the hooks where it looks for them.
    """
    from tests import conftest

    assert scheduling.pytest_collection_modifyitems is conftest.pytest_collection_modifyitems
    assert scheduling.pytest_xdist_make_scheduler is conftest.pytest_xdist_make_scheduler
