"""
What the probes are compiled from: their sources, the protocols among them, numbers, and where the kernel keeps what.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from services.probe_manager.assembly import SOURCES, assemble, framed_protocols, parts
from services.probe_manager.compiler import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping

    from services.probe_manager.btf import Btf

FOR_FALLBACK: Final = "-DFALLBACK=1"
_ASKS: Final = re.compile(r"^#\s*if(n?def| .*defined).*\bFALLBACK\b", re.MULTILINE)


def has_fallback(text: str) -> bool:
    """
    Return whether the source *text* of a probe has a variant for kernels without its preferred hooks.
    """
    return bool(_ASKS.search(text))


class Recipe:
    """
    How every probe is compiled for one kernel, this one or another.
    """

    def __init__(
        self,
        types: Btf,
        release: str,
        defines: Mapping[str, int],
        sizes: Mapping[str, int],
        protocols: frozenset[str] | None = None,
    ) -> None:
        """
        Compile for the kernel *release*, whose types are *types*.

        Args:
            types: where the kernel has its structures' fields.
            release: as `uname -r` says it.
            defines: numbers that the probes are compiled with.
            sizes: map name to the number of its entries, where it is not the one in the source.
            protocols: the headers of framed protocols to build, None for all.
        """
        self._types: Final = types
        self._defines: Final = dict(defines)
        self._protocols: Final = protocols
        chosen = None if protocols is None else sorted(protocols)
        settings = (sorted(defines.items()), sorted(sizes.items()), chosen, release)
        digest = hashlib.sha256(repr(settings).encode())
        for path in sorted([*SOURCES.rglob("*.c"), *SOURCES.rglob("*.h")]):
            digest.update(path.read_bytes())
        self.fingerprint: Final = digest.hexdigest()[:16]
        """Of all that takes part."""

    def text(self, probe: str) -> str:
        """
        Return the whole source of *probe*.
        """
        return assemble(SOURCES / f"{probe}.c", self._protocols)

    def later_without(self, probe: str, protocols: set[str]) -> str:
        """
        Return the source of the part of *probe* that is brought in later, less some *protocols*.
        """
        kept = frozenset(one.name for one in framed_protocols(self._protocols)) - protocols
        return parts(assemble(SOURCES / f"{probe}.c", kept))[1]

    def unit(self, probe: str, text: str, *, fallback: bool) -> Unit:
        """
        Return what the compiler is given for *text*, a part of *probe*.
        """
        found = {**self._types.defines(text), **self._defines}
        flags = ["-fno-unroll-loops", *([FOR_FALLBACK] if fallback else [])]
        return Unit(probe, text, [*flags, *sorted(f"-D{define}={value}" for define, value in found.items())])

    def units(self, probe: str, *, fallback: bool) -> list[Unit]:
        """
        Return what the compiler is given for all of *probe*, in the order of need.
        """
        return [self.unit(probe, part, fallback=fallback) for part in parts(self.text(probe)) if part]
