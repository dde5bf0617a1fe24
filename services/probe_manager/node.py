"""
The kernel side of this node as a whole: its probes, its drains, its samples.

Everything here blocks, for milliseconds as a rule and for seconds while probes are compiled: the shell calls it in a
thread, one call at a time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.probe_manager import bpf, draining, encrypted, l4, scope, unanswered
from services.probe_manager.assembly import SOURCES, wanted_protocols
from services.probe_manager.catalogue import REQUIRED, catalogue
from services.probe_manager.decode import CONTROL, PROGRAM_BUSY, decode_sample, decode_series, words_of
from services.probe_manager.draining import Log, State
from services.probe_manager.endpoints import expired
from services.probe_manager.kernel import Kernel
from services.probe_manager.loaded import FALLBACK
from services.probe_manager.procfs import Watch
from services.probe_manager.syscalls import wait_for_programs
from shared.errors import ConfigError
from shared.messages.control import Probes, ProbeState
from shared.units import S_NS

if TYPE_CHECKING:
    from services.probe_manager.catalogue import Probe
    from services.probe_manager.config import ProbeManager
    from shared.messages.kernel import KernelBatch, Sample

LOG_MAP: Final = "drain_log"
BUFFERS: Final = ("l7_series", "l4_series", "l4_notes")
KEY: Final = bytes(4)
BPFFS, TRACEFS = Path("/sys/fs/bpf"), Path("/sys/kernel/tracing")


class Node:
    """
    The probes of this node and what they have gathered.
    """

    def __init__(self, settings: ProbeManager) -> None:
        """
        Prepare the kernel side, adopting what an earlier run left.

        Raises:
            ConfigError: the scope is wrong, or this process or kernel lacks something; the text says the remedy.
        """
        self._settings: Final = settings
        self._rules: Final = scope.parse(settings.scope)
        self._off: Final = {name.strip() for name in settings.probes_off.split(",") if name.strip()}
        self.catalogue: Final = read_catalogue()
        self._failed: Final[dict[str, str]] = {}
        self.refused: Final[dict[str, str]] = {}
        """Protocols that this kernel does not let in, and why."""
        self._reasons: dict[int, str] = {}
        self._ring: bpf.Ring | None = None
        self._ticks = 0
        self._pending: list[KernelBatch] = []
        self._to_unix_ns: Final = time.time_ns() - time.monotonic_ns()
        self._statistics: Final = bpf.enable_run_time_statistics() if settings.statistics else -1
        unknown = self._off - {probe.name for probe in self.catalogue}
        if unknown:
            raise ConfigError(f"PROBE_MANAGER_PROBES_OFF names no probe: {', '.join(sorted(unknown))}")
        prepare_file_systems()
        self._lock: Final = take_lock(Path(settings.pins) / settings.node_name())
        defines = {
            "SERIES_LIMIT": settings.series_limit,
            "ENDPOINT_LIMIT": settings.endpoint_limit,
            "SLOW_NS": settings.slow_ms * 1_000_000,
            "RESERVOIR_MASK": (1 << (settings.reservoir - 1).bit_length()) - 1,
        }
        sizes = {f"l7_series_{side}": settings.series_limit + 1024 for side in (0, 1)}
        cache = Path(settings.cache) if settings.cache else None
        self.kernel: Final = Kernel(
            Path(settings.pins) / settings.node_name(), defines, sizes, cache, wanted_protocols(settings.protocols_off)
        )
        self._watch: Final = Watch(self.kernel, self._rules)
        everybody = any(rule.kind is scope.Kind.HOST for rule in self._rules)
        self._encrypted: Final = encrypted.Encrypted(
            self._plain_text_programs, whole_host=everybody, kept=self.kernel.home / "uprobes"
        )

    def start(self) -> None:
        """
        Load the probes, tell them the scope, and find what runs already.

        Raises:
            ConfigError: a probe without which nothing is seen cannot be loaded.
        """
        for probe in self.catalogue:
            if probe.name not in self._off and probe.name != encrypted.PROBE:  # that one waits for a TLS library
                self._load(probe.name)
        for name in REQUIRED:
            if name in self._failed:
                raise ConfigError(f"the probe {name}, without which nothing is in scope: {self._failed[name]}")
        self._reasons = l4.reason_words(self.kernel.enumerators("skb_drop_reason"))
        if not self.kernel.has_map(LOG_MAP):
            self.kernel.make_map(LOG_MAP, bpf.Shape(2, 4, draining.LOG.size, 1))
            self._write(draining.first_log(time.time_ns()))
        wait_for_programs()
        if self.log().state is State.STORED:
            self._empty()
        self._watch.start()

    def finish(self) -> None:
        """
        Bring in the protocols that `start` and `switch` leave out, while the probes already count; it takes seconds.
        """
        for protocol, why in self.kernel.finish().items():
            self.refused[protocol] = why

    def log(self) -> Log:
        """
        Return where the inactive buffer stands.
        """
        return draining.decode_log(self.kernel.map(LOG_MAP).read(KEY) or b"")

    def drain(self) -> list[KernelBatch]:
        """
        Return what the kernel gathered since the last drain, or the drain that is not yet stored.
        """
        if not self._pending:
            self._pending = self._gather()
        return self._pending

    def _gather(self) -> list[KernelBatch]:
        log = self.log()
        if log.state is State.CLEAN:
            self._watch.count()
            log = draining.flipped(log, time.time_ns(), self._losses())
            self._write(log)
            self._flip()
            self._sweep()
        wait_for_programs()
        side = 1 - self._active()
        series = decode_series(*self._contents(f"l7_series_{side}"))
        series += unanswered.swept(*self._contents(unanswered.MAP))[1]
        notes = self._contents(f"l4_notes_{side}")
        tcp = l4.decode_series(self._contents(f"l4_series_{side}"), notes, self._reasons)
        outside = l4.decode_outside(notes, self._reasons)
        lost = words_of(log.seen, log.told)
        node = self._settings.node_name()
        instances = self._encrypted.told(self._watch.instances())
        return list(draining.parts(node, log, series, tcp, instances, lost, outside))

    def stored(self, messages: int) -> None:
        """
        Let go of the last drain: all its *messages* are stored.
        """
        self._write(draining.stored(self.log(), messages))
        self._pending = []
        self._empty()
        self._watch.published()
        self._ticks += 1
        if self._ticks % 30 == 0:
            self._forget_endpoints()

    def samples(self, grant: int) -> list[Sample]:
        """
        Return the samples since the last call, unmasked, and allow *grant* more until the next.
        """
        if "socket_l7" not in self.kernel.probes:
            return []
        if self._ring is None:
            self._ring = bpf.Ring(self.kernel.map("l7_samples"))
        records = self._ring.drain()
        self.kernel.map("l7_sample_budget").write(KEY, struct.pack("<q", grant))
        return [decode_sample(record, self._to_unix_ns) for record in records]

    def prepare(self) -> None:
        """
        Compile what is loaded only when a TLS library comes, so that it does not keep drains waiting then.
        """
        if encrypted.PROBE not in self._off and encrypted.PROBE not in self.kernel.probes:
            self.kernel.prepare(encrypted.PROBE, fallback=self._settings.hooks == FALLBACK)

    def find_libraries(self) -> None:
        """
        Hook the TLS libraries of the processes in scope that came, or that loaded one, since the last call.
        """
        if encrypted.PROBE not in self._off and "socket_l7" in self.kernel.probes:
            keys, values = self._contents("instances")
            refs = zip(struct.iter_unpack("<I", keys), struct.iter_unpack("<II", values), strict=True)
            self._encrypted.look({pid: instance for (pid,), (instance, _) in refs})

    def _plain_text_programs(self) -> dict[str, int]:
        if encrypted.PROBE not in self.kernel.probes and encrypted.PROBE not in self._failed:
            self._load(encrypted.PROBE)
        if encrypted.PROBE in self._failed:
            raise OSError(errno.ENOTSUP, self._failed[encrypted.PROBE])
        return self.kernel.probes[encrypted.PROBE].programs if self.kernel.is_finished(encrypted.PROBE) else {}

    def switch(self, name: str, on: bool) -> None:
        """
        Load or unload the probe *name*.

        Raises:
            ConfigError: there is no such probe, it must stay on, or it cannot be loaded.
        """
        if name not in {probe.name for probe in self.catalogue}:
            raise ConfigError(f"there is no probe {name}; there are {', '.join(one.name for one in self.catalogue)}")
        if not on and name in REQUIRED:
            raise ConfigError(f"{name} must stay on: without it nothing is in scope")
        if not on:
            self._off.add(name)
            if name == encrypted.PROBE:
                self._encrypted.close()
            self.kernel.unload(name)
            for table in encrypted.TABLES if name == encrypted.PROBE else ():
                if self.kernel.has_map(table):
                    self.kernel.map(table).delete_many(self._contents(table)[0])
            return
        self._off.discard(name)
        if name not in self.kernel.probes:
            self._load(name)
            if name in self._failed:
                raise ConfigError(self._failed[name])
            self._watch.adopt()

    def probes(self) -> Probes:
        """
        Return the state of every probe.
        """
        return Probes(
            node=self._settings.node_name(),
            at_ns=time.time_ns(),
            scope=", ".join(rule.words for rule in self._rules),
            probes=[self._state(probe) for probe in self.catalogue],
        )

    def close(self, *, remove: bool) -> None:
        """
        Let go; with *remove* nothing stays in the kernel, else all goes on until it is adopted.
        """
        if self._ring is not None:
            self._ring.close()
        self._encrypted.close(remove=remove)
        self.kernel.close(remove=remove)
        os.close(self._lock)
        if self._statistics >= 0:
            os.close(self._statistics)

    def _load(self, name: str) -> None:
        self._failed.pop(name, None)
        try:
            self.kernel.begin(name, fallback=self._settings.hooks == FALLBACK)
        except OSError as refusal:
            self._failed[name] = refusal.strerror or str(refusal)

    def _lacks(self, name: str) -> str:
        if name not in ("socket_l7", "tls_l7"):
            return ""
        return "; ".join(f"without {protocol}: {why[-300:]}" for protocol, why in sorted(self.refused.items()))

    def _state(self, probe: Probe) -> ProbeState:
        loaded = self.kernel.probes.get(probe.name)
        if loaded is None:
            error = self._failed.get(probe.name, "")
            state = "failed" if error and probe.name not in self._off else "off"
            waits = probe.name == encrypted.PROBE and not error and probe.name not in self._off
            misses = "nothing yet: no process in scope has a TLS library" if waits else "everything it answers: "
            return ProbeState(
                name=probe.name, question=probe.question, state=state, cost=probe.cost, error=error[:2000],
                misses=misses if waits else f"{misses}{probe.question}",
            )  # fmt: skip
        figures = self.kernel.figures(probe.name)
        return ProbeState(
            name=probe.name,
            question=probe.question,
            state="on",
            hook=loaded.hook,
            fallback=loaded.variant == FALLBACK,
            misses=probe.misses,
            cost=probe.cost,
            error=self._lacks(probe.name)[:2000],
            runs=sum(figure.runs for figure in figures),
            run_time_ns=sum(figure.run_time_ns for figure in figures),
            instructions=sum(figure.instructions for figure in figures),
        )

    def _write(self, log: Log) -> None:
        self.kernel.map(LOG_MAP).write(KEY, log.encode())

    def _active(self) -> int:
        control = self.kernel.map("l7_control").read(KEY) or bytes(CONTROL.size)
        return int(CONTROL.unpack(control)[3]) & 1

    def _flip(self) -> None:
        self.kernel.map("l7_control").write(KEY, CONTROL.pack(0, 0, 0, 1 - self._active(), 0))

    def _contents(self, name: str) -> tuple[bytes, bytes]:
        if not self.kernel.has_map(name):
            return b"", b""
        batches = [(keys, values) for keys, values, _ in self.kernel.map(name).entries()]
        return b"".join(keys for keys, _ in batches), b"".join(values for _, values in batches)

    def _empty(self) -> None:
        side = 1 - self._active()
        for buffer in BUFFERS:
            name = f"{buffer}_{side}"
            if self.kernel.has_map(name):
                self.kernel.map(name).delete_many(self._contents(name)[0])
        for key in unanswered.swept(*self._contents(unanswered.MAP))[0]:
            self.kernel.map(unanswered.MAP).delete(key)
        if self.kernel.has_map("l7_series_used"):
            self.kernel.map("l7_series_used").write(struct.pack("<I", side), bytes(8))
        self._write(draining.emptied(self.log()))

    def _sweep(self) -> None:
        for key, value in unanswered.to_sweep(*self._contents(unanswered.MAP), time.monotonic_ns()):
            self.kernel.map(unanswered.MAP).write(key, value)

    def _losses(self) -> list[int]:
        counts = struct.iter_unpack(f"<{self.kernel.map('lost').value_bytes // 8}Q", self._contents("lost")[1])
        found = [sum(of_processors) for of_processors in counts]
        figures = [one for name in self.kernel.probes for one in self.kernel.figures(name, called=False)]
        found[PROGRAM_BUSY] += sum(one.missed for one in figures)
        return found

    def _forget_endpoints(self) -> None:
        if not self.kernel.has_map("l7_endpoints"):
            return
        living = {instance for (instance,) in struct.iter_unpack("<I", self._contents("families")[0])}
        held = self.kernel.map("l7_endpoints")
        gone, counts = expired(*self._contents("l7_endpoints"), living, time.monotonic_ns() - 3600 * S_NS)
        for key in gone:
            held.delete(key)
        for key, count in counts.items():
            held.write(key, struct.pack("<Q", count))


def take_lock(pins: Path) -> int:
    """
    Return a file descriptor that keeps other probe-managers away from *pins* until it is closed.

    Raises:
        ConfigError: there is another one.
    """
    pins.mkdir(parents=True, exist_ok=True)
    held = os.open(pins, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(held)
        raise ConfigError(
            f"another probe-manager observes node {pins.name}: stop it, or give this one another MESHLENS_NODE"
        ) from error
    return held


def read_catalogue() -> list[Probe]:
    """
    Return every probe of this installation.
    """
    return catalogue({path.stem: path.read_text(encoding="utf-8") for path in SOURCES.glob("*.c")})


def prepare_file_systems() -> None:
    """
    Mount bpffs and tracefs where they are not.

    Raises:
        ConfigError: they cannot be mounted, or BTF is missing; the text says the remedy.
    """
    if not Path("/sys/kernel/btf/vmlinux").exists():
        raise ConfigError("this kernel has no BTF (/sys/kernel/btf/vmlinux): it needs CONFIG_DEBUG_INFO_BTF=y")
    mounted = {line.split()[1] for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()}
    for kind, path in (("bpf", BPFFS), ("tracefs", TRACEFS)):
        if str(path) in mounted:
            continue
        done = subprocess.run(["mount", "-t", kind, kind, str(path)], check=False, capture_output=True, text=True)
        if done.returncode != 0:
            why = done.stderr.strip()
            raise ConfigError(f"{path} is not mounted and cannot be: {why}; `mount -t {kind} {kind} {path}` as root")
