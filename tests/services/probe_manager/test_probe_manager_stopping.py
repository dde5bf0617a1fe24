"""
A probe-manager that is told to end while it still compiles ends, and leaves nothing in the kernel.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from deploy.local import ports
from services.probe_manager.__main__ import remove_pins
from services.probe_manager.compiler import Unit
from services.probe_manager.compiling import Compiling
from services.probe_manager.config import ProbeManager
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.kernel
ROOT: Final = Path(__file__).parents[3]
DEADLINE_S: Final = 120.0
NESTED: Final = "".join(f"#define M{depth + 1} M{depth} M{depth} M{depth} M{depth}\n" for depth in range(16))
ENDLESS: Final = f"#define M0 a();\n{NESTED}static void a(void) {{}}\nint f(void *ctx) {{ M16 return 0; }}\n"
"""Four to the power of sixteen calls: no compiler comes to an end of it."""


def compilers_of(pid: int) -> list[int]:
    """
    Return the compilers of process *pid*, as soon as there is one.
    """
    deadline = time.monotonic() + DEADLINE_S
    while not (found := children(pid)):
        assert time.monotonic() < deadline, "no compiler began"
        time.sleep(0.05)
    return found


def content(path: Path) -> str:
    """
    Return what a file of /proc says, nothing when its process has just ended.
    """
    try:
        return path.read_text()
    except OSError:
        return ""


def children(pid: int) -> list[int]:
    """
    Return the compilers that process *pid* has started.
    """
    threads = Path(f"/proc/{pid}/task").glob("*/children")
    started = [child for thread in threads for child in content(thread).split()]
    return [int(child) for child in started if "probe_manager.compiler" in content(Path(f"/proc/{child}/cmdline"))]


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """
    A probe-manager that has to compile everything, and observes itself.
    """
    environment = {
        "PATH": os.environ["PATH"],
        "MESHLENS_NODE": f"stopping-{os.getpid()}",
        "MESHLENS_NATS_URL": f"nats://127.0.0.1:{ports.free_port()}",
        "MESHLENS_HTTP_PORT": str(ports.free_port()),
        "PROBE_MANAGER_SCOPE": f"tree:{os.getpid()}",
        "PROBE_MANAGER_CACHE": "",
    }
    log = (tmp_path / "log").open("wb")
    command = [sys.executable, "-m", "services.probe_manager"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait()
    log.close()
    remove_pins(Path(ProbeManager().pins) / f"stopping-{os.getpid()}")


def test_it_ends_while_it_compiles(starting: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """
    Told to end, it ends the compiler first; nothing was attached, and nothing is left.
    """
    compilers = compilers_of(starting.pid)
    starting.send_signal(signal.SIGTERM)

    assert 0 == starting.wait(DEADLINE_S)
    assert [False] * len(compilers) == [Path(f"/proc/{compiler}").exists() for compiler in compilers]
    assert "attached" not in (tmp_path / "log").read_text()
    assert not (Path(ProbeManager().pins) / f"stopping-{os.getpid()}").exists()


def test_no_compiler_outlives_the_stop() -> None:
    """
    A compiler that would never end is ended, whoever waits for it is told, and none begins afterwards.
    """
    compiling, told = Compiling(None), list[str]()

    def compile_it() -> None:
        with pytest.raises(ConfigError) as refusal:
            compiling.compiled(Unit("endless", ENDLESS, []))
        told.append(str(refusal.value))

    thread = threading.Thread(target=compile_it)
    thread.start()
    compilers_of(os.getpid())
    compiling.stop()
    thread.join(DEADLINE_S)
    compile_it()

    assert ["bpf/endless.c does not compile: it was stopped", "no compiler begins: probe-manager ends"] == told
