"""
Secrets that real clients send to real servers are in nothing that a running meshlens says, keeps or writes.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

import msgspec
import pytest

from deploy.local import secrets as local_secrets
from services.query_api.answers import Endpoint, Page, SpanRecord, Topology
from tests.mesh.cluster import REPOSITORY, Cluster
from tests.redaction import surfaces
from tests.redaction.search import Search, secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.mesh, pytest.mark.kernel]

EVERYTHING: Final = {
    "PROBE_MANAGER_RESERVOIR": "1", "PROBE_MANAGER_SAMPLES_PER_S": "10000", "PROBE_MANAGER_TICK_S": "0.5",
    "PROBE_MANAGER_ENDPOINT_LIMIT": "4096",
}  # fmt: skip
"""Every request is sampled: nothing stays hidden because it was not looked at."""
READY_S: Final = 500.0
STORED_S: Final = 60.0
"""Until what was sent is stored: a window, and a busy machine."""
PROTOCOLS: Final = frozenset((
    "http", "http2", "grpc", "postgresql", "mysql", "redis", "memcached", "mqtt", "nats", "amqp", "ldap", "dns",
    "clickhouse", "fastcgi", "kafka", "cassandra", "mongodb", "thrift", "dubbo", "rocketmq", "pulsar", "zookeeper",
    "websocket", "tls",
))  # fmt: skip
"""What has to be recognised among the requests, or its mask was not tried."""
CANARIES: Final = {
    "API": b"canary", "PostgreSQL": b"canary", "NATS": b"canary", "metrics": b"theatre", "live updates": b"theatre",
    "logs": b"protocols_ready", "JetStream": b"MESH_KERNEL_BATCH",
}  # fmt: skip
"""
What has to be found on each surface: a harmless word of paths, tables, topics and host names; where no such names are
shown, a service's name, or what the services say themselves.
"""
SERVICES: Final = {
    "probe-manager", "topology-builder", "protocol-parser", "anomaly-detector", "alert-manager", "query-api"
}  # fmt: skip


class Seen:
    """
    What a running meshlens showed, surface by surface.
    """

    def __init__(self) -> None:
        self.surfaces: Final[dict[str, dict[str, bytes]]] = {}
        self.played: dict[str, Any] = {}
        self.protocols: set[str] = set()
        self.encrypted: set[str] = set()
        """Protocols of the relations that had encrypted connections."""


@contextlib.contextmanager
def theatre() -> Iterator[subprocess.Popen[str]]:
    """
    Run the process that holds servers and clients until the block ends.
    """
    words = [sys.executable, "-m", "tests.redaction.theatre"]
    process = subprocess.Popen(words, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def spans(cluster: Cluster) -> list[SpanRecord]:
    """
    Return all single requests that are stored.
    """
    found: list[SpanRecord] = []
    cursor = ""
    while True:
        page = cluster.api.get(f"/spans?limit=1000&cursor={quote(cursor, safe='')}", Page[SpanRecord])
        found += page.items
        if not page.next:
            return found
        cursor = page.next


def metrics(cluster: Cluster) -> dict[str, bytes]:
    """
    Return the metrics of each service, from the address that it wrote into its log.
    """
    found = {}
    for path in cluster.data.logs.glob("*.log"):
        for line in path.read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(msgspec.DecodeError):
                said = msgspec.json.decode(line)
                if isinstance(said, dict) and said.get("event") == "ready":
                    found[path.stem] = surfaces.get(f"{said['url']}/metrics")
    return found


def dsn(cluster: Cluster) -> str:
    """
    Return the address of the database for its owner.
    """
    password = local_secrets.load(cluster.data.path / "secrets.json").postgres_owner
    host = urlsplit(cluster.runtime.postgres).netloc.rpartition("@")[2]
    return f"postgresql://meshlens:{quote(password, safe='')}@{host}/meshlens"


@pytest.fixture(scope="module")
def seen() -> Iterator[Seen]:
    """
    What meshlens showed while servers of every protocol were sent the corpus.
    """
    with theatre() as process, contextlib.ExitStack() as held:
        assert process.stdin is not None
        assert process.stdout is not None
        cluster = Cluster("--scope", f"tree:{process.pid}", environment=EVERYTHING, demo=False)
        held.callback(cluster.remove)
        held.callback(cluster.stop)
        cluster.wait_for("six services are ready", cluster.ready, READY_S)
        prober = cluster.data.logs / "probe-manager.log"
        cluster.wait_for("all protocols are in", lambda: b"protocols_ready" in prober.read_bytes(), READY_S)
        assert process.stdout.readline() == "ready\n"
        listener, stream = surfaces.Listener(cluster.runtime.nats), surfaces.Stream(cluster.runtime.api)
        found = Seen()
        process.stdin.write("go\n")
        process.stdin.flush()
        found.played = json.loads(process.stdout.readline())
        last = "/endpoints?q=canary-curtain"
        cluster.wait_for("the last request is stored", lambda: cluster.api.get(last, Page[Endpoint]).items, STORED_S)
        newest = "/spans?limit=1000"
        cluster.wait_for(
            "so is its sample",
            lambda: any("canary-curtain" in one.name for one in cluster.api.get(newest, Page[SpanRecord]).items),
            STORED_S,
        )
        found.protocols = {one.protocol for one in spans(cluster)}
        relations = cluster.api.get("/topology?from=-15m&to=now", Topology).relations
        found.encrypted = {one.protocol for one in relations if one.encrypted}
        found.surfaces["API"] = surfaces.answers(cluster.runtime.api)
        found.surfaces["metrics"] = metrics(cluster)
        found.surfaces["live updates"] = {"events": bytes(stream.read)}
        stream.close()
        found.surfaces["PostgreSQL"] = surfaces.rows(dsn(cluster))
        found.surfaces["NATS"] = listener.close()
        found.surfaces["logs"] = surfaces.files(cluster.data.logs)
        found.surfaces["JetStream"] = surfaces.files(cluster.data.path / "nats")
        yield found


def test_every_surface_was_read(seen: Seen) -> None:
    """
    A harmless word that was sent along is found wherever names are shown, so a secret beside it would be too.
    """
    for surface, word in CANARIES.items():
        assert any(word in content for content in seen.surfaces[surface].values()), surface
    assert set(CANARIES) == set(seen.surfaces)
    assert SERVICES == set(seen.surfaces["metrics"])
    assert SERVICES <= {name.removesuffix(".log") for name in seen.surfaces["logs"]}


def test_every_server_was_sent_the_corpus(seen: Seen) -> None:
    """
    Every act was played, and what it said was recognised.
    """
    assert {} == seen.played["wrong"]
    assert [] == sorted(PROTOCOLS - seen.protocols)
    assert "tls" in seen.encrypted


def test_no_piece_of_a_secret_is_anywhere(seen: Seen) -> None:
    """
    Neither messages nor rows, files, logs, metrics nor answers hold a piece of a secret, in whatever encoding.
    """
    search = Search(secrets())

    leaks = [
        (surface, part, *leak)
        for surface, parts in seen.surfaces.items()
        for part, content in parts.items()
        for leak in search.found(content)
    ]
    assert [] == leaks[:20]
    assert search.bytes_read > 1_000_000


def test_a_leak_would_be_found() -> None:
    """
    The search finds a secret, a piece of one, and what it becomes in hexadecimal, in base64 and in a URL.
    """
    search = Search([b"Tr0ub4dor&3/7", b"4012888888881881"])
    encoded = base64.b64encode(b"a:Tr0ub4dor&3/7"), b"Tr0ub4dor&3/7".hex().encode(), b"x=Tr0ub4dor%263%2F7"

    for text in (b"..Tr0ub4dor&3/7..", b"0ub4dor&", b"=288888888188.", *encoded):
        assert search.found(b"\0" * 99 + text), text
    assert not search.found(b"Tr0ub4 12888888188 4012")
