"""
The hooks of one file, for one process or for all: kept in bpffs beside the probes, so that they go on while nobody
holds them.

Layout: `<folder>/<pid>:<instance>:<device>:<inode>/<number>`, pid and instance 0 for everybody. A folder is renamed
when it is whole and before it is taken apart, so one that is found under its name is complete.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from services.probe_manager import bpf, uprobes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from services.probe_manager.libraries import Library

Owner = tuple[int, int]
"""Pid and instance."""
FileId = tuple[int, int]
"""Device and inode."""
EVERYBODY: Final[Owner] = (0, 0)
_PART: Final = "part-"


class Hooks:
    """
    Programs attached to the functions of one file.
    """

    def __init__(self, links: list[int], folder: Path | None = None) -> None:
        """
        Take what `attach` and `adopt` have made: open links, or the folder that keeps them.
        """
        self._links: Final = links
        self._folder: Final = folder

    def close(self, *, remove: bool = True) -> None:
        """
        Let go of the hooks; without *remove* those that are kept go on.
        """
        for link in self._links:
            os.close(link)
        self._links.clear()
        if remove and self._folder is not None and self._folder.exists():
            apart = self._folder.with_name(f"{_PART}{self._folder.name}")
            self._folder.rename(apart)
            _empty(apart)


def attach(
    programs: Mapping[str, int], library: Library, descriptor: int, owner: Owner, file: FileId, kept: Path | None
) -> Hooks:
    """
    Hook the open file *descriptor*, which holds *library*, and keep the hooks in the folder *kept*.

    Raises:
        OSError: the kernel refuses; nothing is left behind.
    """
    links: list[int] = []
    path = f"/proc/self/fd/{descriptor}"
    try:
        for hook in library.hooks:
            program = programs[hook.program]
            links.append(uprobes.attach(program, path, hook.offset, at_return=hook.at_return, process=owner[0]))
        return Hooks(links) if kept is None else _keep(links, kept, ":".join(str(part) for part in (*owner, *file)))
    except OSError:
        for link in links:
            os.close(link)
        raise


def adopt(kept: Path | None) -> dict[Owner, dict[FileId, Hooks]]:
    """
    Return what an earlier run has left in the folder *kept*, and remove what it did not finish.
    """
    found: dict[Owner, dict[FileId, Hooks]] = {}
    for folder in list(kept.iterdir()) if kept is not None and kept.exists() else []:
        if folder.name.startswith(_PART):
            _empty(folder)
            continue
        pid, instance, device, inode = (int(part) for part in folder.name.split(":"))
        found.setdefault((pid, instance), {})[device, inode] = Hooks([], folder)
    return found


def _keep(links: list[int], kept: Path, name: str) -> Hooks:
    part = kept / f"{_PART}{name}"
    part.mkdir(parents=True)
    try:
        for number, link in enumerate(links):
            bpf.pin(link, part / str(number))
        part.rename(kept / name)
    except OSError:
        _empty(part)
        raise
    for link in links:
        os.close(link)
    return Hooks([], kept / name)


def _empty(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
