"""
Addresses in words.
"""

from __future__ import annotations

import pytest

from services.topology_builder import addresses
from tests.services.topology_builder.making import packed


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "2001:db8::1", "::1"])
def test_readable_undoes_the_wire(address: str) -> None:
    """
    An address reads as people write it.
    """
    assert address == addresses.readable(packed(address))


def test_what_is_no_address_is_said_so() -> None:
    """
    Bytes that are no address get a word of their own.
    """
    assert addresses.readable(b"abc") == addresses.UNREADABLE


def test_words_for_places() -> None:
    """
    IPv6 addresses stand in brackets beside a port; loopback and wildcards are told apart.
    """
    assert addresses.with_port("10.0.0.1", 80) == "10.0.0.1:80"
    assert addresses.with_port("2001:db8::1", 80) == "[2001:db8::1]:80"
    assert tuple(map(addresses.is_loopback, ("127.8.0.1", "::1", "10.0.0.1"))) == (True, True, False)
    assert tuple(map(addresses.is_wildcard, ("0.0.0.0", "::", "10.0.0.1"))) == (True, True, False)
