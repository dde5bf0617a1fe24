"""
The data directory belongs to one supervisor at a time.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from deploy.local.data_directory import DataDirectory, Runtime
from shared.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

RUNTIME = Runtime(supervisor=os.getpid(), api="http://127.0.0.1:1", nats="nats://127.0.0.1:2", postgres="x")


def test_a_second_supervisor_is_kept_out(tmp_path: Path) -> None:
    """
    While one holds the lock, another is refused with the remedy; afterwards it is let in.
    """
    first, second = DataDirectory(tmp_path), DataDirectory(tmp_path)
    first.prepare()
    with pytest.raises(ConfigError, match="another `meshlens up` uses"):
        second.prepare()
    first.release()

    second.prepare()
    second.release()


def test_a_folder_that_cannot_be_is_explained(tmp_path: Path) -> None:
    """
    A path below a file gives a sentence.
    """
    (tmp_path / "file").touch()

    with pytest.raises(ConfigError, match="cannot be used"):
        DataDirectory(tmp_path / "file" / "below").prepare()


def test_runtime_is_what_runs(tmp_path: Path) -> None:
    """
    What was written is read back while the supervisor lives, and gone after the release.
    """
    data = DataDirectory(tmp_path)
    data.prepare()
    data.write_runtime(RUNTIME)

    assert data.read_runtime() == RUNTIME
    data.release()
    assert data.read_runtime() is None


def test_runtime_of_the_dead_is_nothing(tmp_path: Path) -> None:
    """
    What a killed supervisor left does not count.
    """
    data = DataDirectory(tmp_path)
    data.write_runtime(Runtime(supervisor=2**22 + 1, api="", nats="", postgres=""))

    assert data.read_runtime() is None
