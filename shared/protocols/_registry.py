"""
Every protocol of the folder, by the kernel's number, and what is asked of all of them together.
"""

from __future__ import annotations

import functools
from typing import Final

import shared.protocols
from shared.discover import extensions
from shared.errors import ConfigError
from shared.messages.kernel import Protocol
from shared.protocols._base import Family, WireProtocol, blank

SURE: Final = 0.6
"""The least confidence that counts as recognised."""


@functools.cache
def protocols() -> dict[int, WireProtocol]:
    """
    Return every protocol by its number.

    Raises:
        ConfigError: a file lacks its PROTOCOL, or two claim one number.
    """
    found: dict[int, WireProtocol] = {}
    for module, protocol in extensions(shared.protocols, "PROTOCOL", WireProtocol).items():  # type: ignore[type-abstract]  # only asked isinstance
        taken = found.setdefault(protocol.number, protocol)
        if taken is not protocol:
            raise ConfigError(f"shared.protocols.{module}: number {protocol.number} belongs to {taken.name} already")
    return found


def recognise(request: bytes, response: bytes) -> tuple[Protocol, float]:
    """
    Return the protocol that is most sure of these heads, and how sure; UNKNOWN when none is sure enough.
    """
    best, confidence = Protocol.UNKNOWN, 0.0
    for protocol in protocols().values():
        claim = protocol.confidence(request, response)
        if claim > confidence:
            best, confidence = protocol.number, claim
    return (best, confidence) if confidence >= SURE else (Protocol.UNKNOWN, confidence)


def mask(protocol: int, request: bytes, response: bytes) -> tuple[bytes, bytes]:
    """
    Return both heads fit to leave the node; of a protocol that nobody recognises nothing but the length is left.
    """
    known = protocols().get(protocol) or protocols().get(recognise(request, response)[0])
    return known.mask(request, response) if known else (blank(request), blank(response))


def protocol_name(protocol: int) -> str:
    """
    Return OpenTelemetry's word for *protocol*, `tcp` for what nobody recognises.
    """
    known = protocols().get(protocol)
    return known.name if known else "tcp"


@functools.cache
def family_of(name: str) -> Family:
    """
    Return what kind of conversation the protocol with OpenTelemetry's word *name* is.
    """
    return next((known.family for known in protocols().values() if known.name == name), "other")
