"""
Probes: list them, switch them on and off while everything runs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import quote

import msgspec

from deploy.local import api
from services.query_api.answers import Page, Probe

if TYPE_CHECKING:
    import argparse

SAYS = "list the probes, switch them on and off at run time"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare its arguments.
    """
    parser.add_argument("--api", default="", metavar="URL", help="address of the API (default: what runs here)")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="each probe's state, hook and cost, and what is missed without it")
    listing.add_argument("--json", action="store_true", help="print JSON")
    for action in ("on", "off"):
        switch = actions.add_parser(action, help=f"switch a probe {action}")
        switch.add_argument("probe")
        switch.add_argument("--node", default="", help="only on this node (default: on every node)")


def run(arguments: argparse.Namespace) -> int:
    """
    List, or switch.
    """
    client = api.from_arguments(arguments)
    if arguments.action == "list":
        probes = client.get("/probes?limit=500", Page[Probe]).items
        if arguments.json:
            print(msgspec.json.format(msgspec.json.encode(probes)).decode())
        elif probes:
            print("\n".join(table(probes)))
        else:
            print(
                "no probe-manager has told of its probes yet: `meshlens status` says what it waits for", file=sys.stderr
            )
            return 1
        return 0
    client.send("PUT", f"/probes/{quote(arguments.probe)}", {"on": arguments.action == "on", "node": arguments.node})
    print(f"{arguments.probe} is {arguments.action}")
    return 0


def table(probes: list[Probe]) -> list[str]:
    """
    Return *probes* as lines for people.
    """
    lines = [f"{'node':16} {'probe':18} {'state':7} {'runs':>12} {'ns/run':>8}  hook"]
    for probe in probes:
        cost = f"{probe.run_time_s / probe.runs * 1e9:.0f}" if probe.runs and probe.run_time_s else "-"
        hook = f"{probe.hook} (falls back)" if probe.fallback else probe.hook
        lines.append(f"{probe.node:16} {probe.name:18} {probe.state:7} {probe.runs:12d} {cost:>8}  {hook}")
        lines += [f"{'':36}! {text}" for text in (probe.error, probe.misses if probe.state != "on" else "") if text]
    return lines
