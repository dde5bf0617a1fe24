"""
One running meshlens with its demo for all tests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.mesh.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_MAP_S = 300.0
"""The kernel side is compiled for this cluster alone, beside that of another one, on a machine that may be busy."""
COLOURED = ("green", "yellow", "orange", "red")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """
    A cluster whose six services are ready and whose map has colours.
    """
    one = Cluster()
    try:
        one.wait_for("six services are ready", one.ready, FIRST_MAP_S)
        one.wait_for(
            "the first coloured map",
            lambda: any(service.state.own in COLOURED for service in one.topology().services),
            FIRST_MAP_S,
        )
        yield one
    finally:
        one.stop()
        one.remove()
