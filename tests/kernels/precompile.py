"""
Compiles the probes of the tests for another Debian kernel, here, where it takes seconds.

`python -m tests.kernels.precompile 6.1`

In the virtual machine (`vm.py`) the compiler would take most of the time. What the compiler must know of the other
kernel is in the image: its types (BTF) and its release. The tests find the probes where they would have kept them.
"""

from __future__ import annotations

import argparse
import struct
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, Final

from services.probe_manager.assembly import SOURCES, parts
from services.probe_manager.btf import Btf
from services.probe_manager.compiling import Compiling
from services.probe_manager.elf import Elf
from services.probe_manager.recipe import Recipe, has_fallback
from services.probe_manager.shelf import Shelf
from tests.compiled import COMPILED, DEFINES
from tests.kernel.l7.conftest import chosen_protocols
from tests.kernels.vm import META_PACKAGES, ensure_tools, fetch_kernel

if TYPE_CHECKING:
    from pathlib import Path

UNPACK: Final = {
    b"\x02\x21\x4c\x18": ["lz4", "-dc"],
    b"\x28\xb5\x2f\xfd": ["zstd", "-dc"],
    b"\xfd7zX": ["xz", "-dc", "--single-stream"],
}
"""By the first bytes of what is packed."""
SETUP_SECTORS, PAYLOAD, SECTOR = 0x1F1, 0x248, 512


def vmlinux(image: bytes) -> bytes:
    """
    Return the kernel that is packed in *image*: https://docs.kernel.org/arch/x86/boot.html, `payload_offset`.

    Raises:
        ValueError: it is packed in a way that is not known here.
    """
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    begin = (image[SETUP_SECTORS] + 1) * SECTOR + offset
    packed = image[begin : begin + length]
    if packed[:4] not in UNPACK:
        raise ValueError(f"a kernel image is packed by what begins with {packed[:4].hex()}: name its command in UNPACK")
    # its size follows what is packed, at which some of them complain
    unpacked = subprocess.run(UNPACK[packed[:4]], input=packed, capture_output=True, check=False).stdout
    if unpacked[:4] != b"\x7fELF":
        raise ValueError(f"{UNPACK[packed[:4]][0]} makes no ELF file of a kernel image")
    return unpacked


def types_of(image: Path) -> Btf:
    """
    Return the types of the kernel in the file *image*.
    """
    with tempfile.TemporaryFile() as unpacked:
        unpacked.write(vmlinux(image.read_bytes()))
        unpacked.flush()
        elf = Elf(unpacked.fileno())
        section = elf.section(".BTF")
        if section is None:
            raise ValueError(f"{image} was built without BTF")
        return Btf(elf.read(section.offset, section.size))


def compile_for(series: str, protocols: frozenset[str] | None) -> int:
    """
    Compile every probe for the kernel *series*, with the framed *protocols* of the tests; return how many parts.
    """
    unpacked, release = fetch_kernel(series)
    types = types_of(unpacked / "boot" / f"vmlinuz-{release}")
    done = 0
    for chosen in {protocols, None}:  # tests of framed protocols build some, all others build what they build anyway
        recipe = Recipe(types, release, DEFINES, {}, chosen)
        compiling = Compiling(Shelf(COMPILED, recipe.fingerprint))
        for probe in sorted(path.stem for path in SOURCES.glob("*.c")):
            text = recipe.text(probe)
            if parts(text)[1] and chosen is not protocols:
                continue
            variants = [False, True] if has_fallback(text) else [False]
            for unit in [one for fallback in variants for one in recipe.units(probe, fallback=fallback)]:
                compiling.compiled(unit)
                done += 1
    return done


def main() -> int:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("series", choices=sorted(META_PACKAGES))
    series = parser.parse_args().series
    ensure_tools()
    done = compile_for(series, chosen_protocols())
    print(f"{done} parts of probes are compiled for {series}, in {COMPILED}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
