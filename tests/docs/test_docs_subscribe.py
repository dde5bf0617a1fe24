"""
The example for subscribers works as it is printed.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path

import pytest

from shared import subjects
from shared.messages.topology import Red, RelationFigures, TopologyWindow
from shared.runtime import bus as bus_module

pytestmark = pytest.mark.mesh

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "subscribe.md"
LINES = 12


def example() -> str:
    """
    Return the first program of the page.
    """
    found = re.search(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    return found[1]


async def test_the_example_prints_the_relations(nats_url: str) -> None:
    """
    Run as printed, against a real NATS, it prints each relation of the live map with its requests; it is short.
    """
    assert len([line for line in example().splitlines() if line]) <= LINES
    relation = RelationFigures(id="a->b:http", source="a", target="b", protocol="http", client=Red(requests=23))
    idle = RelationFigures(id="a->c:http", source="a", target="c", protocol="http")
    window = TopologyWindow(start_ns=0, end_ns=time.time_ns(), final=False, relations=[relation, idle])
    bus = await bus_module.connect(nats_url, name="test")
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        example(),
        env={"NATS_URL": nats_url, "PATH": os.defpath},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        async with asyncio.timeout(20):
            reading = asyncio.ensure_future(process.stdout.readline())
            while not reading.done():
                await bus.emit(subjects.LIVE_WINDOW, window)
                await asyncio.wait([reading], timeout=0.1)
            lines = [await reading, await process.stdout.readline()]
    finally:
        process.kill()
        await process.wait()
        await bus.close()

    assert lines == [b"a->b:http 23\n", b"a->c:http 0\n"]
