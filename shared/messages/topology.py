"""
The map: entities, relations, and their figures in one window.
"""

from __future__ import annotations

import msgspec


class Red(msgspec.Struct, frozen=True, kw_only=True):
    """
    Rate, errors and duration of some requests.
    """

    requests: int = 0
    errors: int = 0
    """Requests whose outcome is SERVER_ERROR or NO_RESPONSE."""
    client_errors: int = 0
    no_responses: int = 0
    """The part of *errors* that got no answer at all."""
    duration_sum_ns: int = 0
    duration: list[int] = []
    """Flat sparse histogram, see `shared.histogram`."""
    request_bytes: int = 0
    response_bytes: int = 0


class Tcp(msgspec.Struct, frozen=True, kw_only=True):
    """
    What TCP did underneath.
    """

    opened: int = 0
    failed: dict[int, int] = {}
    closed: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    segments_sent: int = 0
    retransmits: int = 0
    resets_sent: int = 0
    resets_received: int = 0
    listen_overflows: int = 0
    drops: dict[str, int] = {}
    connect: list[int] = []
    rtt: list[int] = []


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """
    A node of the map: the instances that do the same job, or something outside the scope that was talked to.
    """

    id: str
    """Stable and readable: `checkout`, `external:10.1.2.3:443`."""
    name: str
    kind: str
    """`service`, `database`, `cache`, `queue`, `dns`, `proxy`, `client` or `external`."""
    instances: int = 0
    """Instances that run now."""
    attributes: dict[str, str] = {}
    """`process.executable.name`, `container.id`, `host.name`, ... (OpenTelemetry's names)."""


class InstanceInfo(msgspec.Struct, frozen=True, kw_only=True):
    """
    One running program of a service.
    """

    id: str
    """`<node>/<epoch>/<kernel id>`."""
    service: str
    node: str
    pid: int
    executable: str
    started_ns: int
    ended_ns: int = 0
    container: str = ""
    cgroup: str = ""
    addresses: list[str] = []
    listeners: list[str] = []
    """`tcp 10.77.0.3:8080`"""
    opaque: str = ""
    """Why the content of its encrypted connections cannot be seen; empty when nothing is known to stand in the way."""


class ServiceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a service provided in a window, as its own side saw it, or its callers' where it is out of sight.
    """

    service: str
    provided: Red = Red()
    tcp: Tcp = Tcp()
    seen_from: str = "server"
    """`server`, or `client` for services that are only known from their callers."""


class InstanceFigures(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one instance provided in a window.
    """

    instance: str
    service: str
    provided: Red = Red()


class EndpointFigures(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a service provided in a window on one endpoint.
    """

    service: str
    protocol: str
    endpoint: str
    """Hexadecimal hash."""
    name: str
    """`GET /users/{id}`; the hash until the first sample gave it a name."""
    provided: Red = Red()


class RelationFigures(msgspec.Struct, frozen=True, kw_only=True):
    """
    What one service asked of another in a window, over one protocol.
    """

    id: str
    """`<source>-><target>:<protocol>`"""
    source: str
    target: str
    protocol: str
    """OpenTelemetry's word, such as `http`, `postgresql`, `kafka`; `tcp` where no request was recognised."""
    port: int = 0
    encrypted: float = 0.0
    """Share of the requests whose bytes were encrypted on the wire, 0 to 1; without requests, the last one known."""
    client: Red = Red()
    """As the caller saw it."""
    server: Red = Red()
    """As the callee saw it; empty when the callee is out of sight."""
    tcp: Tcp = Tcp()


class TopologyWindow(msgspec.Struct, frozen=True, kw_only=True):
    """
    All figures of one window: what the anomaly-detector judges, what the live page shows.
    """

    start_ns: int
    end_ns: int
    final: bool
    """False for the running window that is sent every tick, true once for each closed window."""
    services: list[Service] = []
    """Every service of the map, also those without traffic in this window."""
    service_figures: list[ServiceFigures] = []
    instance_figures: list[InstanceFigures] = []
    endpoint_figures: list[EndpointFigures] = []
    """Only in final windows."""
    relations: list[RelationFigures] = []
    """Every relation of the map; those without traffic have empty figures."""
    lost: dict[str, int] = {}
    """What could not be counted in full in this window, by cause."""
    newest_ns: int = 0
    """The end of the newest kernel batch in it: how fresh the map is."""


class TopologyChange(msgspec.Struct, frozen=True, kw_only=True):
    """
    A service, an instance or a relation appeared or vanished.
    """

    at_ns: int
    what: str
    """`service`, `instance` or `relation`"""
    id: str
    change: str
    """`appeared` or `vanished`"""
