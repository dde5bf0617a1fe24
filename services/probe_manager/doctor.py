"""
What this machine lets meshlens see: the checks behind `meshlens doctor`.
"""

from __future__ import annotations

import ctypes.util
import importlib.util
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager.config import ProbeManager
from services.probe_manager.kernel import Kernel
from services.probe_manager.node import prepare_file_systems, read_catalogue
from shared.errors import ConfigError

if TYPE_CHECKING:
    from services.probe_manager.catalogue import Probe

CAPABILITIES: Final = {38: "CAP_PERFMON", 39: "CAP_BPF", 19: "CAP_SYS_PTRACE"}
SYS_ADMIN: Final = 21


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing that was looked at.
    """

    name: str
    ok: bool
    found: str
    remedy: str = ""


class ProbeCheck(msgspec.Struct, frozen=True, kw_only=True):
    """
    One probe that was really loaded, attached and removed again.
    """

    name: str
    question: str
    works: bool
    hook: str = ""
    fallback: bool = False
    misses: str = ""
    cost: str = ""
    instructions: int = 0
    error: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """
    What `--doctor` prints.
    """

    kernel: str
    machine: str
    checks: list[Check]
    probes: list[ProbeCheck]


def examine() -> Report:
    """
    Return what works here; every probe is loaded with an empty scope, so nothing is observed.
    """
    uname = os.uname()
    checks = [_btf(), _rights(), _compiler(), _file_systems()]
    probes: list[ProbeCheck] = []
    if all(check.ok for check in checks):
        kernel = Kernel(Path(f"/sys/fs/bpf/meshlens-doctor-{os.getpid()}"), {}, {}, Path(ProbeManager().cache))
        try:
            probes = [_try(kernel, probe) for probe in read_catalogue()]
        finally:
            kernel.close(remove=True)
    return Report(kernel=uname.release, machine=uname.machine, checks=checks, probes=probes)


def _try(kernel: Kernel, probe: Probe) -> ProbeCheck:
    try:
        loaded = kernel.begin(probe.name)
        refused = kernel.finish()
    except (OSError, ConfigError) as refusal:
        return ProbeCheck(
            name=probe.name,
            question=probe.question,
            works=False,
            misses=f"everything it answers: {probe.question}",
            error=str(refusal)[:2000],
        )
    return ProbeCheck(
        name=probe.name,
        question=probe.question,
        works=True,
        hook=loaded.hook,
        fallback=loaded.variant == "fallback",
        misses="; ".join([probe.misses, *(f"{protocol}, which this kernel refuses" for protocol in sorted(refused))]),
        error="; ".join(f"{protocol}: {why[-300:]}" for protocol, why in sorted(refused.items()))[:2000],
        cost=probe.cost,
        instructions=sum(figure.instructions for figure in kernel.figures(probe.name)),
    )


def _btf() -> Check:
    there = Path("/sys/kernel/btf/vmlinux").exists()
    remedy = "" if there else "use a kernel with CONFIG_DEBUG_INFO_BTF=y (every distribution's since 2021 has it)"
    return Check(name="BTF", ok=there, found="/sys/kernel/btf/vmlinux" if there else "none", remedy=remedy)


def _rights() -> Check:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    held = int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff")), 16)
    missing = [name for bit, name in CAPABILITIES.items() if not held >> bit & 1]
    ok = not missing or bool(held >> SYS_ADMIN & 1)
    return Check(
        name="privileges",
        ok=ok,
        found="enough" if ok else f"without {', '.join(missing)}",
        remedy="" if ok else "run probe-manager as root, or give it CAP_BPF, CAP_PERFMON and CAP_SYS_PTRACE",
    )


def _compiler() -> Check:
    there = importlib.util.find_spec("bcc") is not None and ctypes.util.find_library("bcc") is not None
    remedy = "" if there else "install Debian's python3-bpfcc (the package called bcc on PyPI is another)"
    return Check(name="bcc", ok=there, found="found" if there else "none", remedy=remedy)


def _file_systems() -> Check:
    try:
        prepare_file_systems()
    except ConfigError as error:
        return Check(name="bpffs and tracefs", ok=False, found="missing", remedy=str(error))
    return Check(name="bpffs and tracefs", ok=True, found="mounted")
