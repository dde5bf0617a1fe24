"""
A live table of services and relations in the terminal.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import sys
import termios
import time
import tty
from typing import TYPE_CHECKING, Final

from deploy.local import api
from services.query_api.answers import RelationEdge, ServiceNode, Topology
from shared.errors import Unavailable

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from services.query_api.answers import Rates, State

SAYS = "a live table of services and relations (q quits, s sorts)"

RANK: Final = {"red": 0, "orange": 1, "yellow": 2, "green": 3, "grey": 4}
PAINT: Final = {"red": "31;1", "orange": "33;1", "yellow": "33", "green": "32", "grey": "90"}
SHAPE: Final = {"red": "■", "orange": "◆", "yellow": "▲", "green": "●", "grey": "·"}
"""A shape beside each colour, for those who do not tell them apart."""
SORTS: Final = ("worst", "rate", "slowest", "name")
HEAD: Final = f"{'':2}{'':34} {'req/s':>9} {'errors':>7} {'p50':>8} {'p95':>8} {'p99':>8}  why"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare its arguments.
    """
    parser.add_argument("--api", default="", metavar="URL", help="address of the API (default: what runs here)")
    parser.add_argument("--every", type=float, default=2.0, metavar="SECONDS", help="refresh so often (default: 2)")
    parser.add_argument("--once", action="store_true", help="print the table once and end")


def run(arguments: argparse.Namespace) -> int:
    """
    Show the table until q is pressed.
    """
    client = api.from_arguments(arguments)
    if arguments.once or not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("\n".join(table(client.get("/topology", Topology), colour=False)))
        return 0
    sort = 0
    with _keys():
        while True:
            size = shutil.get_terminal_size()
            try:
                lines = table(client.get("/topology", Topology), sort=SORTS[sort])
            except Unavailable as error:
                lines = [str(error)]
            _paint([f"meshlens top: sorted by {SORTS[sort]}; s sorts otherwise, q quits", *lines], size)
            match _key(max(0.2, arguments.every)):
                case "q" | "\x03":
                    return 0
                case "s":
                    sort = (sort + 1) % len(SORTS)


def table(topology: Topology, *, sort: str = "worst", colour: bool = True) -> list[str]:
    """
    Return *topology* as lines.
    """
    services = sorted(topology.services, key=lambda one: _order(sort, one.state, one.provided, one.name))
    relations = sorted(topology.relations, key=lambda one: _order(sort, one.state, _of(one), one.id))
    lines = [f"services ({len(services)})", HEAD]
    lines += [_line(_title(one), one.provided, one.state, colour=colour) for one in services]
    lines += ["", f"relations ({len(relations)})", HEAD]
    lines += [
        _line(f"{short(one.source)} → {short(one.target)} {one.protocol}", _of(one), one.state, colour=colour)
        for one in relations
    ]
    lost = ", ".join(f"{cause} {count}" for cause, count in sorted(topology.lost.items()) if count)
    return [*lines, "", f"lost: {lost or 'nothing'}"]


def short(identity: str) -> str:
    """
    Return the last part of an id: what people call it.
    """
    return identity.rpartition("/")[2]


def _title(service: ServiceNode) -> str:
    return f"{service.name} ×{service.instances}" if service.instances > 1 else service.name


def _of(relation: RelationEdge) -> Rates:
    return relation.client if relation.client.requests else relation.server


def _order(sort: str, state: State, rates: Rates, name: str) -> tuple[float, float, str]:
    match sort:
        case "rate":
            return (0.0, -rates.requests_per_s, name)
        case "slowest":
            return (0.0, -(rates.p95_s or 0.0), name)
        case "name":
            return (0.0, 0.0, name)
    return (RANK[state.own], -rates.requests_per_s, name)


def _line(title: str, rates: Rates, state: State, *, colour: bool) -> str:
    why = state.reasons[0].text if state.reasons else ("learning" if state.learning else "")
    errors = "-" if rates.error_ratio is None else f"{rates.error_ratio:.1%}"
    text = (
        f"{SHAPE[state.own]} {title[:34]:34} {rates.requests_per_s:9.1f} {errors:>7} "
        f"{_time(rates.p50_s):>8} {_time(rates.p95_s):>8} {_time(rates.p99_s):>8}  {why}"
    )
    return f"\x1b[{PAINT[state.own]}m{text}\x1b[0m" if colour else text


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for scale, unit in ((1.0, "s"), (1e-3, "ms")):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds * 1e6:.0f} µs"


def _paint(lines: list[str], size: os.terminal_size) -> None:
    shown = [_cut(line, size.columns) for line in lines[: size.lines - 1]]
    sys.stdout.write("\x1b[H" + "".join(f"{line}\x1b[K\r\n" for line in shown) + "\x1b[J")
    sys.stdout.flush()


def _cut(line: str, columns: int) -> str:
    if not line.startswith("\x1b"):
        return line[:columns]
    start = line.index("m") + 1
    return line[:start] + line[start : line.rindex("\x1b")][:columns] + "\x1b[0m"


def _key(timeout_s: float) -> str:
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        if select.select([sys.stdin], [], [], left)[0]:
            return os.read(sys.stdin.fileno(), 1).decode(errors="replace")
    return ""


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """
    Read single keys on a screen of our own, and leave the terminal as it was.
    """
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin)
    sys.stdout.write("\x1b[?1049h\x1b[?25l")
    try:
        yield
    finally:
        sys.stdout.write("\x1b[?25h\x1b[?1049l")
        sys.stdout.flush()
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
