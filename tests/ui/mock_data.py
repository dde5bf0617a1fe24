"""
A small invented shop, and an invented estate of 500 services, as the API would answer them.

Nothing here was measured: it is food for the page's tests.
"""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass, field
from typing import Final

import msgspec

from services.query_api import answers as a
from shared.protocols import family_of

GREEN: Final = a.State(own="green", inherited="green")
SHOP_SERVICES: Final = (
    ("load", "client", 1),
    ("edge", "proxy", 1),
    ("storefront", "service", 2),
    ("checkout", "service", 3),
    ("postgres", "database", 1),
    ("redis", "cache", 1),
    ("names", "dns", 1),
)
SHOP_RELATIONS: Final = (
    ("load", "edge", "http", 80, 128.0, 0.021),
    ("edge", "storefront", "http", 8080, 96.0, 0.016),
    ("edge", "checkout", "http", 8081, 32.0, 0.042),
    ("storefront", "redis", "redis", 6379, 310.0, 0.0004),
    ("storefront", "postgres", "postgresql", 5432, 41.0, 0.0021),
    ("storefront", "names", "dns", 53, 6.5, 0.0008),
    ("checkout", "postgres", "postgresql", 5432, 88.0, 0.0034),
    ("checkout", "names", "dns", 53, 2.1, 0.0008),
)
DOMAINS: Final = (
    ("web", 1), ("shop", 2), ("search", 2), ("orders", 2), ("payments", 3), ("stock", 3), ("delivery", 3),
    ("people", 3), ("mail", 4), ("prices", 3), ("risk", 4), ("ledger", 4), ("media", 2), ("reports", 4),
)  # fmt: skip
ROLES: Final = ("api", "worker", "gateway", "sync", "index", "cache", "db", "queue", "jobs", "feed", "rules", "auth")
KINDS: Final = {"cache": "cache", "db": "database", "queue": "queue", "gateway": "proxy"}
PROTOCOLS: Final = {"cache": "redis", "database": "postgresql", "queue": "kafka"}


@dataclass
class World:
    """
    What the fixture shows now; a test changes it and tells the page.
    """

    services: dict[str, a.ServiceNode] = field(default_factory=dict)
    relations: dict[str, a.RelationEdge] = field(default_factory=dict)
    states: dict[str, a.State] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, a.Alert] = field(default_factory=dict)
    probes: dict[str, a.Probe] = field(default_factory=dict)
    silences: list[a.Silence] = field(default_factory=list)
    age_s: float | None = 2.4
    tick: int = 0

    def topology(self, start: dt.datetime, end: dt.datetime, *, live: bool) -> a.Topology:
        """
        Return the map between *start* and *end*.
        """
        return a.Topology(
            start=start,
            end=end,
            live=live,
            services=list(self.services.values()),
            relations=list(self.relations.values()),
            lost=self.lost,
            age_s=self.age_s,
        )

    def colour(self, entity: str, state: a.State) -> None:
        """
        Give *entity* another state.
        """
        self.states[entity] = state
        if entity in self.services:
            self.services[entity] = msgspec.structs.replace(self.services[entity], state=state)
        else:
            self.relations[entity] = msgspec.structs.replace(self.relations[entity], state=state)


def rates(per_s: float, p50_s: float, error_ratio: float = 0.0, *, over_s: int = 10) -> a.Rates:
    """
    Return figures that hang together.
    """
    requests = round(per_s * over_s)
    errors = round(requests * error_ratio)
    return a.Rates(
        requests=requests,
        requests_per_s=per_s,
        errors=errors,
        error_ratio=errors / requests if requests else None,
        client_errors=requests // 211,
        no_responses=errors // 4,
        mean_s=p50_s * 1.3 if requests else None,
        p50_s=p50_s if requests else None,
        p95_s=p50_s * 3.1 if requests else None,
        p99_s=p50_s * 5.7 if requests else None,
        request_bytes_per_s=per_s * 412,
        response_bytes_per_s=per_s * 3_870,
    )


def tcp(per_s: float) -> a.TcpRates:
    """
    Return the TCP figures under *per_s* requests.
    """
    return a.TcpRates(
        opened=round(per_s),
        opened_per_s=per_s / 10,
        closed=round(per_s) - 1,
        bytes_sent_per_s=per_s * 4_100,
        bytes_received_per_s=per_s * 520,
        retransmits=round(per_s / 40),
        retransmit_ratio=0.0004,
        connect_p95_s=0.00041,
        rtt_p50_s=0.00012,
        rtt_p95_s=0.00031,
    )


