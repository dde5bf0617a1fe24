"""
Loading the probes: compile, make and share maps, attach, pin, adopt.

A probe is compiled by bcc in a child process that ends afterwards, because the compiler's memory is never given back.
What comes out are instructions and the shapes of maps; maps are then made here, or adopted from bpffs when another
probe or an earlier run has made them, and the programs are loaded with these. A map with one name is one map for all.

A function's name says where it is attached: `tp_btf__<tracepoint>` (typed), `raw_tracepoint__<tracepoint>`,
`bpf_iter__<target>` or `bpf_iter__bpf_map_elem__<map>`. A probe with a fall-back is compiled a second time with
`FALLBACK` defined when the kernel refuses its preferred hooks.

Layout in bpffs: `<pins>/<fingerprint of all sources and settings>/{maps/<map>, probes/<probe>:<variant>/<function>}`.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager import bpf
from services.probe_manager.assembly import SOURCES, assemble
from services.probe_manager.btf import Btf
from services.probe_manager.compiler import Compiled, Unit
from services.probe_manager.shelf import Shelf
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFERRED, FALLBACK = "preferred", "fallback"
_LOAD_MAP: Final = 0x18
_TYPED, _RAW, _ITERATOR, _TAIL = "tp_btf__", "raw_tracepoint__", "bpf_iter__", "tail__"
_USER: Final = ("uprobe__", "uretprobe__")
"""Attached by uprobes.py, as the functions of programs and libraries are found."""


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
        return ", ".join(sorted(_hook(function) for function in self.links))


class Kernel:
    """
    The probes and the maps of one node.
    """

    def __init__(
        self,
        pins: Path,
        defines: Mapping[str, int],
        sizes: Mapping[str, int],
        cache: Path | None = None,
        protocols: frozenset[str] | None = None,
    ) -> None:
        """
        Adopt what an earlier run with the same sources and settings left under *pins*, and remove what is older.

        Args:
            pins: the node's folder in bpffs.
            defines: numbers that the probes are compiled with.
            sizes: map name to the number of its entries, where it is not the one in the source.
            cache: a folder in which compiled probes are kept for the next start.
            protocols: the headers of framed protocols to build, None for all.
        """
        self._btf: Final = Btf(Path("/sys/kernel/btf/vmlinux").read_bytes())
        self._defines: Final = dict(defines)
        self._sizes: Final = dict(sizes)
        self._pins: Final = pins
        self._protocols: Final = protocols
        self._home: Final = pins / _fingerprint(self._defines, self._sizes, protocols)
        self._shelf: Final = Shelf(cache, self._home.name) if cache else None
        self._maps: Final[dict[str, bpf.Map]] = {}
        self.probes: Final[dict[str, Loaded]] = {}
        for older in list(pins.iterdir()) if pins.exists() else []:
            if older != self._home:
                _remove(older)
        self.adopted: Final = (self._home / "maps").exists()
        """True when the maps, and what they hold, come from an earlier run."""
        for part in ("maps", "probes"):
            (self._home / part).mkdir(parents=True, exist_ok=True)

    def load(self, name: str, *, fallback: bool = False) -> Loaded:
        """
        Attach the probe *name*, or adopt it where it is attached.

        Args:
            name: the file in `bpf/` without its suffix.
            fallback: do not try the preferred hooks.

        Raises:
            OSError: the kernel refuses it; the text is the verifier's.
        """
        loaded = self._adopt(name) or self._load(name, fallback)
        self.probes[name] = loaded
        return loaded

    def unload(self, name: str) -> None:
        """
        Detach the probe *name*; its maps stay.
        """
        loaded = self.probes.pop(name, None)
        if loaded is not None:
            _close(loaded)
            _remove(self._home / "probes" / f"{name}:{loaded.variant}")

    def map(self, name: str) -> bpf.Map:
        """
        Return the map *name* of any loaded probe.
        """
        found = self._maps.get(name)
        if found is None:
            found = self._maps[name] = bpf.Map(bpf.pinned(self._home / "maps" / name), name)
        return found

    def has_map(self, name: str) -> bool:
        """
        Return whether any probe, now or in an adopted run, has made the map *name*.
        """
        return name in self._maps or (self._home / "maps" / name).exists()

    def make_map(self, name: str, shape: bpf.Shape) -> None:
        """
        Make the map *name*, which no probe uses, and keep it with the others.
        """
        made = self._maps[name] = bpf.create_map(name, shape)
        bpf.pin(made.fd, self._home / "maps" / name)

    def iterate(self, name: str, function: str, process: int = 0) -> bytes:
        """
        Run the iterator *function* of the probe *name*, over one *process* or over all; return what it wrote.

        Raises:
            OSError: the process is gone.
        """
        loaded = self.probes.get(name)
        if loaded is None:  # it is off
            return b""
        if not process:
            return bpf.run_iterator(loaded.links[function])
        link = bpf.attach_iterator(loaded.programs[function], process=process)
        try:
            return bpf.run_iterator(link)
        finally:
            os.close(link)

    def figures(self, name: str) -> list[bpf.ProgramFigures]:
        """
        Return the figures of the programs of the probe *name*.
        """
        return [bpf.program_figures(program) for program in self.probes[name].programs.values()]

    def enumerators(self, name: str) -> dict[str, int]:
        """
        Return the enumerators of the kernel's enum *name*.
        """
        return self._btf.enumerators(name)

    def close(self, *, remove: bool) -> None:
        """
        Let go of everything; with *remove* the probes are detached, else they go on until they are adopted.
        """
        for loaded in self.probes.values():
            _close(loaded)
        for held in self._maps.values():
            held.close()
        self.probes.clear()
        self._maps.clear()
        if remove:
            _remove(self._pins)

    def _adopt(self, name: str) -> Loaded | None:
        for variant in (PREFERRED, FALLBACK):
            folder = self._home / "probes" / f"{name}:{variant}"
            if not folder.exists():
                continue
            held = {path.name: bpf.pinned(path) for path in folder.iterdir()}
            links = {function: fd for function, fd in held.items() if not function.startswith(_USER)}
            programs = {function: bpf.program_by_id(bpf.link_program_id(link)) for function, link in links.items()}
            programs |= {function: fd for function, fd in held.items() if function not in links}
            if links:
                return Loaded(name, variant, links, programs)
        return None

    def _load(self, name: str, fallback: bool) -> Loaded:
        text = assemble(SOURCES / f"{name}.c", self._protocols)
        can_fall_back = bool(re.search(r"^#\s*if(n?def| .*defined).*\bFALLBACK\b", text, re.MULTILINE))
        if not (fallback and can_fall_back):
            try:
                return self._attach(name, PREFERRED, self._compile(name, text, []))
            except OSError as refusal:
                if not can_fall_back or refusal.errno not in (errno.ENOENT, errno.EINVAL, errno.EACCES):
                    raise
        return self._attach(name, FALLBACK, self._compile(name, text, ["-DFALLBACK=1"]))

    def _compile(self, name: str, text: str, flags: list[str]) -> Compiled:
        found = {**self._btf.defines(text), **self._defines}
        flags = ["-fno-unroll-loops", *flags, *sorted(f"-D{define}={value}" for define, value in found.items())]
        unit = Unit(name, text, flags)
        kept = self._shelf.take(unit) if self._shelf else None
        if kept is not None:
            return kept
        child = subprocess.run(
            [sys.executable, "-m", "services.probe_manager.compiler"],
            input=msgspec.msgpack.encode(unit),
            capture_output=True,
            cwd=SOURCES.parent,
            check=False,
        )
        if child.returncode:
            raise ConfigError(f"bpf/{name}.c does not compile: {child.stderr.decode(errors='replace')}")
        compiled = msgspec.msgpack.decode(child.stdout, type=Compiled)
        if self._shelf:
            self._shelf.put(unit, compiled)
        return compiled

    def _attach(self, name: str, variant: str, compiled: Compiled) -> Loaded:
        descriptors = {item.marker: self._make(map_name, item.shape) for map_name, item in compiled.maps.items()}
        loaded = Loaded(name, variant, {}, {})
        try:
            self._verify(compiled, descriptors, loaded.programs)
            for function in [function for function in loaded.programs if function.startswith(_TAIL)]:
                self._set_tail(function, loaded.programs[function])
            for function in [function for function in loaded.programs if not function.startswith((_TAIL, *_USER))]:
                loaded.links[function] = self._link(function, loaded.programs[function])
        except OSError as refusal:
            _close(loaded)
            raise OSError(refusal.errno, f"{name} ({variant}): {refusal.strerror}") from None
        folder = self._home / "probes" / f"{name}:{variant}"
        folder.mkdir(exist_ok=True)
        for function, link in loaded.links.items():
            bpf.pin(link, folder / function)
        for function in [function for function in loaded.programs if function.startswith(_USER)]:
            bpf.pin(loaded.programs[function], folder / function)
        return loaded

    def _verify(self, compiled: Compiled, descriptors: Mapping[int, int], programs: dict[str, int]) -> None:
        """
        Load every function: the kernel checks them, which takes most of a start, on all processors at once.
        """
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting = {
                function: pool.submit(self._program, function, _with_maps(code, descriptors))
                for function, code in compiled.functions.items()
            }
        refused: OSError | None = None
        for function, done in waiting.items():
            try:
                programs[function] = done.result()
            except OSError as refusal:
                refused = OSError(refusal.errno, f"{function}: {refusal.strerror}")
        if refused is not None:
            raise refused

    def _make(self, name: str, shape: bpf.Shape) -> int:
        wanted = msgspec.structs.replace(shape, entries=self._sizes.get(name, shape.entries))
        path = self._home / "maps" / name
        if name not in self._maps and not path.exists():
            made = self._maps[name] = bpf.create_map(name, wanted)
            bpf.pin(made.fd, path)
        held = self.map(name)
        if held.shape != wanted:
            raise ConfigError(f"two probes disagree on map {name}: {held.shape} and {wanted}")
        return held.fd

    def _set_tail(self, function: str, program: int) -> None:
        _, tracepoint, slot = function.split("__")
        self.map(f"tails_{tracepoint}").write(int(slot).to_bytes(4, "little"), program.to_bytes(4, "little"))

    def _program(self, function: str, code: bytes) -> int:
        if function.startswith((*_USER, f"{_TAIL}uprobe__")):
            return bpf.load_program(_point(function), code, bpf.KPROBE)
        if function.startswith(_RAW):
            return bpf.load_program(_point(function), code, bpf.RAW_TRACEPOINT)
        if function.startswith((_TYPED, _TAIL)):
            kind, name, attach_type = "typedef", f"btf_trace_{_point(function)}", bpf.TRACE_RAW_TP
        else:
            kind, name, attach_type = "func", f"bpf_iter_{_target(function)[0]}", bpf.TRACE_ITER
        type_id = self._btf.type_id(kind, name)
        if type_id is None:
            raise OSError(errno.ENOENT, f"this kernel has no {_hook(function)}")
        return bpf.load_program(_point(function), code, bpf.TRACING, attach_type, type_id)

    def _link(self, function: str, program: int) -> int:
        if function.startswith(_ITERATOR):
            over = _target(function)[1]
            return bpf.attach_iterator(program, self.map(over).fd if over else 0)
        return bpf.attach_raw(program, _point(function) if function.startswith(_RAW) else None)


def _fingerprint(defines: Mapping[str, int], sizes: Mapping[str, int], protocols: frozenset[str] | None) -> str:
    chosen = None if protocols is None else sorted(protocols)
    settings = (sorted(defines.items()), sorted(sizes.items()), chosen, os.uname().release)
    digest = hashlib.sha256(repr(settings).encode())
    for path in sorted([*SOURCES.rglob("*.c"), *SOURCES.rglob("*.h")]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _point(function: str) -> str:
    return function.split("__")[1]


def _target(function: str) -> tuple[str, str]:
    target, _, over = function.removeprefix(_ITERATOR).partition("__")
    return target, over


def _hook(function: str) -> str:
    kind = {_TYPED: "tp_btf", _TAIL: "tp_btf", _RAW: "raw_tracepoint", _ITERATOR: "iter"}
    return f"{kind[function.split('__', 1)[0] + '__']}:{_point(function)}"


def _with_maps(code: bytes, descriptors: Mapping[int, int]) -> bytes:
    patched, at = bytearray(code), 0
    while at < len(patched):
        if patched[at] != _LOAD_MAP:
            at += 8
            continue
        if patched[at + 1] >> 4 == 1:
            marker = int.from_bytes(patched[at + 4 : at + 8], "little")
            patched[at + 4 : at + 8] = descriptors[marker].to_bytes(4, "little")
        at += 16
    return bytes(patched)


def _close(loaded: Loaded) -> None:
    for fd in [*loaded.links.values(), *loaded.programs.values()]:
        os.close(fd)


def _remove(path: Path) -> None:
    if path.is_dir():
        for inner in path.iterdir():
            _remove(inner)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
