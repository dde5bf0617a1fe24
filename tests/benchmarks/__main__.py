"""
Every benchmark, one after the other, and their figures into `docs/performance.md`: `make bench`.

A benchmark is a module `bench_<topic>.py`. One that has `SECTION` and `measure` is written as a table with its method;
what any other one prints is written as it is, under `<topic>`.
"""

from __future__ import annotations

import argparse
import importlib
import os
import platform
import re
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.benchmarks import _figures
from tests.benchmarks._figures import Figure
from tests.benchmarks._run import described

if TYPE_CHECKING:
    from types import ModuleType

HERE: Final = Path(__file__).parent
MACHINE: Final = "machine"
PRINTED_S: Final = 600
WORDS: Final = {"bench_colour": ["--days", "1", "--runs", "100"]}
"""What a benchmark that prints is asked for, so that it takes minutes."""
QUICK_WORDS: Final = {"bench_colour": ["--days", "1", "--runs", "2"]}


def machine() -> str:
    """
    Return what this machine is, and how busy it is.
    """
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"model name\s*:\s*(.+)", text)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    release = ".".join(platform.release().split(".")[:2])
    one, five, _ = os.getloadavg()
    return (
        f"{os.cpu_count()} processors ({model[1] if model else platform.machine()}), {memory:.0f} GiB, "
        f"Linux {release}, Python {platform.python_version()}. "
        f"Load before the first benchmark: {one:.2f} over one minute, {five:.2f} over five."
    )


def measured(module: ModuleType, *, quick: bool) -> tuple[str, bool]:
    """
    Return the table of *module* with its method, and whether every target was met.
    """
    figures: list[Figure] = module.measure(quick=quick)
    return described(module.__doc__ or "", figures), all(figure.met is not False for figure in figures)


def printed(name: str, words: list[str]) -> tuple[str, bool]:
    """
    Return what the benchmark *name* prints, and whether it ended well.
    """
    command = ["-m", name, *words]
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False, timeout=PRINTED_S)
    return f"Command: `python {' '.join(command)}`\n\n```text\n{done.stdout.strip()}\n```", done.returncode == 0


def run(path: Path, *, quick: bool, keep: bool) -> bool:
    """
    Run one benchmark, show its figures and keep them; return whether all is well.
    """
    name, began, module = f"tests.benchmarks.{path.stem}", time.monotonic(), None
    try:
        print(f"\n== {path.stem}", flush=True)
        module = importlib.import_module(name)
        if hasattr(module, "measure"):
            text, good = measured(module, quick=quick)
        else:
            text, good = printed(name, (QUICK_WORDS if quick else WORDS).get(path.stem, []))
    except Exception:  # the others still say what they can
        traceback.print_exc()
        text, good = "This benchmark failed when it was last run.", False
    print(text, flush=True)
    print(f"({time.monotonic() - began:.0f} s)", flush=True)
    if keep:
        section = getattr(module, "SECTION", path.stem.removeprefix("bench_").replace("_", "-"))
        _figures.write(section, text)
    return good


def main() -> int:
    """
    Run what is asked for, and return 1 when a target is missed or a benchmark fails.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", help="topics, such as `freshness`; all when none is named")
    parser.add_argument("--quick", action="store_true", help="short runs, to see that it works; nothing is written")
    parser.add_argument("--dry", action="store_true", help="write nothing")
    asked = parser.parse_args()
    keep = not (asked.quick or asked.dry)
    paths = {path.stem.removeprefix("bench_"): path for path in sorted(HERE.glob("bench_*.py"))}
    names = [name.replace("-", "_") for name in asked.names] or list(paths)
    unknown = [name for name in names if name not in paths]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(paths)}")
    here = machine()
    print(here)
    if keep:
        _figures.write(MACHINE, here)
    results = {name: run(paths[name], quick=asked.quick, keep=keep) for name in names}
    missed = [name for name, good in results.items() if not good]
    print(f"\nmissed a target or failed: {', '.join(missed) or 'none'}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
