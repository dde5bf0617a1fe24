"""
Compiled probes are kept, and never taken from a file that others could have written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from services.probe_manager.compiler import Compiled, Unit
from services.probe_manager.shelf import MOST, Shelf

if TYPE_CHECKING:
    from pathlib import Path

UNIT = Unit("probe", "int x;", ["-DA=1"])
COMPILED = Compiled({"raw__one": b"\x95\0\0\0\0\0\0\0"}, {})


def test_what_was_put_is_taken(tmp_path: Path) -> None:
    """
    The same unit on the same kernel gives what was compiled.
    """
    Shelf(tmp_path / "a", "6.1").put(UNIT, COMPILED)

    assert COMPILED == Shelf(tmp_path / "a", "6.1").take(UNIT)


@pytest.mark.parametrize(
    ("made_from", "unit"),
    [("6.2", UNIT), ("6.1", msgspec.structs.replace(UNIT, flags=["-DA=2"]))],
    ids=["other kernel", "other flags"],
)
def test_what_differs_is_compiled_anew(tmp_path: Path, made_from: str, unit: Unit) -> None:
    """
    Another kernel, another header tree, another flag: nothing is taken.
    """
    Shelf(tmp_path, "6.1").put(UNIT, COMPILED)

    assert Shelf(tmp_path, made_from).take(unit) is None


def test_a_file_of_others_does_not_count(tmp_path: Path) -> None:
    """
    A file that others may write is passed over.
    """
    Shelf(tmp_path / "a", "6.1").put(UNIT, COMPILED)
    next((tmp_path / "a").glob("*.probe")).chmod(0o666)

    assert Shelf(tmp_path / "a", "6.1").take(UNIT) is None


def test_damage_is_compiled_anew(tmp_path: Path) -> None:
    """
    A file that was cut short is passed over.
    """
    Shelf(tmp_path, "6.1").put(UNIT, COMPILED)
    path = next(tmp_path.glob("*.probe"))
    path.write_bytes(path.read_bytes()[:-3])

    assert Shelf(tmp_path, "6.1").take(UNIT) is None


def test_the_oldest_make_room(tmp_path: Path) -> None:
    """
    The folder stays bounded.
    """
    shelf = Shelf(tmp_path, "6.1")
    for number in range(MOST + 7):
        shelf.put(msgspec.structs.replace(UNIT, name=str(number)), COMPILED)

    assert MOST == len(list(tmp_path.iterdir()))
