"""
The golden captures of `tests/data`, one by one, to every test that asks for a *capture*.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.protocols import WireProtocol, protocols

DATA = Path(__file__).parents[2] / "data"


class Capture(NamedTuple):
    """
    One request with its response, as real programs sent them, and what is to be read out of them.
    """

    protocol: WireProtocol
    case: str
    request: bytes
    response: bytes
    expected: dict[str, Any]


def captures() -> list[Capture]:
    """
    Return every capture of every protocol.
    """
    found = []
    for protocol in protocols().values():
        for path in sorted((DATA / protocol.name).glob("*.json")):
            content = json.loads(path.read_text(encoding="utf-8"))
            request, response = (content[part].encode("latin-1") for part in ("request", "response"))
            found.append(Capture(protocol, path.stem, request, response, content["expected"]))
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """
    Run a test once for each *capture*, or for each *protocol*, that it asks for.
    """
    if "capture" in metafunc.fixturenames:
        every = captures()
        metafunc.parametrize("capture", every, ids=[f"{c.protocol.name}-{c.case}" for c in every])
    if "protocol" in metafunc.fixturenames:
        known = list(protocols().values())
        metafunc.parametrize("protocol", known, ids=[p.name for p in known])
