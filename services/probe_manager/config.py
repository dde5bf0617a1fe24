"""
The settings of probe-manager.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from shared.runtime.config import Common


class ProbeManager(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What probe-manager can be told.
    """

    scope: str = ""
    """What is observed, separated by commas: `tree:<pid>`, `cgroup:/<path>`, `netns:<name>`, `exe:/<path>`,
    `port:<number>`, or `host`; there is no default."""
    tick_s: Annotated[float, Meta(ge=0.2, le=60)] = 2.0
    """Time between two drains of the kernel, in seconds."""
    hooks: Literal["preferred", "fallback"] = "preferred"
    """`fallback` uses the fall-back hooks of every probe that has them, whatever the kernel offers."""
    probes_off: str = ""
    """Probes that are not loaded at start, separated by commas."""
    protocols_off: str = ""
    """Protocols that are not followed message by message, separated by commas, by their file in `bpf/l7`; their
    connections count as those of unknown protocols. `http` and `redis` are always followed."""
    pins: str = "/sys/fs/bpf/meshlens"
    """Folder in bpffs under which maps and programs are kept while probe-manager is replaced."""
    cache: str = "/var/cache/meshlens"
    """Folder in which compiled probes are kept, so that the next start is quicker; empty keeps none."""
    series_limit: Annotated[int, Meta(ge=64, le=65_536)] = 16_384
    """The most series of requests in one drain; what is beyond is counted under `~other`."""
    endpoint_limit: Annotated[int, Meta(ge=8, le=16_384)] = 512
    """The most endpoints of one instance and protocol; what is beyond is counted under `~other`."""
    slow_ms: Annotated[int, Meta(ge=1, le=3_600_000)] = 500
    """Requests that take as long are sampled, in milliseconds."""
    reservoir: Annotated[int, Meta(ge=1, le=1 << 20)] = 1024
    """One request of so many is sampled whatever it is like; a power of two."""
    samples_per_s: Annotated[int, Meta(ge=0, le=10_000)] = 100
    """The most samples of single requests a second; what is beyond is counted."""
    statistics: bool = False
    """Whether the kernel measures the run time of the programs; that costs some 20 ns a run."""
