"""
query-api: answers questions out of the mirror of the bus and out of the tables, and passes commands on.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from services.query_api import answers, lists, maps, problems, questions, rows, shown, web
from services.query_api.adding import tidy
from services.query_api.figures import filled
from services.query_api.live import Hub
from services.query_api.mirror import Mirror
from services.query_api.openapi import document
from services.query_api.prometheus import Totals
from services.query_api.requests import (
    LIVE,
    BadRequest,
    Range,
    aligned,
    asked,
    decode_cursor,
    encode_cursor,
    paged,
    range_of,
    step_s,
    time_ns,
    time_range,
)
from services.query_api.store import Store
from shared import subjects
from shared.errors import Unavailable
from shared.messages.alert import AlertCommand, Silence
from shared.messages.control import ProbeCommand
from shared.runtime.process import serving
from shared.units import S_NS, WINDOW_NS, WINDOW_S

if TYPE_CHECKING:
    from services.query_api.config import QueryApi
    from shared.runtime.bus import Bus
    from shared.runtime.process import Shell


RECENT_NS: Final = 3 * WINDOW_NS
"""A range that ends so lately has the newest colours."""
PAGE_RANGES_NS: Final = (300 * S_NS, 900 * S_NS, 3600 * S_NS, 6 * 3600 * S_NS)
"""What the page's time menu offers, ending now."""
LATELY_S: Final = 60.0
SWITCH_S: Final = 0.0005
"""So soon the thread that adds up lets those that answer go on."""
DETAIL_ITEMS: Final = 200
PAGE: Final = Path(__file__).parent / "ui" / "dist"


