"""
What the series of some batches are added up into: services, instances, endpoints and relations, by their keys.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from services.topology_builder.sums import RedSum, TcpSum

if TYPE_CHECKING:
    from services.topology_builder.identity import Key

OTHER: Final = "~other"
EXTERNAL_OTHER: Final = "external:~other"
OUT_OF_SCOPE: Final = ("external:", "unknown:", "~")

RelationKey = tuple[str, str, str]
"""Source, target, protocol."""
EndpointKey = tuple[str, str, str]
"""Service, protocol, endpoint."""


class RelationSum:
    """
    The figures of one relation, being added up.
    """

    __slots__ = ("client", "encrypted", "port", "server", "tcp")

    def __init__(self, port: int) -> None:
        self.port: Final = port
        self.encrypted = 0
        """Requests, as seen from either side, whose bytes were encrypted."""
        self.client: Final = RedSum()
        self.server: Final = RedSum()
        self.tcp: Final = TcpSum()

    @property
    def encrypted_share(self) -> float:
        """
        Return the share of the requests that were encrypted, 0 to 1.
        """
        requests = self.client.requests + self.server.requests
        return self.encrypted / requests if requests else 0.0


class Figures:
    """
    What some batches add up to.
    """

    def __init__(self) -> None:
        self.provided: Final[dict[str, RedSum]] = {}
        """By service, from its own side."""
        self.called: Final[dict[str, RedSum]] = {}
        """By service, from its callers' side."""
        self.own_tcp: Final[dict[str, TcpSum]] = {}
        self.called_tcp: Final[dict[str, TcpSum]] = {}
        self.instances: Final[dict[Key, RedSum]] = {}
        self.endpoints: Final[dict[EndpointKey, RedSum]] = {}
        self.called_endpoints: Final[dict[EndpointKey, RedSum]] = {}
        self.relations: Final[dict[RelationKey, RelationSum]] = {}
        self.services: Final[dict[str, None]] = {}
        """Every service with traffic, in order of appearance."""
        self.lost: Final[dict[tuple[str, str], int]] = {}
        """By node and cause."""
        self.drops: Final[dict[tuple[str, str], int]] = {}
        """By node and reason."""
        self.newest_ns = 0
        self.batches = 0


def out_of_scope(service: str) -> bool:
    """
    Return whether *service* is known from its callers or its callees only.
    """
    return service.startswith(OUT_OF_SCOPE)
