"""
The real service, with real NATS and PostgreSQL, answers what the tables and the bus say.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
import pytest

from services.query_api import answers
from shared import subjects
from shared.messages.alert import AlertCommand, CommandReply
from shared.messages.control import ProbeCommand, ProbeReply
from tests.services.query_api import shop
from tests.services.query_api.conftest import until

if TYPE_CHECKING:
    import aiohttp

    from shared.runtime.bus import Bus

pytestmark = pytest.mark.mesh


async def get(
    session: aiohttp.ClientSession, path: str, parameters: dict[str, str] | None = None, *, status: int = 200
) -> Any:
    """
    Return the JSON at *path*.
    """
    async with session.get(f"/api/v1{path}", params=parameters or {}) as response:
        assert status == response.status, await response.text()
        return msgspec.json.decode(await response.read())


async def live(session: aiohttp.ClientSession, bus: Bus) -> dict[str, Any]:
    """
    Publish a window and its colours, and return the map once it shows them.
    """
    end_ns = time.time_ns()
    await bus.emit(subjects.LIVE_WINDOW, shop.window(end_ns))
    await bus.emit(subjects.VERDICTS, shop.verdicts(end_ns))

    async def shown() -> dict[str, Any] | None:
        topology: dict[str, Any] = await get(session, "/topology")
        colours = {edge["id"]: edge["state"]["own"] for edge in topology["relations"]}  # the tables have no such colour
        return topology if colours.get(shop.CART) == "yellow" else None

    found: dict[str, Any] = await until(shown)
    return found


async def test_the_live_map_is_what_the_bus_said(session: aiohttp.ClientSession, bus: Bus) -> None:
    """
    Services, relations, figures, colours and losses of the running window are on the live map.
    """
    topology = await live(session, bus)
    cart = next(node for node in topology["services"] if node["id"] == "cart")
    edge = next(edge for edge in topology["relations"] if edge["id"] == shop.CART)

    assert topology["live"] is True
    assert topology["lost"] == {"ring_full": 2}
    assert 0 <= topology["age_s"] < 30
    assert (cart["provided"]["requests"], cart["provided"]["errors"]) == (shop.REQUESTS, shop.ERRORS)
    assert pytest.approx(shop.REQUESTS / 10) == cart["provided"]["requests_per_s"]
    assert [reason["signal"] for reason in cart["state"]["reasons"]] == ["error_ratio"]
    assert edge["state"]["own"] == "yellow"
    assert next(e for e in topology["relations"] if e["id"] == shop.DB)["tcp"]["failed"] == {"ECONNREFUSED": 5}


async def test_a_range_is_the_sum_of_its_windows(session: aiohttp.ClientSession) -> None:
    """
    The map over a range adds up every stored window, and its quantiles come from the merged histograms.
    """
    topology = await get(session, "/topology", {"from": "-3m"})
    cart = next(node for node in topology["services"] if node["id"] == "cart")
    edge = next(edge for edge in topology["relations"] if edge["id"] == shop.CART)

    assert topology["live"] is False
    assert 6 * shop.REQUESTS == cart["provided"]["requests"] == edge["client"]["requests"]
    assert cart["provided"]["errors"] == 6 * shop.ERRORS
    assert topology["lost"] == {"ring_full": 12}
    assert cart["instances"] == 2
    assert cart["tcp"]["failed"] == {"ECONNREFUSED": 30}
    assert pytest.approx(0.005, rel=0.13) == cart["provided"]["p50_s"]
    assert pytest.approx(0.080, rel=0.13) == cart["provided"]["p99_s"]
    assert pytest.approx(0.001, rel=0.13) == edge["tcp"]["rtt_p50_s"]
    assert edge["server"]["requests"] == 0


async def test_the_map_at_a_time_is_one_window(session: aiohttp.ClientSession) -> None:
    """
    The map at a time holds the window that the time lies in, with the colour of that time.
    """
    topology = await get(session, "/topology", {"at": "-30s"})
    cart = next(node for node in topology["services"] if node["id"] == "cart")

    assert cart["provided"]["requests"] == shop.REQUESTS
    assert cart["state"]["own"] == "red"
    assert cart["state"]["reasons"][0]["signal"] == "error_ratio"


async def test_a_service_has_its_own_panel(session: aiohttp.ClientSession, bus: Bus) -> None:
    """
    A service's page has its callers, dependencies, endpoints and instances; one that is not there is a 404.
    """
    await live(session, bus)
    detail = await get(session, "/services/cart")

    assert [edge["source"] for edge in detail["callers"]] == ["gateway"]
    assert sorted(edge["target"] for edge in detail["dependencies"]) == ["db", "redis"]
    assert [endpoint["name"] for endpoint in detail["endpoints"]] == ["GET /cart/{id}", "00000000000000aa"]
    assert [instance["id"] for instance in detail["instances"]] == ["n1/1/1", "n1/1/2", "n1/1/3"]
    missing = await get(session, "/services/nobody", status=404)
    assert missing["detail"] == "there is no service 'nobody'"


async def test_relation_ids_are_percent_encoded(session: aiohttp.ClientSession, bus: Bus) -> None:
    """
    A relation is found by its id, arrow and colons included.
    """
    await live(session, bus)
    edge = await get(session, f"/relations/{quote(shop.CART, safe='')}")

    assert (edge["source"], edge["target"], edge["protocol"]) == ("gateway", "cart", "http")


async def test_time_lines_have_a_point_for_each_step(session: aiohttp.ClientSession) -> None:
    """
    A time line has a point for every step, with the window's figures where there was traffic.
    """
    line = await get(session, "/services/cart/timeline", {"from": "-5m"})
    relation = await get(session, f"/relations/{quote(shop.CART, safe='')}/timeline", {"from": "-5m", "step": "60"})

    counts = [point["rates"]["requests"] for point in line["points"]]
    assert line["step_s"] == 10
    assert [count for count in counts if count] == [shop.REQUESTS] * 6
    assert 0 in counts
    assert sum(point["rates"]["requests"] for point in relation["points"]) == 6 * shop.REQUESTS
    assert (await get(session, "/services/nobody/timeline", status=404))["status"] == 404


async def test_failing_endpoints_lead_to_their_spans(session: aiohttp.ClientSession) -> None:
    """
    The endpoints that fail are found, and the failed requests behind each of them.
    """
    failing = await get(session, "/endpoints", {"failing": "true", "sort": "errors"})
    slow = await get(session, "/endpoints", {"slow_s": "0.05", "sort": "p95"})
    spans = await get(
        session, "/spans", {"endpoint": failing["items"][0]["endpoint"], "failed": "true", "service": "cart"}
    )

    assert [item["name"] for item in failing["items"]] == ["GET /cart/{id}"]
    assert [item["name"] for item in slow["items"]] == ["GET /cart/{id}"]
    assert failing["items"][0]["rates"]["errors"] == 6 * shop.ERRORS
    assert [span["outcome"] for span in spans["items"]] == ["server_error"] * 3
    assert {"cart"} == {span["service"] for span in spans["items"]}
    assert {"10.0.0.9:8080"} == {span["peer"] for span in spans["items"]}


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/spans", {}),
        ("/instances", {}),
        ("/endpoints", {"sort": "p95"}),
        ("/endpoints", {"sort": "name"}),
        ("/services", {"from": "-3m"}),
        ("/relations", {"from": "-3m"}),
        ("/anomalies", {}),
        ("/alerts", {}),
    ],
)
async def test_pages_hold_every_item_once(
    session: aiohttp.ClientSession, path: str, parameters: dict[str, str]
) -> None:
    """
    Going from page to page one item at a time gives the same list as asking for all at once.
    """
    whole = await get(session, path, {**parameters, "limit": "1000"})
    items: list[Any] = []
    page = await get(session, path, {**parameters, "limit": "1"})
    while True:
        items += page["items"]
        if page["next"] is None:
            break
        rest = {name: value for name, value in parameters.items() if name != "from"}
        page = await get(session, path, {**rest, "limit": "1", "cursor": page["next"]})

    assert len(whole["items"]) > 1
    assert [_key(item) for item in whole["items"]] == [_key(item) for item in items]


def _key(item: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(item.get(name) for name in ("id", "started", "endpoint", "entity"))


async def test_trouble_is_listed(session: aiohttp.ClientSession) -> None:
    """
    Times of trouble, alerts and silences come from the tables, filtered.
    """
    anomalies = await get(session, "/anomalies", {"level": "red"})
    firing = await get(session, "/alerts", {"state": "firing"})
    silences = await get(session, "/silences")

    assert [(one["entity"], one["level"], one["ended"]) for one in anomalies["items"]] == [("cart", "red", None)]
    assert [one["id"] for one in firing["items"]] == ["a0"]
    assert (await get(session, "/alerts/a0"))["title"] == "cart fails"
    assert [(one["id"], one["by"]) for one in silences["items"]] == [("s1", "ann")]


async def test_commands_reach_alert_manager(session: aiohttp.ClientSession, bus: Bus) -> None:
    """
    Acknowledging, silencing and ending a silence travel to alert-manager; its refusal is a 409 with its sentence.
    """
    heard: list[AlertCommand] = []

    async def manager(command: AlertCommand) -> CommandReply:
        heard.append(command)
        return CommandReply(ok=command.by != "mallory", error="not you")

    await bus.serve(subjects.COMMAND_ALERT, manager)
    async with session.post("/api/v1/alerts/a0/acknowledge", json={"by": "ann"}) as response:
        assert response.status == 200
    async with session.post("/api/v1/alerts/a0/acknowledge", json={"by": "mallory"}) as response:
        assert (response.status, (await response.json(content_type=None))["detail"]) == (409, "not you")
    async with session.post("/api/v1/silences", json={"entity": "cart", "for_s": 3600}) as response:
        assert response.status == 201
        silence = msgspec.json.decode(await response.read(), type=answers.Silence)
    async with session.delete("/api/v1/silences/s1") as response:
        assert response.status == 200
    async with session.delete("/api/v1/silences/unknown") as response:
        assert response.status == 404
    async with session.post("/api/v1/alerts/unknown/acknowledge", json={}) as response:
        assert response.status == 404

    assert [command.action for command in heard] == ["acknowledge", "acknowledge", "silence", "unsilence"]
    assert heard[0].by == "ann"
    assert heard[2].silence is not None
    assert silence.id == heard[2].silence.id
    assert heard[3].silence is not None
    assert heard[3].silence.id == "s1"


async def test_nobody_to_command_is_a_503(session: aiohttp.ClientSession) -> None:
    """
    Without alert-manager a command says so, with the status for trying again.
    """
    async with session.post("/api/v1/silences", json={"for_s": 60}) as response:
        problem = await response.json(content_type=None)

    assert 503 == response.status == problem["status"]
    assert response.headers["Retry-After"] == "2"
    assert "mesh.alert.command" in problem["detail"]


async def test_probes_are_listed_and_switched(session: aiohttp.ClientSession, bus: Bus) -> None:
    """
    The probes of each node are listed, and switching one goes to probe-manager and shows at once.
    """
    now_ns = time.time_ns()
    await bus.emit(subjects.PROBES, shop.probes(now_ns))

    async def listed() -> list[Any]:
        items: list[Any] = (await get(session, "/probes"))["items"]
        return items

    items = await until(listed)
    assert [(probe["node"], probe["name"], probe["state"]) for probe in items] == [
        ("n1", "socket_l7", "on"),
        ("n1", "tcp_rtt", "off"),
    ]

    async def manager(command: ProbeCommand) -> ProbeReply:
        changed = msgspec.structs.replace(
            shop.probes(now_ns),
            probes=[
                msgspec.structs.replace(probe, state="on" if command.on else "off")
                if probe.name == command.probe
                else probe
                for probe in shop.probes(now_ns).probes
            ],
        )
        return ProbeReply(ok=True, probes=changed)

    await bus.serve(subjects.SWITCH_PROBE, manager)

    async def switched() -> bool:
        async with session.put("/api/v1/probes/tcp_rtt", json={"on": True}) as response:
            return response.status == 200

    assert await until(switched)
    async with session.put("/api/v1/probes/nothing", json={"on": True}) as response:
        assert response.status == 404

    assert {probe["name"]: probe["state"] for probe in await listed()} == {"socket_l7": "on", "tcp_rtt": "on"}


async def test_status_shows_who_is_heard(session: aiohttp.ClientSession, bus: Bus) -> None:
    """
    A heartbeat appears in the status, with what that service lost.
    """
    await bus.emit(subjects.STATUS, shop.status(time.time_ns()))

    async def heard() -> Any:
        status = await get(session, "/status")
        ready = {one["service"] for one in status["services"] if one["state"] == "ready"}
        return {"topology-builder", "query-api"} <= ready and status

    status = await until(heard)

    assert status["lost"]["late"] == 3


async def test_prometheus_counts_each_closed_window_once(session: aiohttp.ClientSession, bus: Bus) -> None:
    """
    A closed window is in the counters once, however often it comes, under OpenTelemetry's names.
    """
    end_ns = time.time_ns()
    for _ in range(3):
        await bus.publish(subjects.WINDOW, shop.window(end_ns, final=True))

    async def scraped() -> str:
        async with session.get("/metrics") as response:
            text = await response.text()
            return text if "http_server_request_duration_seconds_count" in text else ""

    text = await until(scraped)

    server = 'service_name="cart",http_request_method="GET",http_route="/cart/{id}"'
    tcp = 'service_name="cart",peer_service="db",server_port="5432",error_type="ECONNREFUSED"'
    assert f"http_server_request_duration_seconds_count{{{server}}} {shop.REQUESTS}\n" in text
    assert f"meshlens_tcp_connections_failed_total{{{tcp}}} 5\n" in text
    assert 'meshlens_up{service="query-api"} 1\n' in text