class Api:
    """
    One method for each operation of the route table that answers with data, by the operation's name.
    """

    def __init__(self, mirror: Mirror, store: Store, bus: Bus, hub: Hub) -> None:
        self._mirror: Final = mirror
        self._store: Final = store
        self._bus: Final = bus
        self._hub: Final = hub
        self._asked_s = -LATELY_S

    async def topology(self, ask: questions.Map) -> answers.Topology:
        """
        Return the map: live, at a time, or over a range.
        """
        if not ask.at:
            return await self._map(asked(ask, time.time_ns()))
        if ask.start or ask.end:
            raise BadRequest("`at` excludes `from` and `to`")
        at_ns = time_ns(ask.at, time.time_ns())
        return await self._map(aligned(Range(at_ns, at_ns + 1), WINDOW_S))

    async def _map(self, over: Range) -> answers.Topology:
        with self._store.turns.answering():
            return self._mirror.topology(time.time_ns()) if over == LIVE else await self._stored(over)

    async def _stored(self, over: Range) -> answers.Topology:
        """
        Return the map out of the tables.
        """
        whole, edition = await self._store.whole(over)
        self._asked_s = time.monotonic()
        (sums, found), states = await asyncio.gather(self._store.map(whole, edition), self._states(whole))
        return rows.topology(whole, found, sums, states)

    async def stay_ready(self) -> None:
        """
        With each window that closes, add up what the page asks for, while somebody follows or has asked lately.
        """
        while True:
            await self._hub.stirred.wait()
            self._hub.stirred.clear()
            if self._hub.clients or time.monotonic() - self._asked_s < LATELY_S:
                with contextlib.suppress(Unavailable):
                    await self._store.make_ready(PAGE_RANGES_NS, time.time_ns())

    async def _whole(self, over: Range) -> Range:
        return (await self._store.whole(over))[0]

    async def _states(self, over: Range) -> dict[tuple[str, str], answers.State]:
        if over.end_ns >= time.time_ns() - RECENT_NS and self._mirror.states:
            return self._mirror.states
        return await self._store.states(over)

    async def services(self, ask: questions.ServiceList) -> answers.Page[answers.ServiceNode]:
        """
        Return the services of the map.
        """
        over = decode_cursor(ask.cursor, lists.BY_ID)[0] if ask.cursor else asked(ask, time.time_ns())
        return lists.services(await self._map(over), ask, over)

    async def relations(self, ask: questions.RelationList) -> answers.Page[answers.RelationEdge]:
        """
        Return the relations of the map.
        """
        over = decode_cursor(ask.cursor, lists.BY_ID)[0] if ask.cursor else asked(ask, time.time_ns())
        return lists.relations(await self._map(over), ask, over)

    async def relation(self, ask: questions.OneRelation) -> answers.RelationEdge:
        """
        Return one relation.
        """
        topology = await self._map(asked(ask, time.time_ns()))
        for edge in topology.relations:
            if edge.id == ask.relation:
                return edge
        raise problems.no_such("relation", ask.relation)

    async def service(self, ask: questions.OneService) -> answers.ServiceDetail:
        """
        Return one service with all that belongs to it.
        """
        topology = await self._map(asked(ask, time.time_ns()))
        node = next((node for node in topology.services if node.id == ask.service), None)
        if node is None:
            raise problems.no_such("service", ask.service)
        over = await self._whole(time_range(ask.start, ask.end, time.time_ns()))
        callers, dependencies = maps.relations_of(topology, ask.service)
        endpoints = questions.EndpointList(service=ask.service, limit=DETAIL_ITEMS)
        instances = questions.InstanceList(service=ask.service, limit=DETAIL_ITEMS)
        return answers.ServiceDetail(
            service=node,
            callers=callers,
            dependencies=dependencies,
            endpoints=(await self._endpoints(endpoints, over)).items,
            instances=(await self._instances(instances, over, "")).items,
        )

    async def endpoints(self, ask: questions.EndpointList) -> answers.Page[answers.Endpoint]:
        """
        Return endpoints over any window.
        """
        shape = (str, str, str) if ask.sort == "name" else (float, str, str)
        over = range_of(ask, time.time_ns(), shape)[0]
        return await self._endpoints(ask, over if ask.cursor else await self._whole(over))

    async def service_endpoints(self, ask: questions.ServiceEndpointList) -> answers.Page[answers.Endpoint]:
        """
        Return the endpoints of one service.
        """
        page = await self.endpoints(ask)
        if not page.items:
            await self._must_know("service", ask.service)
        return page

    async def _endpoints(self, ask: questions.EndpointList, over: Range) -> answers.Page[answers.Endpoint]:
        found = await self._store.endpoints(ask, over)
        return await asyncio.to_thread(lists.endpoints, found, ask, over)

    async def instances(self, ask: questions.InstanceList) -> answers.Page[answers.Instance]:
        """
        Return running programs.
        """
        over, after = range_of(ask, time.time_ns(), lists.BY_ID)
        if after is None:
            return await self._instances(ask, await self._whole(over), "")
        return await self._instances(ask, over, after[0])

    async def service_instances(self, ask: questions.ServiceInstanceList) -> answers.Page[answers.Instance]:
        """
        Return the instances of one service.
        """
        page = await self.instances(ask)
        if not page.items:
            await self._must_know("service", ask.service)
        return page

    async def _instances(self, ask: questions.InstanceList, over: Range, after: str) -> answers.Page[answers.Instance]:
        found = await self._store.instances(ask, over, after, ask.limit + 1)
        items = found[: ask.limit]
        more = len(found) > len(items)
        return answers.Page(items=items, next=encode_cursor(over, (items[-1].id,)) if more else None)

    async def service_timeline(self, ask: questions.ServiceTimeLine) -> answers.TimeLine:
        """
        Return how the figures of a service went.
        """
        over, step = await self._line(ask)
        points = await self._store.service_timeline(ask.service, over, step)
        if not points:
            await self._must_know("service", ask.service)
        return _filled(points, over, step)

    async def relation_timeline(self, ask: questions.RelationTimeLine) -> answers.TimeLine:
        """
        Return how the figures of a relation went.
        """
        over, step = await self._line(ask)
        points = await self._store.relation_timeline(ask.relation, over, step)
        if not points:
            await self._must_know("relation", ask.relation)
        return _filled(points, over, step)

    async def _line(self, ask: questions.TimeLineOf) -> tuple[Range, int]:
        over = time_range(ask.start, ask.end, time.time_ns())
        step = step_s(ask.step, over, await self._store.finest_s(over))
        return aligned(over, step), step

    async def _must_know(self, kind: str, name: str) -> None:
        if not await self._store.knows(name):
            raise problems.no_such(kind, name)

    async def spans(self, ask: questions.SpanList) -> answers.Page[answers.SpanRecord]:
        """
        Return sampled requests, newest first.
        """
        over, after = range_of(ask, time.time_ns(), (int, int, int, str))
        found = await self._store.spans(ask, over, after, ask.limit + 1)
        return lists.rows_page(found, rows.span, rows.span_key, ask.limit, over)

    async def anomalies(self, ask: questions.AnomalyList) -> answers.Page[answers.Anomaly]:
        """
        Return times of trouble, newest first.
        """
        over, after = range_of(ask, time.time_ns(), (int, int))
        found = await self._store.anomalies(ask, over, after, ask.limit + 1)
        return lists.rows_page(found, rows.anomaly, rows.anomaly_key, ask.limit, over)

    async def alerts(self, ask: questions.AlertList) -> answers.Page[answers.Alert]:
        """
        Return alerts, the newest change first.
        """
        after = decode_cursor(ask.cursor, (int, str))[1] if ask.cursor else None
        found = await self._store.alerts(ask, after, ask.limit + 1)
        return lists.rows_page(found, rows.alert, rows.alert_key, ask.limit, LIVE)

    async def alert(self, ask: questions.OneAlert) -> answers.Alert:
        """
        Return one alert.
        """
        found = await self._store.alert(ask.alert)
        if found is None:
            raise problems.no_such("alert", ask.alert)
        return found

    async def silences(self, ask: questions.Listing) -> answers.Page[answers.Silence]:
        """
        Return the silences that last.
        """
        found = await self._store.silences(time.time_ns())
        return paged(found, lambda one: (one.id,), lists.BY_ID, ask, LIVE, answers.Page[answers.Silence])

    async def acknowledge(self, ask: questions.Acknowledge) -> answers.Done:
        """
        Tell alert-manager that somebody looks after an alert.
        """
        await self.alert(ask)
        await self._command(AlertCommand(action="acknowledge", alert=ask.alert, by=ask.by))
        return answers.Done()

    async def silence(self, ask: questions.NewSilence) -> answers.Silence:
        """
        Tell alert-manager to keep alerts quiet.
        """
        silence = Silence(
            id=secrets.token_hex(8),
            template=ask.template,
            entity=ask.entity,
            until_ns=time.time_ns() + ask.for_s * S_NS,
            by=ask.by,
            comment=ask.comment,
        )
        await self._command(AlertCommand(action="silence", silence=silence, by=ask.by))
        return shown.silence(silence)

    async def unsilence(self, ask: questions.OneSilence) -> answers.Done:
        """
        Tell alert-manager that a silence ends.
        """
        if all(ask.silence != silence.id for silence in await self._store.silences(time.time_ns())):
            raise problems.no_such("silence", ask.silence)
        await self._command(AlertCommand(action="unsilence", silence=Silence(id=ask.silence)))
        return answers.Done()

    async def _command(self, command: AlertCommand) -> None:
        reply = await self._bus.ask(subjects.COMMAND_ALERT, command)
        if not reply.ok:
            raise problems.Refused(409, reply.error or "alert-manager refuses")

    async def probes(self, ask: questions.Listing) -> answers.Page[answers.Probe]:
        """
        Return the probes of every node.
        """
        found = self._mirror.probes()
        return paged(found, lambda one: (one.node, one.name), (str, str), ask, LIVE, answers.Page[answers.Probe])

    async def switch_probe(self, ask: questions.SwitchProbe) -> answers.Done:
        """
        Tell probe-manager to switch a probe on or off.
        """
        known = self._mirror.probes()
        if known and all((probe.name, ask.node or probe.node) != (ask.probe, probe.node) for probe in known):
            raise problems.no_such("probe", ask.probe)
        reply = await self._bus.ask(
            subjects.SWITCH_PROBE, ProbeCommand(probe=ask.probe, on=ask.on, node=ask.node), timeout_s=15
        )
        if not reply.ok:
            raise problems.Refused(409, reply.error or "probe-manager refuses")
        if reply.probes is not None:
            self._hub.hear_probes(reply.probes)
        return answers.Done()

    async def status(self, _ask: questions.Nothing) -> answers.Status:
        """
        Return how meshlens itself is.
        """
        return self._mirror.status(time.time_ns())


