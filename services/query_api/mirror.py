"""
The newest of everything that travels on the bus, as the API shows it.

Pure: the time comes with each message. The map is drawn when it is asked for, and once for each window.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from services.query_api import answers, events, maps, shown
from shared.messages.topology import TopologyWindow
from shared.units import S_NS, at

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.messages.anomaly import Verdicts
    from shared.messages.control import Probes, ServiceStatus

FORGOTTEN_NS: Final = 3600 * S_NS
"""A service that was not heard for so long is no longer shown."""


class Drawn(NamedTuple):
    """
    A drawn window, and the colours that it is drawn with.
    """

    topology: answers.Topology
    states: dict[tuple[str, str], answers.State]


class Mirror:
    """
    What was heard last.
    """

    def __init__(self) -> None:
        self._window = TopologyWindow(start_ns=0, end_ns=0, final=False)
        self._states: dict[tuple[str, str], answers.State] = {}
        self._judged = (0, 0)
        self._drawn: answers.Topology | None = None
        self._statuses: dict[tuple[str, str], tuple[ServiceStatus, int]] = {}
        self._probes: dict[str, tuple[Probes, int]] = {}

    def hear_window(self, window: TopologyWindow, drawn: Drawn | None = None) -> None:
        """
        Take the running window, perhaps *drawn* already; an older one than the last is left out.
        """
        if window.end_ns >= self._window.end_ns:
            self._window = window
            self._drawn = drawn.topology if drawn is not None and drawn.states is self._states else None

    def drawing(self, window: TopologyWindow) -> Callable[[], Drawn]:
        """
        Return what draws *window* with the colours of now: it may run in another thread.
        """
        states = self._states
        return lambda: Drawn(maps.draw(window, states), states)

    def hear_verdicts(self, verdicts: Verdicts) -> None:
        """
        Take the colours of a window; older ones than the last are left out.
        """
        if verdicts.window_end_ns >= self._judged[1]:
            self._judged = (verdicts.window_start_ns, verdicts.window_end_ns)
            self._states = {(verdict.kind, verdict.entity): maps.state(verdict) for verdict in verdicts.verdicts}
            self._drawn = None

    def seed(self, states: dict[tuple[str, str], answers.State]) -> None:
        """
        Take the colours that the tables hold, until the first are heard.
        """
        if not self._states:
            self._states = states
            self._drawn = None

    def hear_status(self, status: ServiceStatus, now_ns: int) -> None:
        """
        Take a heartbeat, and forget services that have been silent for long.
        """
        self._statuses[(status.service, status.node)] = (status, now_ns)
        for key, (_, heard_ns) in list(self._statuses.items()):
            if now_ns - heard_ns > FORGOTTEN_NS:
                del self._statuses[key]

    def hear_probes(self, probes: Probes, now_ns: int) -> None:
        """
        Take the probes of a node, and forget nodes that have been silent for long.
        """
        self._probes[probes.node] = (probes, now_ns)
        for node, (_, heard_ns) in list(self._probes.items()):
            if now_ns - heard_ns > FORGOTTEN_NS:
                del self._probes[node]

    @property
    def states(self) -> dict[tuple[str, str], answers.State]:
        """
        Return the colours, by kind and id.
        """
        return self._states

    def topology(self, now_ns: int) -> answers.Topology:
        """
        Return the live map.
        """
        if self._drawn is None:
            self._drawn = maps.draw(self._window, self._states)
        return msgspec.structs.replace(self._drawn, age_s=maps.age_s(self._window, now_ns))

    def verdicts(self) -> events.Verdicts:
        """
        Return the colours after the last judged window.
        """
        return events.Verdicts(
            start=at(self._judged[0]),
            end=at(self._judged[1]),
            states=[
                events.EntityState(entity=entity, kind=maps.KINDS[kind], state=state)
                for (kind, entity), state in self._states.items()
                if kind in maps.KINDS
            ],
        )

    def status(self, now_ns: int) -> answers.Status:
        """
        Return how meshlens itself is.
        """
        services = [shown.health(status, heard_ns, now_ns) for _, (status, heard_ns) in sorted(self._statuses.items())]
        lost: dict[str, int] = {}
        for service in services:
            for cause, count in service.lost.items():
                lost[cause] = lost.get(cause, 0) + count
        scope = {node: probes.scope for node, (probes, _) in sorted(self._probes.items())}
        return answers.Status(services=services, lost=lost, scope=scope)

    def probes(self) -> list[answers.Probe]:
        """
        Return the probes of every node, by node and name.
        """
        return [
            shown.probe(node, state)
            for node, (probes, _) in sorted(self._probes.items())
            for state in sorted(probes.probes, key=lambda state: state.name)
        ]