def reason(signal: str, level: a.LevelName, value: float, expected: float, unit: str, text: str) -> a.Reason:
    """
    Return one signal that deviates since a moment ago.
    """
    since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=95)
    return a.Reason(
        signal=signal,
        detector=signal.split("_")[0],
        level=level,
        value=value,
        expected=expected,
        unit=unit,
        score=11.2,
        since=since,
        text=text,
    )


def shop() -> World:
    """
    Return seven nodes, all well.
    """
    world = World()
    for source, target, protocol, port, per_s, p50_s in SHOP_RELATIONS:
        relate(world, source, target, protocol, port, per_s, p50_s)
    for name, kind, instances in SHOP_SERVICES:
        incoming = [relation for relation in world.relations.values() if relation.target == name]
        per_s = sum(relation.client.requests_per_s for relation in incoming)
        p50_s = max((relation.client.p50_s or 0.0 for relation in incoming), default=0.0) * 0.9
        serve(world, name, kind, instances, per_s, p50_s)
    return world


def estate(count: int = 500) -> World:
    """
    Return *count* services in domains, with some faults and some that are still learned.
    """
    world = World()
    dice = random.Random(11)
    names = [f"{domain}-{role}" for domain, _ in DOMAINS for role in ROLES]
    names += [f"{domain}-{role}-{number}" for number in range(2, 6) for domain, _ in DOMAINS for role in ROLES]
    layers = {domain: layer for domain, layer in DOMAINS}
    names = names[:count]
    for name in names:
        domain, role, *_ = name.split("-")
        others = [n for n in names if layers[n.split("-")[0]] in (layers[domain], layers[domain] + 1) and n != name]
        same = [n for n in others if n.split("-")[0] == domain and n.split("-")[1] in ("db", "cache", "queue")]
        if role in ("db", "cache", "queue"):
            continue
        for target in {*dice.sample(others, 2), dice.choice(same)}:
            protocol = PROTOCOLS.get(KINDS.get(target.split("-")[1], ""), "http")
            relate(world, name, target, protocol, 8080, dice.lognormvariate(2.5, 1.4), dice.lognormvariate(-5, 1))
    for name in names:
        role = name.split("-")[1]
        serve(world, name, KINDS.get(role, "service"), dice.randint(1, 6), dice.lognormvariate(3, 1.3), 0.02)
    _trouble(world, names, dice)
    return world


def _trouble(world: World, names: list[str], dice: random.Random) -> None:
    levels: tuple[a.LevelName, ...] = ("yellow", "yellow", "orange", "red")
    for name in dice.sample(names, 14):
        level = levels[dice.randrange(4)]
        why = reason("latency_p95", level, 0.81, 0.09, "s", "p95 is 810 ms, 9 times its usual 90 ms")
        world.colour(name, a.State(own=level, inherited="green", reasons=[why]))
        for relation in [r for r in world.relations.values() if r.target == name][:3]:
            caller = world.services[relation.source]
            if caller.state.own == "green":
                world.colour(relation.source, a.State(own="green", inherited=level, culprits=[name]))
            world.colour(relation.id, a.State(own=level, inherited="green", reasons=[why]))
    for name in dice.sample(names, 40):
        if world.services[name].state.own == "green":
            world.colour(name, a.State(own="grey", learning=True))


def relate(world: World, source: str, target: str, protocol: str, port: int, per_s: float, p50_s: float) -> None:
    """
    Let *source* ask *target*.
    """
    relation = f"{source}->{target}:{protocol}"
    world.relations[relation] = a.RelationEdge(
        id=relation,
        source=source,
        target=target,
        protocol=protocol,
        port=port,
        state=GREEN,
        client=rates(per_s, p50_s, 0.001),
        server=rates(per_s, p50_s * 0.92, 0.001),
        tcp=tcp(per_s),
        encrypted=1.0 if port == 443 else 0.0,
        family=family_of(protocol),
    )


def serve(world: World, name: str, kind: str, instances: int, per_s: float, p50_s: float) -> None:
    """
    Add the service *name*.
    """
    world.services[name] = a.ServiceNode(
        id=name,
        name=name,
        kind=kind,
        instances=instances,
        attributes={"process.executable.name": f"/usr/bin/{name}", "host.name": "node-1"},
        state=GREEN if kind != "client" else a.State(),
        provided=rates(per_s, p50_s, 0.001),
        tcp=tcp(per_s),
        seen_from="server",
    )
