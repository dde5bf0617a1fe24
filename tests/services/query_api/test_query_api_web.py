"""
HTTP manners: who may come in, what errors look like, the page, and the live updates.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from shared import subjects
from shared.messages.alert import AlertChanged
from shared.messages.topology import TopologyChange
from tests.services.query_api import shop
from tests.services.query_api.conftest import Running, ready, until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from shared.runtime.bus import Bus

pytestmark = pytest.mark.mesh

TOKENS = {role: role * 5 for role in ("viewer", "operator", "admin!")}


@pytest.fixture(scope="module")
def guarded(
    nats_url: str, service_module_dsn: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """
    A query-api that others can reach, with a token for each role.
    """
    folder = tmp_path_factory.mktemp("guarded")
    tokens = folder / "tokens.json"
    tokens.write_text(json.dumps({token: role.strip("!") for role, token in TOKENS.items()}))
    tokens.chmod(0o600)
    process = Running(
        {
            "MESHLENS_NATS_URL": nats_url,
            "MESHLENS_POSTGRES_DSN": service_module_dsn("query-api"),
            "MESHLENS_HTTP_HOST": "0.0.0.0",
            "QUERY_API_TOKENS_FILE": str(tokens),
        },
        folder / "query-api.log",
    )
    try:
        asyncio.run(ready(process.url))
        yield process
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nothing", 404),
        ("POST", "/api/v1/topology", 405),
        ("GET", "/api/v1/topology?nonsense=1", 400),
        ("GET", "/api/v1/topology?from=yesterday", 400),
        ("GET", "/api/v1/spans?limit=1&limit=2", 400),
        ("GET", "/api/v1/spans?limit=1001", 400),
        ("GET", "/api/v1/spans?cursor=AAAA", 400),
        ("GET", "/api/v1/endpoints?q=%00", 400),
        ("GET", "/api/v1/alerts/nothing", 404),
        ("PUT", "/api/v1/probes/x", 400),
        ("PATCH", "/api/v1/topology", 405),
    ],
)
async def test_errors_are_problem_details(session: aiohttp.ClientSession, method: str, path: str, status: int) -> None:
    """
    Every error is a problem document with its status, a sentence, and the path that it occurred at.
    """
    async with session.request(method, path) as response:
        problem = await response.json(content_type="application/problem+json")

    assert status == response.status == problem["status"]
    assert {"type", "title", "status", "detail", "instance"} == set(problem)
    assert path.partition("?")[0] == problem["instance"]


async def test_a_body_is_json_of_bounded_size(session: aiohttp.ClientSession) -> None:
    """
    A body of another type is a 415, one that is too large a 413, one that is no object a 400.
    """
    path = "/api/v1/silences"
    for data, kind, status in (
        (b"for_s=60", "application/x-www-form-urlencoded", 415),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
        (b"[1]", "application/json", 400),
        (b'{"for_s": 1}', "application/json", 400),
        (b'{"for_s": 60, "by": "\\ud800"}', "application/json", 400),
    ):
        async with session.post(path, data=io.BytesIO(data), headers={"Content-Type": kind}) as response:
            assert status == response.status
            assert response.content_type == "application/problem+json"


async def test_every_answer_carries_the_security_headers(session: aiohttp.ClientSession) -> None:
    """
    The API, errors, the page and the health routes come with a strict policy.
    """
    for path in ("/", "/api/v1/status", "/api/v1/nothing", "/healthz", "/metrics"):
        async with session.get(path) as response:
            assert "default-src 'none'" in response.headers["Content-Security-Policy"]
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "Server" not in response.headers


async def test_the_page_is_served_for_its_own_paths(session: aiohttp.ClientSession) -> None:
    """
    The page answers at its own paths, its files lastingly, and nothing outside its folder is reachable.
    """
    for path in ("/", "/services/cart"):
        async with session.get(path) as response:
            assert (response.status, response.content_type) == (200, "text/html")
            assert response.headers["Cache-Control"] == "no-cache"
    async with session.get("/assets/app.js") as response:
        assert (response.status, response.content_type) == (200, "text/javascript")
        assert "immutable" in response.headers["Cache-Control"]
    for path in ("/assets/missing.js", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fetc%2fpasswd"):
        async with session.get(path) as response:
            assert "root:" not in await response.text()
            assert response.status in (200, 404)


async def test_another_name_for_this_machine_is_refused(session: aiohttp.ClientSession) -> None:
    """
    A name that somebody else made point to loopback is refused, so their page cannot read the map.
    """
    async with session.get("/api/v1/topology", headers={"Host": "evil.example:80"}) as response:
        assert response.status == 403
    async with session.get("/api/v1/topology", headers={"Host": "localhost:80"}) as response:
        assert response.status == 200


async def test_another_sites_page_cannot_change_anything(session: aiohttp.ClientSession) -> None:
    """
    A command from a page of another origin is refused, one from our own page is not.
    """
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
        async with session.post("/api/v1/silences", json={"for_s": 60}, headers=headers) as response:
            assert response.status == 403
    own = str(session._base_url).rstrip("/")
    async with session.post("/api/v1/silences", json={"for_s": 60}, headers={"Origin": own}) as response:
        assert response.status == 503


async def test_roles_may_do_what_they_may(guarded: Running) -> None:
    """
    Without a token nothing is told; a viewer reads, an operator silences, an admin switches probes.
    """
    asked = {
        "read": ("GET", "/api/v1/status", None),
        "metrics": ("GET", "/metrics", None),
        "silence": ("POST", "/api/v1/silences", {"for_s": 60}),
        "switch": ("PUT", "/api/v1/probes/x", {"on": True}),
    }
    expected = {
        "": {"read": 401, "metrics": 401, "silence": 401, "switch": 401},
        "viewer": {"read": 200, "metrics": 200, "silence": 403, "switch": 403},
        "operator": {"read": 200, "metrics": 200, "silence": 503, "switch": 403},
        "admin!": {"read": 200, "metrics": 200, "silence": 503, "switch": 503},
    }
    found: dict[str, dict[str, int]] = {}
    async with aiohttp.ClientSession(guarded.url) as client:
        for role in expected:
            headers = {"Authorization": f"Bearer {TOKENS[role]}"} if role else {}
            found[role] = {}
            for name, (method, path, body) in asked.items():
                async with client.request(method, path, json=body, headers=headers) as response:
                    found[role][name] = response.status
        async with client.get("/healthz") as response:
            assert response.status == 200
        async with client.get("/api/v1/status", headers={"Authorization": "Bearer wrong"}) as response:
            assert response.headers["WWW-Authenticate"] == 'Bearer realm="meshlens"'

    assert expected == found


async def test_the_page_signs_in_with_a_cookie(guarded: Running) -> None:
    """
    A token buys a cookie that scripts cannot read and other sites cannot send; signing out ends it.
    """
    async with aiohttp.ClientSession(guarded.url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as client:
        async with client.post("/api/v1/session", json={"token": "wrong"}) as response:
            assert response.status == 401
        async with client.post("/api/v1/session", json={"token": TOKENS["operator"]}) as response:
            cookie = response.headers["Set-Cookie"]
            assert response.status == 201
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKENS["operator"] not in cookie
        async with client.get("/api/v1/session") as response:
            assert await response.json() == {"role": "operator", "needs_token": True}
        async with client.delete("/api/v1/session") as response:
            assert response.status == 200
        async with client.get("/api/v1/session") as response:
            assert response.status == 401


async def events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """
    Yield the events of a stream: type and data.
    """
    kind = ""
    async for line in response.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


async def test_live_updates_follow_the_bus(running: Running, bus: Bus) -> None:
    """
    A follower first gets the newest snapshots, then each fact once, and a new map for each window.
    """
    timeout = aiohttp.ClientTimeout(total=20)
    async with (
        aiohttp.ClientSession(running.url, read_bufsize=2**22, timeout=timeout) as client,
        client.get("/api/v1/events") as response,
    ):
        stream = events(response)
        first = {(await anext(stream))[0] for _ in range(4)}
        end_ns = time.time_ns()
        await bus.emit(subjects.CHANGE, TopologyChange(at_ns=end_ns, what="service", id="cart", change="appeared"))
        await bus.emit(subjects.ALERT, AlertChanged(alert=shop.alert(), was="pending"))
        await bus.emit(subjects.LIVE_WINDOW, shop.window(end_ns))
        await bus.emit(subjects.VERDICTS, shop.verdicts(end_ns))
        await bus.emit(subjects.PROBES, shop.probes(end_ns))
        found: dict[str, dict[str, Any]] = {}
        async for kind, data in stream:
            found[kind] = data
            if {"topology", "verdicts", "alert", "change", "probes"} <= set(found):
                break

    assert {"topology", "verdicts", "status", "probes"} == first
    assert (found["change"]["id"], found["change"]["change"]) == ("cart", "appeared")
    assert (found["alert"]["id"], found["alert"]["state"]) == ("a1", "firing")
    assert response.content_type == "text/event-stream"


async def test_followers_are_bounded(running: Running) -> None:
    """
    Beyond the limit a follower is sent away with a problem, and a place that is given up is free again.
    """
    async with aiohttp.ClientSession(running.url, read_bufsize=2**22) as client:
        open_streams = [await client.get("/api/v1/events") for _ in range(3)]
        async with client.get("/api/v1/events") as response:
            assert response.status == 503
            assert "QUERY_API_EVENT_CLIENTS" in (await response.json(content_type=None))["detail"]
        for stream in open_streams:
            stream.close()

        async def free() -> bool:
            async with client.get("/api/v1/events") as response:
                return response.status == 200

        await until(free)


async def test_it_stops_at_once_with_followers(
    nats_url: str, service_module_dsn: Callable[[str], str], tmp_path: Path
) -> None:
    """
    A signal ends the service within seconds although somebody follows.
    """
    environment = {"MESHLENS_NATS_URL": nats_url, "MESHLENS_POSTGRES_DSN": service_module_dsn("query-api")}
    process = Running(environment, tmp_path / "log")
    await ready(process.url)
    async with aiohttp.ClientSession(process.url) as client, client.get("/api/v1/events"):
        began = time.monotonic()
        status = await asyncio.to_thread(process.stop)

    assert status == 0
    assert time.monotonic() - began < 5


async def test_without_postgres_the_live_map_is_still_there(nats_url: str, tmp_path: Path) -> None:
    """
    While PostgreSQL is away the map of now is answered, and a question to the tables says what is missing.
    """
    process = Running(
        {"MESHLENS_NATS_URL": nats_url, "MESHLENS_POSTGRES_DSN": "postgresql://x:y@127.0.0.1:1/none"}, tmp_path / "log"
    )
    try:
        async with aiohttp.ClientSession(process.url) as client:

            async def waits() -> str:
                async with client.get("/readyz") as response:
                    text = await response.text()
                    return text if "PostgreSQL" in text else ""

            assert "degraded" in await until(waits)
            async with client.get("/api/v1/topology") as response:
                assert response.status == 200
            async with client.get("/api/v1/spans") as response:
                assert response.status == 503
                assert "PostgreSQL" in (await response.json(content_type=None))["detail"]
    finally:
        process.stop()


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
async def test_others_need_tokens(nats_url: str, tmp_path: Path, host: str) -> None:
    """
    Without a file of tokens the service refuses to listen where others can reach it, and says what to do.
    """
    process = Running({"MESHLENS_NATS_URL": nats_url, "MESHLENS_HTTP_HOST": host}, tmp_path / "log")
    status = await asyncio.to_thread(process.process.wait, 20)
    process.stop()

    assert status == 2
    assert "QUERY_API_TOKENS_FILE" in (tmp_path / "log").read_text()
