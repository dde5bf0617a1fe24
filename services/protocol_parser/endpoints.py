"""
The names behind the kernel's endpoint hashes, the most recently seen of them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from shared.messages.kernel import OVERFLOW_ENDPOINT
from shared.messages.l7 import EndpointNamed

if TYPE_CHECKING:
    from shared.messages.kernel import Protocol
    from shared.protocols import Parsed


class EndpointNames:
    """
    At most *limit* names; the hash comes from the kernel, the name from the first sample that tells one.
    """

    def __init__(self, limit: int) -> None:
        self._limit: Final = limit
        self._names: Final[OrderedDict[tuple[Protocol, int], EndpointNamed]] = OrderedDict()
        self.forgotten = 0
        """Names that made room for others."""

    def __len__(self) -> int:
        return len(self._names)

    def find(self, protocol: Protocol, endpoint: int) -> EndpointNamed | None:
        """
        Return the endpoint's name, if it has one.
        """
        found = self._names.get((protocol, endpoint))
        if found is not None:
            self._names.move_to_end((protocol, endpoint))
        return found

    def learn(self, protocol: Protocol, endpoint: int, parsed: Parsed) -> EndpointNamed | None:
        """
        Name the endpoint after *parsed*; return the name if it is new.
        """
        if endpoint in (0, OVERFLOW_ENDPOINT) or not parsed.name or parsed.stand_in:
            return None
        if self.find(protocol, endpoint) is not None:
            return None
        named = EndpointNamed(protocol=protocol, endpoint=endpoint, name=parsed.name, operation=parsed.operation)
        self.restore(named)
        return named

    def restore(self, named: EndpointNamed) -> None:
        """
        Take up a name; the one that nobody asked for longest makes room.
        """
        self._names[named.protocol, named.endpoint] = named
        if len(self._names) > self._limit:
            self._names.popitem(last=False)
            self.forgotten += 1
