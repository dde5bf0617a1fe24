"""
A long time without a fault: nothing turns red, nothing grows (`python -m tests.mesh.soak --minutes 60`).
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Final

from services.query_api.answers import ServiceHealth, Topology
from shared.errors import ConfigError, Unavailable
from tests.mesh.cluster import Cluster

LOOK_EVERY_S: Final = 10.0
WARM_S: Final = 180.0
"""After so long, memory should not grow much any more."""
GROWTH_RATIO: Final = 1.25
GROWTH_BYTES: Final = 20_000_000
"""What a service may grow by beside the ratio."""


def false_reds(topology: Topology) -> list[str]:
    """
    Return what is red, each with its first reason.
    """
    named = [(one.name, one.state) for one in topology.services] + [(one.id, one.state) for one in topology.relations]
    return [f"{name}: {state.reasons[0].text if state.reasons else '?'}" for name, state in named if state.own == "red"]


def growth(before: list[ServiceHealth], after: list[ServiceHealth]) -> list[str]:
    """
    Return which services hold much more memory than *before*.
    """
    earlier = {one.service: one.resident_bytes for one in before}
    return [
        f"{one.service}: {earlier[one.service] / 1e6:.0f} MB -> {one.resident_bytes / 1e6:.0f} MB"
        for one in after
        if one.resident_bytes > earlier.get(one.service, 0) * GROWTH_RATIO + GROWTH_BYTES
    ]


def main() -> int:
    """
    Run it, print what was seen, and return 1 when something was red or grew.
    """
    parser = argparse.ArgumentParser(description="The demo without a fault, for a long time.")
    parser.add_argument("--minutes", type=float, default=60.0)
    minutes = parser.parse_args().minutes
    cluster = Cluster()
    reds: dict[str, int] = {}
    looks = 0
    try:
        cluster.wait_for("six services are ready", cluster.ready, 180)
        started = time.monotonic()
        warm: list[ServiceHealth] = []
        while time.monotonic() - started < minutes * 60:
            time.sleep(LOOK_EVERY_S)
            try:
                topology, status = cluster.topology(), cluster.status()
            except (Unavailable, ConfigError) as error:
                print(f"no answer: {error}", flush=True)
                continue
            looks += 1
            if not warm and time.monotonic() - started > WARM_S:
                warm = status.services
            for red in false_reds(topology):
                reds[red] = reds.get(red, 0) + 1
                print(f"{time.monotonic() - started:6.0f} s  red  {red}", flush=True)
        grown = growth(warm, status.services) if warm else []
        load = cluster.quiet_load()
    finally:
        cluster.stop()
        cluster.remove()
    print(f"{minutes:g} minutes, {looks} looks, {load['sent_total']} requests: {len(reds)} false reds")
    print("\n".join(f"grew: {line}" for line in grown) or "nothing grew")
    return 1 if reds or grown or not looks else 0


if __name__ == "__main__":
    sys.exit(main())
