"""
Which tests share a worker of pytest-xdist, and in what order they are taken: what mostly waits goes first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]  # it has no types of its own

if TYPE_CHECKING:
    from xdist.remote import Producer  # type: ignore[import-untyped]  # it has no types of its own

CLUSTER: Final = ("tests/mesh/test_mesh_map.py", "tests/mesh/test_mesh_kills.py", "tests/mesh/test_mesh_faults.py")
"""They ask one cluster, and while the first two run, its demo is learned, which the last one waits for."""
LONG: Final = (*CLUSTER, "tests/mesh/test_mesh_redaction.py")
MARKS: Final = ("kernel", "mesh", "ui")


class FileScheduling(LoadFileScheduling):  # type: ignore[misc]  # see above
    """
    Gives a worker whole files, and one worker all files that ask the same cluster.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)


def scope(nodeid: str) -> str:
    """
    Return what the test *nodeid* shares a worker with.
    """
    file = nodeid.split("::", 1)[0]
    return CLUSTER[0] if file in CLUSTER else file


def turn(nodeid: str, marks: set[str]) -> int:
    """
    Return when the test *nodeid* is taken: the long ones, those with real servers, the others.
    """
    file = nodeid.split("::", 1)[0]
    if file in LONG:
        return LONG.index(file)
    return len(LONG) + (0 if marks & set(MARKS) else 1)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Put the tests in their order; those of one turn stay as they are.
    """
    items.sort(key=lambda item: turn(item.nodeid, {mark.name for mark in item.iter_markers()}))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling | None:
    """
    Return the scheduling of whole files where that was asked for.
    """
    return FileScheduling(config, log) if config.getoption("dist") == "loadfile" else None
