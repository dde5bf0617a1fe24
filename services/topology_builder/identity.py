"""
Who is who: instances and their services, and which instance owns an address at which time.

An address belongs to an instance from its start to its end, so an address that is used again by another program draws
no false edge. What is not certain is not guessed: two candidates of different services mean no answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import msgspec

from services.topology_builder import naming
from services.topology_builder.addresses import is_loopback, is_wildcard, with_port
from shared.units import S_NS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from shared.messages.kernel import Instance

SLACK_NS: Final = 2 * S_NS
"""How far the start and the end of a process may be off: they are noted by another clock than the figures."""
REMEMBER_NS: Final = 900 * S_NS
"""How long an ended instance is remembered, for figures that come late."""

SILENT_NS: Final = 300 * S_NS
"""After this time without a word from a node, nothing is said about its instances any more."""

T = TypeVar("T")
Key = tuple[str, int, int]
"""Node, epoch, kernel id."""


class Span(NamedTuple):
    """
    A time, in unix nanoseconds.
    """

    start_ns: int
    end_ns: int


class Known:
    """
    An instance, and the service that it belongs to.
    """

    def __init__(self, key: Key, info: Instance, service: str) -> None:
        self.key: Final = key
        self.info: Final = info
        self.service: Final = service
        self.program: Final = naming.program(info)

    @property
    def id(self) -> str:
        """
        Return `<node>/<epoch>/<kernel id>`.
        """
        return "/".join(map(str, self.key))

    @property
    def node(self) -> str:
        """
        Return the machine that it runs on.
        """
        return self.key[0]

    def listeners(self) -> list[str]:
        """
        Return what it accepts connections on: `tcp 10.77.0.3:8080`.
        """
        return [f"{each.transport} {with_port(each.address, each.port)}" for each in self.info.listeners]

    def lived_in(self, span: Span) -> bool:
        """
        Return whether it may have lived at a time within *span*.
        """
        if self.info.started_ns > span.end_ns + SLACK_NS:
            return False
        return self.info.ended_ns == 0 or self.info.ended_ns >= span.start_ns - SLACK_NS


class Identity:
    """
    Every instance that is known, found by its key, by its addresses, and by what it listens on.
    """

    def __init__(self, rules: Collection[naming.Override] = (), limit: int = 10_000) -> None:
        self._rules: Final = rules
        self._limit: Final = limit
        self._known: Final[dict[Key, Known]] = {}
        self._epochs: Final[dict[str, int]] = {}
        self._heard: Final[dict[str, int]] = {}
        self._told: Final[dict[Key, int]] = {}
        self._listeners: Final[dict[tuple[str, int], dict[Key, Known]]] = {}
        self._local: Final[dict[tuple[str, int, int], dict[Key, Known]]] = {}
        self._owners: Final[dict[str, dict[Key, Known]]] = {}
        self.changed: dict[Key, Known] = {}
        """What is to be stored; the store's owner empties it."""
        self.refused = 0
        """Instances that found no room."""

    def __iter__(self) -> Iterator[Known]:
        return iter(self._known.values())

    def get(self, key: Key) -> Known | None:
        """
        Return the instance with *key*, or None if nobody has told about it.
        """
        return self._known.get(key)

    def learn(self, node: str, epoch: int, instances: Iterable[Instance], at_ns: int = 0) -> None:
        """
        Take note of what *node* tells about its instances; a newer epoch ends all instances of the older ones.
        """
        self._heard[node] = max(at_ns, self._heard.get(node, 0))
        newest = self._epochs.get(node, 0)
        if epoch > newest:
            self._epochs[node] = epoch
            self._end_older(node, epoch)
        for info in instances:
            key = (node, epoch, info.id)
            if at_ns < self._told.get(key, 0):  # a batch that was delivered late: there is newer word
                continue
            ended = _ended(info, newest) if epoch < newest and not info.ended_ns else info
            if self._put(key, _completed(ended, self._known.get(key))):
                self._told[key] = at_ns

    def restore(self, key: Key, info: Instance, service: str, at_ns: int) -> None:
        """
        Take note of an instance that is in the database already, as of *at_ns*.
        """
        node, epoch, _ = key
        self._heard[node] = max(at_ns, self._heard.get(node, 0))
        self._epochs[node] = max(epoch, self._epochs.get(node, 0))
        self._index(Known(key, info, service))

    def runs(self, known: Known, at_ns: int) -> bool:
        """
        Return whether *known* runs, as far as its node still tells.
        """
        return not known.info.ended_ns and self._heard.get(known.node, 0) >= at_ns - SILENT_NS

    def forget(self, now_ns: int) -> None:
        """
        Forget the instances that ended long ago.
        """
        for known in list(self._known.values()):
            if known.info.ended_ns and known.info.ended_ns < now_ns - REMEMBER_NS and known.key not in self.changed:
                self._remove(known)

    def listener(self, caller: Known | None, address: str, port: int, span: Span) -> str:
        """
        Return the service that listened on *address* and *port* as *caller* sees them, or an empty text.

        Where nobody listens now, it is the one that listened last: a call to a service that died is a call to it.
        """
        if is_loopback(address) or is_wildcard(address):
            if caller is None:
                return ""
            found = self._local.get((caller.node, caller.info.network_namespace, port), {})
        else:
            found = self._listeners.get((address, port), {})
        candidates = [known for known in found.values() if known.lived_in(span)] or _last(found.values())
        if caller is not None and len({known.service for known in candidates}) > 1:
            candidates = [known for known in candidates if known.node == caller.node] or candidates
        return _only(known.service for known in candidates)

    def owners(self, callee: Known | None, address: str, span: Span) -> set[str]:
        """
        Return the services whose instances may have spoken to *callee* from *address*.

        From a loopback address it is anybody in the callee's own network namespace.
        """
        if not is_loopback(address):
            found = list(self._owners.get(address, {}).values())
        elif callee is None:
            found = []
        else:
            home = (callee.node, callee.info.network_namespace)
            found = [known for known in self if (known.node, known.info.network_namespace) == home]
        return {known.service for known in found if known.lived_in(span)}

    def _end_older(self, node: str, epoch: int) -> None:
        for known in list(self._known.values()):
            if known.node == node and known.key[1] < epoch and not known.info.ended_ns:
                self._put(known.key, _ended(known.info, epoch))

    def _put(self, key: Key, info: Instance) -> bool:
        before = self._known.get(key)
        if before is None and len(self._known) >= self._limit:
            self.refused += 1
            return False
        if before is None or before.info != info:
            known = Known(key, info, naming.service_name(info, self._rules))
            self._index(known)
            self.changed[key] = known
        return True

    def _index(self, known: Known) -> None:
        before = self._known.get(known.key)
        if before is not None:
            self._remove(before)
        self._known[known.key] = known
        for address in known.info.addresses:
            self._owners.setdefault(address, {})[known.key] = known
        for address, port in _places(known.info):
            self._listeners.setdefault((address, port), {})[known.key] = known
        for port in _local_ports(known.info):
            self._local.setdefault((known.node, known.info.network_namespace, port), {})[known.key] = known

    def _remove(self, known: Known) -> None:
        del self._known[known.key]
        self._told.pop(known.key, None)
        for address in known.info.addresses:
            _discard(self._owners, address, known.key)
        for address, port in _places(known.info):
            _discard(self._listeners, (address, port), known.key)
        for port in _local_ports(known.info):
            _discard(self._local, (known.node, known.info.network_namespace, port), known.key)


