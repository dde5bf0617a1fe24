"""
How meshlens itself is.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import msgspec

from deploy.local import api
from services.query_api.answers import ServiceHealth, Status

if TYPE_CHECKING:
    import argparse

SAYS = "show each service's health, lag and losses"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare its arguments.
    """
    parser.add_argument("--api", default="", metavar="URL", help="address of the API (default: what runs here)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """
    Print it; the exit status is 1 when a service is not ready.
    """
    status = api.from_arguments(arguments).get("/status", Status)
    if arguments.json:
        print(msgspec.json.format(msgspec.json.encode(status)).decode())
    else:
        print("\n".join(table(status, dt.datetime.now(tz=dt.UTC))))
    return 0 if status.services and all(service.state == "ready" for service in status.services) else 1


def table(status: Status, now: dt.datetime) -> list[str]:
    """
    Return *status* as lines for people.
    """
    lines = [f"{'service':18} {'state':9} {'heard':>7} {'lag':>8} {'memory':>8} {'cpu':>8}  "]
    lines += [_line(service, now) for service in status.services]
    lines += [f"observes on {node}: {scope}" for node, scope in sorted(status.scope.items())]
    lost = {cause: count for cause, count in sorted(status.lost.items()) if count}
    lines.append("lost: " + (", ".join(f"{cause} {count}" for cause, count in lost.items()) or "nothing"))
    return lines


def _line(service: ServiceHealth, now: dt.datetime) -> str:
    heard_s = (now - service.heard).total_seconds()
    return (
        f"{service.service:18} {service.state:9} {heard_s:5.1f} s {service.lag_s:6.1f} s "
        f"{service.resident_bytes / 1e6:5.0f} MB {service.cpu_s:6.1f} s  {service.waiting_for}"
    )
