"""
Extensions are found by folder.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

import pytest

from shared.discover import extensions
from shared.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def package(folder: Path, name: str) -> types.ModuleType:
    """
    Return a package whose modules lie in *folder*.
    """
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module
    return module


def test_each_public_module_gives_its_extension(tmp_path: Path) -> None:
    """
    Private modules are left out; the key is the module's name.
    """
    (tmp_path / "one.py").write_text("THING = 1\n")
    (tmp_path / "_base.py").write_text("raise RuntimeError\n")

    assert extensions(package(tmp_path, "found_things"), "THING", int) == {"one": 1}


def test_a_module_without_its_extension_is_refused(tmp_path: Path) -> None:
    """
    The sentence says what the module must end in.
    """
    (tmp_path / "two.py").write_text("")

    with pytest.raises(ConfigError, match=r"two must end in `THING: int"):
        extensions(package(tmp_path, "found_nothing"), "THING", int)
