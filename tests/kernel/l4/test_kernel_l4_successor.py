"""
The kernel side goes on by itself: who takes it over finds all that happened in between.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Role
from tests.compiled import SharedKernel

if TYPE_CHECKING:
    from tests.kernel.l4.conftest import Lab

pytestmark = pytest.mark.kernel

TALK = """
import socket, subprocess, sys
s = socket.create_server(("127.0.0.1", 0))
print("ready")
for line in sys.stdin:
    for _ in range(int(line)):
        c = socket.create_connection(s.getsockname())
        c.sendall(b"x" * 11)
        c.close()
        s.accept()[0].close()
        subprocess.run(["/bin/true"])
    print("done")
"""


def test_nothing_is_missed_while_nobody_looks(lab: Lab) -> None:
    """
    What was opened, sent, started and ended while no probe-manager ran is told to its successor.
    """
    pins = Path(f"/sys/fs/bpf/meshlens-test-l4-successor-{os.getpid()}")
    kernel = SharedKernel(pins)
    try:
        for probe in lab.probes:
            kernel.load(probe)
        first = lab.on(kernel)
        program = first.program(TALK)
        program.hear()
        first.watch(f"tree:{program.process.pid}")
        program.ask("3")
        first.tick()
        kernel.close(remove=False)
        program.ask("5")
        kernel = SharedKernel(pins)
        adopted = kernel.adopted
        for probe in lab.probes:
            kernel.load(probe)
        second = lab.on(kernel)
        second.watch(f"tree:{program.process.pid}")
        program.ask("7")
        second.until(lambda: second.entries("tcp_connections") == 0, "all connections are forgotten")
        (asked,) = [one for one in second.series() if one.role is Role.CLIENT]
        ended = [instance for instance in second.instances.values() if instance.ended_ns]
        program.process.kill()
        program.process.communicate()
    finally:
        kernel.close(remove=True)

    assert adopted
    assert (15, 15, 15 * 11) == (asked.opened, asked.closed, asked.bytes_sent)
    assert asked.instance == asked.peer
    assert 5 + 7 <= len(ended) <= 3 + 5 + 7
