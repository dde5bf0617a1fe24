"""
The demo application: start it, break it, heal it, look at it, stop it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

from deploy.demo import faults, plan
from deploy.local.api import over_socket
from deploy.local.data_directory import DataDirectory, default_path
from deploy.local.environment import repository
from shared.errors import ConfigError, Unavailable

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

SAYS = "start and stop the demo application, switch faults on and off"

START_S: Final = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare its arguments.
    """
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser(
        "start", help="start the demo by itself, in the background (`meshlens up --demo` has it already)"
    )
    fault = actions.add_parser(
        "fault",
        help="switch a fault on",
        epilog="; ".join(f"{kind}: {says}" for kind, says in faults.SAYS.items()),
    )
    fault.add_argument("kind", choices=sorted(faults.SAYS))
    fault.add_argument("service", help=f"one of {', '.join(plan.services())}")
    actions.add_parser("heal", help="switch every fault off")
    status = actions.add_parser("status", help="what runs, which faults are on, what the load generator counted")
    status.add_argument("--json", action="store_true", help="print JSON")
    actions.add_parser("stop", help="stop the demo")


def run(arguments: argparse.Namespace) -> int:
    """
    Do what was asked.
    """
    data = DataDirectory(arguments.data_dir or default_path())
    control = data.path / "demo" / "control.sock"
    match arguments.action:
        case "start":
            return _start(data, control)
        case "fault":
            faults.check(arguments.kind, arguments.service)
            _ask(control, "POST", "/fault", {"kind": arguments.kind, "service": arguments.service})
            print(f"{arguments.service}: {faults.SAYS[arguments.kind]}")
        case "heal":
            _ask(control, "POST", "/heal")
            print("every fault is off")
        case "stop":
            _ask(control, "POST", "/stop")
            print("the demo stops")
        case "status":
            _show(_ask(control, "GET", "/status"), _load(control), as_json=arguments.json)
    return 0


def _start(data: DataDirectory, control: Path) -> int:
    if _answers(control):
        raise ConfigError("the demo runs already")
    data.logs.mkdir(parents=True, exist_ok=True)
    log = data.logs / "demo.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.demo", "--data-dir", control.parent, "--control", control],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=repository(), start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise ConfigError(f"the demo cannot start: see {log}")
        if _answers(control):
            print(f"the demo runs as process {process.pid}; observe it with: meshlens up --scope tree:{process.pid}")
            process.returncode = 0  # it stays, on purpose
            return 0
        time.sleep(0.1)
    raise Unavailable(f"the demo did not answer within {START_S:g} s: see {log}")


def _answers(control: Path) -> bool:
    try:
        over_socket(str(control), "GET", "/status")
    except Unavailable:
        return False
    return True


def _ask(control: Path, method: str, path: str, body: object = None) -> Any:
    try:
        return over_socket(str(control), method, path, body)
    except Unavailable as error:
        raise Unavailable(f"the demo does not run ({error}): `meshlens up --demo` or `meshlens demo start`") from error


def _load(control: Path) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = over_socket(str(control), "POST", "/load/totals")
    except (ConfigError, Unavailable):
        return {}
    return answer


def _show(status: dict[str, Any], load: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**status, "load": load}, indent=2))
        return
    print(f"{'program':12} {'service':14} {'address':18} {'process':>8}  ")
    for program in status["programs"]:
        kinds = ", ".join(status["faults"].get(program["service"], []))
        note = program["note"] or (f"fault: {kinds}" if kinds else "")
        print(
            f"{program['name']:12} {program['service']:14} {program['address']:18} {program['pid'] or '-':>8}  {note}"
        )
    if load:
        failed = sum(
            count for counts in load["statuses"].values() for status, count in counts.items() if int(status) >= 500
        )
        print(
            f"load: {load['sent_total']} requests sent, {failed} answered with an error, "
            f"{sum(load['no_response'].values())} without an answer, {load['under_way']} under way"
        )
