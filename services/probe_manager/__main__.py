"""
probe-manager: `python -m services.probe_manager`, with `--doctor` or `--cleanup` for those two tasks alone.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import msgspec

from services.probe_manager.config import ProbeManager
from services.probe_manager.doctor import examine
from services.probe_manager.service import serve
from shared.runtime import config
from shared.runtime.process import run

SERVICE = "probe-manager"


def main(words: list[str]) -> int:
    """
    Run the service, or what *words* ask for, and return the exit status.
    """
    if words == ["--doctor"]:
        sys.stdout.write(msgspec.json.format(msgspec.json.encode(examine())).decode() + "\n")
        return 0
    if words == ["--cleanup"]:
        settings = config.load(ProbeManager, SERVICE, os.environ)
        remove_pins(Path(settings.pins) / settings.node_name())
        return 0
    if words:
        sys.stderr.write(f"{SERVICE}: unknown words {' '.join(words)}; known are --doctor and --cleanup\n")
        return 2
    return run(SERVICE, ProbeManager, serve, at_once=True)


def remove_pins(folder: Path) -> None:
    """
    Remove everything that a probe-manager left in the kernel under *folder*.
    """
    if folder.exists():
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
