"""
What was found once stays repaired: `regressions.json` has each input, made small, and what did not hold then.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from shared.errors import Malformed
from shared.protocols import Parsed, WireProtocol, protocols
from shared.protocols.ldap import Ldap
from tests.fuzz.check import Finding, broken
from tests.fuzz.shrink import shrunk

KNOWN: Final[dict[str, WireProtocol]] = {protocol.name: protocol for protocol in protocols().values()}
REGRESSIONS: Final[list[dict[str, str]]] = json.loads(
    (Path(__file__).parent / "regressions.json").read_text(encoding="utf-8")
)


class Strict(Ldap):
    """
    An LDAP that refuses a masked bind.
    """

    def parse(self, request: bytes, response: bytes) -> Parsed:
        """
        Raise for what is masked.
        """
        if b"\x60" in request and b"secret" not in request:
            raise Malformed("planted")
        return super().parse(request, response)


@pytest.mark.parametrize("one", REGRESSIONS, ids=[f"{one['protocol']}-{one['was']}" for one in REGRESSIONS])
def test_what_was_found_once_holds(one: dict[str, str]) -> None:
    """
    Nothing that must hold of every input fails any more for one that it once failed for.
    """
    assert "" == broken(KNOWN[one["protocol"]], bytes.fromhex(one["request"]), bytes.fromhex(one["response"]))


def test_what_is_found_is_made_small() -> None:
    """
    Bytes that have no part in a finding are taken out of it; what holds stays as it is.
    """
    bind = bytes.fromhex("30160201016011020103040563") + b"n=ab\x80\x06secret"
    wide = Finding("ldap", "", bind.hex(), b"any answer".hex())
    small = shrunk(Strict(), wide)

    assert small.what == broken(Strict(), bytes.fromhex(small.request), b"")
    assert small.what
    assert "" == small.response
    assert len(small.request) < len(wide.request)
    assert wide == shrunk(Ldap(), wide)
