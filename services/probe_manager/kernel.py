"""
Loading the probes: compile, make and share maps, attach, pin, adopt.

A probe is compiled by bcc in a child process that ends afterwards, because the compiler's memory is never given back.
What comes out are instructions and the shapes of maps; maps are then made here, or adopted from bpffs when another
probe or an earlier run has made them, and the programs are loaded with these. A map with one name is one map for all.

Functions are attached where their names say (`programs.py`). A probe with a fall-back is compiled a second time with
`FALLBACK` defined when the kernel refuses its preferred hooks. The programs of framed protocols are a part of their
own: `begin` attaches a probe without them, `finish` brings them in while the probe already counts; until then what
they would recognise counts as of no known protocol.

Layout in bpffs: `<pins>/<fingerprint of all sources and settings>/{maps/<map>, probes/<probe>:<variant>/<function>}`.
"""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager import bpf
from services.probe_manager.assembly import parts
from services.probe_manager.btf import Btf
from services.probe_manager.compiler import BACKGROUND, Compiled, Unit
from services.probe_manager.compiling import Compiling
from services.probe_manager.linking import linked
from services.probe_manager.loaded import FALLBACK, PREFERRED, Loaded, Part, RefusedError
from services.probe_manager.programs import ITERATOR, RAW, TAIL, TYPED, USER, hook, place, point, target, with_maps
from services.probe_manager.recipe import Recipe, has_fallback
from services.probe_manager.shelf import Shelf
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping


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
        self._recipe: Final = Recipe(self._btf, os.uname().release, defines, sizes, protocols)
        self._sizes: Final = dict(sizes)
        self._pins: Final = pins
        self.home: Final = pins / self._recipe.fingerprint
        self._keeps: Final = cache is not None
        self._compiling: Final = Compiling(Shelf(cache, self.home.name) if cache else None)
        self._changing: Final = threading.Lock()
        """Probes come or go."""
        self._maps: Final[dict[str, bpf.Map]] = {}
        self.probes: Final[dict[str, Loaded]] = {}
        self._unfinished: Final[list[Part]] = []
        for older in list(pins.iterdir()) if pins.exists() else []:
            if older != self.home:
                _remove(older)
        self.adopted: Final = (self.home / "maps").exists()
        """True when the maps, and what they hold, come from an earlier run."""
        for part in ("maps", "probes", "finished"):
            (self.home / part).mkdir(parents=True, exist_ok=True)

    def load(self, name: str, *, fallback: bool = False) -> Loaded:
        """
        Attach the whole probe *name*, or adopt it where it is attached.

        Args:
            name: the file in `bpf/` without its suffix.
            fallback: do not try the preferred hooks.

        Raises:
            OSError: the kernel refuses it; the text is the verifier's.
        """
        loaded = self.begin(name, fallback=fallback)
        self.finish(strict=True)
        return loaded

    def begin(self, name: str, *, fallback: bool = False) -> Loaded:
        """
        Attach the probe *name* without its framed protocols, as `load` does.
        """
        with self._changing:
            self._must_go_on()
            loaded = self._adopt(name) or self._load(name, fallback)
            self.probes[name] = loaded
        return loaded

    def finish(self, *, strict: bool = False) -> dict[str, str]:
        """
        Bring in the framed protocols of all probes that have begun; return those that the kernel refuses, and why.

        May run in a thread of its own beside everything but `load` and `unload`.

        Args:
            strict: raise the first refusal.
        """
        refused: dict[str, str] = {}
        with self._changing:
            while self._unfinished:
                self._must_go_on()
                refused |= self._finish(self._unfinished.pop(0), strict=strict)
        return refused

    @property
    def unfinished(self) -> bool:
        """
        Return whether a probe waits for `finish`.
        """
        return bool(self._unfinished)

    def prepare(self, name: str, *, fallback: bool = False) -> None:
        """
        Compile the probe *name* for a later `begin`, which then is quick; may run in a thread as `finish` may.
        """
        if not self._keeps:
            return
        for unit in self._recipe.units(name, fallback=fallback):
            self._compile(unit, nice=BACKGROUND)

    def is_finished(self, name: str) -> bool:
        """
        Return whether the probe *name* is attached with all its framed protocols.
        """
        loaded = self.probes.get(name)
        return loaded is not None and (self.home / "finished" / f"{name}:{loaded.variant}").exists()

    def unload(self, name: str) -> None:
        """
        Detach the probe *name*; its maps stay.
        """
        loaded = self.probes.pop(name, None)
        if loaded is not None:
            _close(loaded)
            for part in ("probes", "finished"):
                _remove(self.home / part / f"{name}:{loaded.variant}")

    def map(self, name: str) -> bpf.Map:
        """
        Return the map *name* of any loaded probe.
        """
        found = self._maps.get(name)
        if found is None:
            found = self._maps[name] = bpf.Map(bpf.pinned(self.home / "maps" / name), name)
        return found

    def has_map(self, name: str) -> bool:
        """
        Return whether any probe, now or in an adopted run, has made the map *name*.
        """
        return name in self._maps or (self.home / "maps" / name).exists()

    def make_map(self, name: str, shape: bpf.Shape) -> None:
        """
        Make the map *name*, which no probe uses, and keep it with the others.
        """
        made = self._maps[name] = bpf.create_map(name, shape)
        bpf.pin(made.fd, self.home / "maps" / name)

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

    def figures(self, name: str, *, called: bool = True) -> list[bpf.ProgramFigures]:
        """
        Return the figures of the programs of the probe *name*; without *called* not of those that others call.
        """
        programs = list(self.probes[name].programs.items())
        return [bpf.program_figures(one) for function, one in programs if called or not function.startswith(TAIL)]

    def enumerators(self, name: str) -> dict[str, int]:
        """
        Return the enumerators of the kernel's enum *name*.
        """
        return self._btf.enumerators(name)

    def close(self, *, remove: bool) -> None:
        """
        Let go of everything; with *remove* the probes are detached, else they go on until they are adopted.

        A probe that another thread is bringing in is waited for, or never comes.
        """
        self._compiling.stop()
        with self._changing:
            self._unfinished.clear()
            for loaded in self.probes.values():
                _close(loaded)
            for held in self._maps.values():
                held.close()
            self.probes.clear()
            self._maps.clear()
            if remove:
                _remove(self._pins)

    def _must_go_on(self) -> None:
        if self._compiling.stopped:
            raise ConfigError("no probe is brought in: probe-manager ends")

    def _adopt(self, name: str) -> Loaded | None:
        for variant in (PREFERRED, FALLBACK):
            folder = self.home / "probes" / f"{name}:{variant}"
            if not folder.exists():
                continue
            held = {path.name: bpf.pinned(path) for path in folder.iterdir()}
            links = {function: fd for function, fd in held.items() if not function.startswith(USER)}
            programs = {function: bpf.program_by_id(bpf.link_program_id(link)) for function, link in links.items()}
            programs |= {function: fd for function, fd in held.items() if function not in links}
            if links:
                self._has_parts(name, variant, self._recipe.text(name))
                return Loaded(name, variant, links, programs)
        return None

    def _load(self, name: str, fallback: bool) -> Loaded:
        text = self._recipe.text(name)
        can_fall_back = has_fallback(text)
        if not (fallback and can_fall_back):
            try:
                return self._attach(name, PREFERRED, text)
            except OSError as refusal:
                if not can_fall_back or refusal.errno not in (errno.ENOENT, errno.EINVAL, errno.EACCES):
                    raise
        return self._attach(name, FALLBACK, text)

    def _has_parts(self, name: str, variant: str, text: str) -> None:
        _, second = parts(text)
        finished = self.home / "finished" / f"{name}:{variant}"
        if not second:
            finished.mkdir(exist_ok=True)
        elif not finished.exists():
            self._unfinished.append(Part(name, variant, second))

    def _finish(self, part: Part, *, strict: bool) -> dict[str, str]:
        unit = self._recipe.unit(part.probe, part.text, fallback=part.variant == FALLBACK)
        compiled = self._compile(unit, nice=0 if strict else BACKGROUND)
        try:
            programs = self._verify(compiled)
        except RefusedError as refusal:
            if strict:
                raise
            text = self._recipe.later_without(part.probe, set(refusal.protocols))
            return refusal.protocols | self._finish(Part(part.probe, part.variant, text), strict=True)
        loaded = self.probes.get(part.probe)
        if loaded is None:  # switched off meanwhile
            for program in programs.values():
                os.close(program)
            return {}
        for function, program in programs.items():
            before, loaded.programs[function] = loaded.programs.get(function), program
            if before is not None:  # the table of tail calls holds it until it is replaced
                os.close(before)
        for function in sorted(programs, key=place):  # the program that recognises comes last
            self._set_tail(function, programs[function])
        (self.home / "finished" / f"{part.probe}:{part.variant}").mkdir(exist_ok=True)
        return {}

    def _compile(self, unit: Unit, *, nice: int = 0) -> Compiled:
        return self._compiling.compiled(unit, nice=nice)

    def _attach(self, name: str, variant: str, text: str) -> Loaded:
        compiled = self._compile(self._recipe.unit(name, parts(text)[0], fallback=variant == FALLBACK))
        loaded = Loaded(name, variant, {}, {})
        try:
            loaded.programs.update(self._verify(compiled))
            for function in [function for function in loaded.programs if function.startswith(TAIL)]:
                self._set_tail(function, loaded.programs[function])
            for function in [function for function in loaded.programs if not function.startswith((TAIL, *USER))]:
                loaded.links[function] = self._link(function, loaded.programs[function])
        except OSError as refusal:
            _close(loaded)
            raise OSError(refusal.errno, f"{name} ({variant}): {refusal.strerror}") from None
        folder = self.home / "probes" / f"{name}:{variant}"
        folder.mkdir(exist_ok=True)
        for function, link in loaded.links.items():
            bpf.pin(link, folder / function)
        for function in [function for function in loaded.programs if function.startswith(USER)]:
            bpf.pin(loaded.programs[function], folder / function)
        self._has_parts(name, variant, text)
        return loaded

    def _verify(self, compiled: Compiled) -> dict[str, int]:
        """
        Load every function: the kernel checks them, which takes most of a start, on all processors at once.
        """
        descriptors = {item.marker: self._make(name, item.shape) for name, item in compiled.maps.items()}
        functions = linked({function: with_maps(code, descriptors) for function, code in compiled.functions.items()})
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            waiting = {function: pool.submit(self._program, function, *code) for function, code in functions.items()}
        programs: dict[str, int] = {}
        refused: dict[str, OSError] = {}
        for function, done in waiting.items():
            try:
                programs[function] = done.result()
            except OSError as refusal:
                refused[function] = refusal
        if refused:
            for program in programs.values():
                os.close(program)
            raise RefusedError(refused)
        return programs

    def _make(self, name: str, shape: bpf.Shape) -> int:
        wanted = msgspec.structs.replace(shape, entries=self._sizes.get(name, shape.entries))
        path = self.home / "maps" / name
        if name not in self._maps and not path.exists():
            made = self._maps[name] = bpf.create_map(name, wanted)
            bpf.pin(made.fd, path)
        held = self.map(name)
        if held.shape != wanted:
            raise ConfigError(f"two probes disagree on map {name}: {held.shape} and {wanted}")
        return held.fd

    def _set_tail(self, function: str, program: int) -> None:
        table = self.map(f"tails_{point(function)}")
        table.write(place(function).to_bytes(4, "little"), program.to_bytes(4, "little"))

    def _program(self, function: str, code: bytes, starts: list[int]) -> int:
        if function.startswith((*USER, f"{TAIL}uprobe__")):
            return bpf.load_program(point(function), code, bpf.KPROBE, starts=starts)
        if function.startswith(RAW):
            return bpf.load_program(point(function), code, bpf.RAW_TRACEPOINT, starts=starts)
        if function.startswith((TYPED, TAIL)):
            kind, name, attach_type = "typedef", f"btf_trace_{point(function)}", bpf.TRACE_RAW_TP
        else:
            kind, name, attach_type = "func", f"bpf_iter_{target(function)[0]}", bpf.TRACE_ITER
        type_id = self._btf.type_id(kind, name)
        if type_id is None:
            raise OSError(errno.ENOENT, f"this kernel has no {hook(function)}")
        return bpf.load_program(point(function), code, bpf.TRACING, attach_type, type_id, starts)

    def _link(self, function: str, program: int) -> int:
        if function.startswith(ITERATOR):
            over = target(function)[1]
            return bpf.attach_iterator(program, self.map(over).fd if over else 0)
        return bpf.attach_raw(program, point(function) if function.startswith(RAW) else None)


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
