"""
Probes that are attached, what they still lack, and what the kernel refuses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager.assembly import framed_protocols
from services.probe_manager.programs import TAIL, hook, place

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFERRED, FALLBACK = "preferred", "fallback"


class Loaded(msgspec.Struct, frozen=True):
    """
    A probe that is attached.
    """

    name: str
    variant: str
    """`preferred` or `fallback`"""
    links: dict[str, int]
    """Function to the file descriptor of its link."""
    programs: dict[str, int]
    """Function to the file descriptor of its program."""

    @property
    def hook(self) -> str:
        """
        Return the attach points in words.
        """
        return ", ".join(sorted(hook(function) for function in self.links))


class Part(msgspec.Struct, frozen=True):
    """
    The programs of framed protocols, which a probe that is attached still lacks.
    """

    probe: str
    variant: str
    text: str


class RefusedError(OSError):
    """
    The kernel refuses programs.
    """

    def __init__(self, refused: Mapping[str, OSError]) -> None:
        """
        Take each program with its refusal.
        """
        function, first = next(iter(refused.items()))
        super().__init__(first.errno, f"{function}: {first.strerror}")
        names = {one.number: one.name for one in framed_protocols()}
        self.protocols: Final = {
            names[place(function)]: str(refusal.strerror)
            for function, refusal in refused.items()
            if function.startswith(TAIL) and place(function) in names
        }
        """The framed protocols among them."""
