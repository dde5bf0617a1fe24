"""
How the services tell how they are, and how probes are switched at run time.
"""

from __future__ import annotations

import msgspec


class ServiceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """
    A service's heartbeat.
    """

    service: str
    """`probe-manager`, ..."""
    node: str
    at_ns: int
    started_ns: int
    version: str
    state: str
    """`starting`, `ready`, `degraded`"""
    waiting_for: str = ""
    """What it waits for (`PostgreSQL at ...`), empty when ready."""
    lag_s: float = 0.0
    """Age of the oldest message that it has not yet applied."""
    counters: dict[str, int] = {}
    lost: dict[str, int] = {}
    """Since start, by cause."""
    resident_bytes: int = 0
    cpu_s: float = 0.0
    """Processor time since start, in seconds."""
    health_url: str = ""


class ProbeState(msgspec.Struct, frozen=True, kw_only=True):
    """
    One probe on one node.
    """

    name: str
    question: str
    """The question that it answers, from the head of its file."""
    state: str
    """`on`, `off`, `failed`"""
    hook: str = ""
    """The hook in use, e.g. `raw_tracepoint:sock_send_length`."""
    fallback: bool = False
    """True when the preferred hook is missing."""
    misses: str = ""
    """What the operator does not see because of the hook in use or because it is off."""
    cost: str = ""
    error: str = ""
    runs: int = 0
    run_time_ns: int = 0
    """From the kernel's run-time statistics, 0 when these are off."""
    instructions: int = 0
    """Verified instructions of its programs."""


class Probes(msgspec.Struct, frozen=True, kw_only=True):
    """
    The probes of one node.
    """

    node: str
    at_ns: int
    scope: str
    """The scope in words: `tree of pid 4711`, `cgroup /shop`."""
    probes: list[ProbeState]


class ProbeCommand(msgspec.Struct, frozen=True, kw_only=True):
    """
    Switch a probe on or off.
    """

    probe: str
    on: bool
    node: str = ""
    """Empty for every node."""


class ProbeReply(msgspec.Struct, frozen=True, kw_only=True):
    """
    What came of a `ProbeCommand`.
    """

    ok: bool
    error: str = ""
    probes: Probes | None = None
