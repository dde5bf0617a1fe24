"""
What tests ask about the name of a request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shared.protocols import WireProtocol


def named(protocol: WireProtocol, request: bytes) -> tuple[str, bool]:
    """
    Return what *request* is called, and whether that only stands in for more; masking must not change the name.
    """
    parsed = protocol.parse(request, b"")
    assert parsed.name == protocol.parse(protocol.mask(request, b"")[0], b"").name
    return parsed.name, parsed.stand_in