def _filled(points: list[answers.Point], over: Range, step: int) -> answers.TimeLine:
    until_ns = min(over.end_ns, time.time_ns() - 2 * WINDOW_NS)
    return answers.TimeLine(step_s=step, points=filled(points, over.start_ns, until_ns, step))


async def serve(shell: Shell, settings: QueryApi) -> None:
    """
    Answer over HTTP, at once from the bus, and from the tables as soon as they are there.
    """
    sys.setswitchinterval(SWITCH_S)
    mirror, totals, store = Mirror(), Totals(settings.metric_series), Store()
    hub = Hub(mirror, totals, store.turns, settings.event_clients)
    api = Api(mirror, store, shell.bus, hub)
    desk = web.Desk(
        api=api,
        hub=hub,
        gate=web.Gate(
            tokens=web.tokens(settings, shell.log),
            bound=settings.http_host,
            names=tuple(name.strip().lower() for name in settings.host_names.split(",") if name.strip()),
        ),
        document=msgspec.json.encode(document(metadata.version("meshlens"))),
        page=Path(settings.page_dir) if settings.page_dir else PAGE,
        log=shell.log,
    )
    desk.attach(shell.application)
    shell.health.exposed.append(lambda: web.exposed(totals.families(mirror.states.items())))
    await hub.listen(shell.bus)
    shell.spawn(_open(store, mirror, settings, shell), "database")
    shell.spawn(api.stay_ready(), "ready")
    shell.spawn(tidy(store.turns), "tidy")
    await serving(shell, settings)


async def _open(store: Store, mirror: Mirror, settings: QueryApi, shell: Shell) -> None:
    await store.open(
        settings.postgres_dsn,
        size=settings.database_connections,
        waiting=lambda what: shell.health.waiting(what, key="postgres"),
    )
    with contextlib.suppress(Unavailable):
        mirror.seed(await store.newest_states())