def _ended(info: Instance, at_ns: int) -> Instance:
    return msgspec.structs.replace(info, ended_ns=at_ns)


def _completed(info: Instance, before: Known | None) -> Instance:
    """
    Return *info* with what was known before where it says nothing.

    A program's sockets and namespace go before it does, and what has ended does not come back: it stays the one that
    listened there last.
    """
    if before is None:
        return info
    return msgspec.structs.replace(
        info,
        listeners=info.listeners or before.info.listeners,
        addresses=info.addresses or before.info.addresses,
        network_namespace=info.network_namespace or before.info.network_namespace,
        ended_ns=info.ended_ns or before.info.ended_ns,
    )


def _only(services: Iterable[str]) -> str:
    found = set(services)
    return found.pop() if len(found) == 1 else ""


def _last(candidates: Collection[Known]) -> list[Known]:
    newest = max((known.info.ended_ns for known in candidates), default=0)
    return [known for known in candidates if known.info.ended_ns == newest]


def _places(info: Instance) -> set[tuple[str, int]]:
    places: set[tuple[str, int]] = set()
    for listener in info.listeners:
        if is_wildcard(listener.address):
            places.update((address, listener.port) for address in info.addresses)
        else:
            places.add((listener.address, listener.port))
    return places


def _local_ports(info: Instance) -> set[int]:
    return {
        listener.port for listener in info.listeners if is_wildcard(listener.address) or is_loopback(listener.address)
    }


def _discard(index: dict[T, dict[Key, Known]], at: T, key: Key) -> None:
    found = index.get(at)
    if found is not None:
        found.pop(key, None)
        if not found:
            del index[at]
