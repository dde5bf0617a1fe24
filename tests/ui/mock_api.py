"""
An API that answers from an invented world: `python -m tests.ui.mock_api --estate 500 --port 8099`.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec
from aiohttp import web

from services.query_api import answers as a
from tests.ui import mock_data as m
from tests.ui import mock_lists as lists

DIST: Final = Path(__file__).parents[2] / "services/query_api/ui/dist"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
UNITS_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class MockApi:
    """
    Answers `/api/v1` from *world*, and tells the open pages when it changes.
    """

    def __init__(self, world: m.World) -> None:
        self.world = world
        world.probes = world.probes or lists.probes()
        self.broken = False
        self.token = ""
        self.asked: list[str] = []
        self.commands: list[tuple[str, Any]] = []
        self._listeners: set[asyncio.Queue[bytes | None]] = set()

    def app(self) -> web.Application:
        """
        Return the application with the page under `/`.
        """
        app = web.Application(middlewares=[self._guard])
        app.add_routes([web.get("/api/v1/" + path, answer) for path, answer in self._routes().items()])
        app.add_routes(
            [
                web.get("/api/v1/events", self._events),
                web.post("/api/v1/alerts/{id}/acknowledge", self._acknowledge),
                web.post("/api/v1/silences", self._silence),
                web.post("/api/v1/session", self._sign_in),
                web.put("/api/v1/probes/{probe}", self._switch),
                web.get("/", self._index),
                web.static("/", DIST),
            ]
        )
        return app

    def tell(self, event: str = "topology") -> None:
        """
        Send *event* to every open page.
        """
        told = _event(event, self._now() if event == "topology" else {})
        for queue in self._listeners:
            queue.put_nowait(told)

    def hang_up(self) -> None:
        """
        End every open event stream.
        """
        for queue in self._listeners:
            queue.put_nowait(None)

    def _now(self) -> a.Topology:
        end = dt.datetime.now(dt.UTC)
        return self.world.topology(end - dt.timedelta(seconds=10), end, live=True)

    def _routes(self) -> dict[str, Any]:
        return {
            "topology": self._topology,
            "services/{id}": self._service,
            "services/{id}/timeline": self._service_line,
            "relations/{id}/timeline": self._relation_line,
            "relations/{id}": _told(lambda request: self.world.relations[request.match_info["id"]]),
            "endpoints": _paged(lambda request: lists.endpoints(self.world, request.query.get("service", ""))),
            "spans": _paged(lambda request: lists.spans(self.world, request.query.get("service", ""))),
            "instances": _paged(lambda request: lists.instances(self.world, request.query.get("service", ""))),
            "anomalies": _paged(lambda _: lists.anomalies(self.world)),
            "alerts": _paged(lambda _: list(self.world.alerts.values())),
            "silences": _paged(lambda _: self.world.silences),
            "probes": _paged(lambda _: list(self.world.probes.values())),
            "status": _told(lambda _: lists.status(self.world)),
            "session": _told(lambda _: a.Session(role="admin", needs_token=False)),
        }

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked.append(request.path_qs)
        if self.broken and request.path.startswith("/api/"):
            problem = a.Problem(type="about:blank", title="Not ready", status=503, detail="PostgreSQL does not answer.")
            return web.Response(status=503, body=_json(problem), content_type="application/problem+json")
        if request.path.startswith("/api/") and not await self._may_ask(request):
            problem = a.Problem(type="about:blank", title="Sign in", status=401, detail="This token is not known.")
            return web.Response(status=401, body=_json(problem), content_type="application/problem+json")
        response: web.StreamResponse = await handler(request)
        if not response.prepared:
            response.headers["Content-Security-Policy"] = POLICY
        return response

    async def _may_ask(self, request: web.Request) -> bool:
        if not self.token or request.cookies.get("session") == self.token:
            return True
        return (
            request.path.endswith("/session")
            and request.method == "POST"
            and (await request.json())["token"] == self.token
        )

    async def _index(self, _: web.Request) -> web.StreamResponse:
        return web.FileResponse(DIST / "index.html")

    async def _topology(self, request: web.Request) -> web.Response:
        start, end = _range(request, 10)
        live = "from" not in request.query
        return _answer(self._now() if live else self.world.topology(start, end, live=False))

    async def _service(self, request: web.Request) -> web.Response:
        name = request.match_info["id"]
        if name not in self.world.services:
            problem = a.Problem(type="about:blank", title="Not found", status=404, detail=f"no service {name!r}")
            return web.Response(status=404, body=_json(problem), content_type="application/problem+json")
        relations = self.world.relations.values()
        return _answer(
            a.ServiceDetail(
                service=self.world.services[name],
                callers=[relation for relation in relations if relation.target == name],
                dependencies=[relation for relation in relations if relation.source == name],
                endpoints=lists.endpoints(self.world, name),
                instances=lists.instances(self.world, name),
            )
        )

    async def _service_line(self, request: web.Request) -> web.Response:
        node = self.world.services[request.match_info["id"]]
        return _answer(_line(request, node.provided))

    async def _relation_line(self, request: web.Request) -> web.Response:
        relation = self.world.relations[request.match_info["id"]]
        return _answer(_line(request, relation.client))

    async def _acknowledge(self, request: web.Request) -> web.Response:
        alert = self.world.alerts[request.match_info["id"]]
        body = await request.json()
        self.commands.append(("acknowledge", alert.id))
        taken = msgspec.structs.replace(
            alert, acknowledged_by=body.get("by", "operator"), acknowledged=dt.datetime.now(dt.UTC)
        )
        self.world.alerts[alert.id] = taken
        return _answer(a.Done())

    async def _sign_in(self, _: web.Request) -> web.Response:
        response = _answer(a.Session(role="viewer", needs_token=True))
        response.set_cookie("session", self.token, httponly=True)
        return response

    async def _silence(self, request: web.Request) -> web.Response:
        body = await request.json()
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=body["for_s"])
        silence = a.Silence(
            id="s1", template=body["template"], entity=body["entity"], until=until, by="operator", comment=""
        )
        self.world.silences.append(silence)
        return _answer(silence)

    async def _switch(self, request: web.Request) -> web.Response:
        name, body = request.match_info["probe"], await request.json()
        self.commands.append((name, body["on"]))
        state = "on" if body["on"] else "off"
        self.world.probes[name] = msgspec.structs.replace(self.world.probes[name], state=state)
        return _answer(a.Done())

    async def _events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._listeners.add(queue)
        queue.put_nowait(_event("topology", self._now()))
        try:
            while (message := await queue.get()) is not None:
                await response.write(message)
        except ConnectionResetError:
            pass
        finally:
            self._listeners.discard(queue)
        return response


def _told(answer: Callable[[web.Request], object]) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return _answer(answer(request))

    return handle


def _paged(items: Callable[[web.Request], list[Any]]) -> Handler:
    return _told(lambda request: a.Page(items=items(request)))


def _line(request: web.Request, figures: a.Rates) -> a.TimeLine:
    start, end = _range(request, 900)
    return lists.time_line(figures.requests_per_s, figures.p50_s or 0.0, start, end)


def _range(request: web.Request, default_s: int) -> tuple[dt.datetime, dt.datetime]:
    now = dt.datetime.now(dt.UTC)
    end = _time(request.query.get("to", "now"), now)
    return _time(request.query.get("from", f"-{default_s}s"), now), end


def _time(text: str, now: dt.datetime) -> dt.datetime:
    if text == "now":
        return now
    if text.startswith("-"):
        return now - dt.timedelta(seconds=int(text[1:-1]) * UNITS_S[text[-1]])
    return dt.datetime.fromisoformat(text)


def _json(answer: object) -> bytes:
    return msgspec.json.encode(answer)


def _event(name: str, told: object) -> bytes:
    return f"event: {name}\ndata: ".encode() + _json(told) + b"\n\n"


def _answer(answer: object) -> web.Response:
    return web.Response(body=_json(answer), content_type="application/json")


async def serve(api: MockApi, port: int) -> web.AppRunner:
    """
    Serve *api* on the loopback and return the runner.
    """
    runner = web.AppRunner(api.app(), shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


async def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--estate", type=int, default=0, help="so many invented services instead of the shop")
    parser.add_argument("--port", type=int, default=8099)
    given = parser.parse_args()
    api = MockApi(m.estate(given.estate) if given.estate else m.shop())
    await serve(api, given.port)
    while True:
        await asyncio.sleep(2)
        api.tell()


if __name__ == "__main__":
    asyncio.run(_main())
