"""
Addresses as they travel (16 bytes, IPv4 mapped) and as people read them.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

UNREADABLE = "~unreadable"


@lru_cache(maxsize=65_536)
def readable(remote: bytes) -> str:
    """
    Return *remote* as text: `10.1.2.3`, `2001:db8::1`.
    """
    if len(remote) != 16:
        return UNREADABLE
    address = ipaddress.IPv6Address(remote)
    return str(address.ipv4_mapped or address)


@lru_cache(maxsize=65_536)
def is_loopback(address: str) -> bool:
    """
    Return whether *address* means the machine (or network namespace) itself.
    """
    return address == "::1" or address.startswith("127.")


@lru_cache(maxsize=65_536)
def is_wildcard(address: str) -> bool:
    """
    Return whether a listener on *address* takes connections to any address.
    """
    return address in ("", "0.0.0.0", "::", "*")  # noqa: S104 - compared, not bound


def with_port(address: str, port: int) -> str:
    """
    Return *address* and *port* as one word.
    """
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
