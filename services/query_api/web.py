"""
HTTP: who may come in, which operation is meant, and the answer as JSON, as a stream of events, or as the page.
"""

from __future__ import annotations

import asyncio
import functools
import mimetypes
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
from aiohttp import web

from services.query_api import answers, problems, requests, security
from services.query_api.routes import PREFIX, ROUTES
from shared.errors import ConfigError, Malformed, Unavailable
from shared.runtime import exposition

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from structlog.typing import FilteringBoundLogger

    from services.query_api.config import QueryApi
    from services.query_api.live import Client
    from services.query_api.prometheus import Family, Labels
    from services.query_api.routes import Route

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

OPEN_PATHS: Final = ("/healthz", "/readyz")
"""Supervisors ask these by address and without a token; they tell nothing about the observed services."""
COMPRESS_BYTES: Final = 4096
WRITE_S: Final = 30.0
"""A follower that takes nothing for so long is let go."""
JSON: Final = msgspec.json.Encoder()
NAMES: Final = {role: role.name.lower() for role in security.Role}


class Gate(msgspec.Struct, frozen=True):
    """
    Who may come in.
    """

    tokens: Mapping[str, security.Role]
    bound: str
    names: tuple[str, ...]
    sessions: security.Sessions = msgspec.field(default_factory=security.Sessions)

    def role(self, request: web.Request) -> security.Role:
        """
        Return what the sender of *request* may do.
        """
        if not self.tokens:
            return security.Role.ADMIN
        if token := security.bearer(request.headers.get("Authorization", "")):
            return security.role_of(token, self.tokens) or security.Role.NOBODY
        cookie = request.cookies.get(security.COOKIE, "")
        return self.sessions.role(cookie, int(time.time())) or security.Role.NOBODY

    def check(self, request: web.Request) -> None:
        """
        Refuse what another site's page, or a name that was made to point here, may have sent.
        """
        if request.path in OPEN_PATHS:
            return
        host = request.headers.get("Host", "")
        if not security.host_allowed(host, self.bound, self.names, has_tokens=bool(self.tokens)):
            raise problems.Refused(
                403, f"this service is not called {security.host_of(host)!r}: add the name to QUERY_API_HOST_NAMES"
            )
        origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
        if not security.origin_allowed(request.method, origin, site, host):
            raise problems.Refused(403, f"a page of {origin} may not change anything here")

    def require(self, request: web.Request, needed: security.Role) -> None:
        """
        Refuse a sender who may not do what *needed* may.
        """
        role = self.role(request)
        if role >= needed:
            return
        if role == security.Role.NOBODY:
            raise problems.Refused(401, "a token is needed: `Authorization: Bearer <token>`, or sign in on the page")
        raise problems.Refused(403, f"this needs the role {NAMES[needed]}; the token is for {NAMES[role]}")


def tokens(settings: QueryApi, log: FilteringBoundLogger) -> dict[str, security.Role]:
    """
    Return the tokens that the settings name.

    Raises:
        ConfigError: others may reach this service, and there are none; or the file cannot be read.
    """
    if not settings.tokens_file:
        if security.is_loopback(settings.http_host):
            return {}
        raise ConfigError(
            f"MESHLENS_HTTP_HOST is {settings.http_host}, which others can reach: name a file of tokens in "
            'QUERY_API_TOKENS_FILE, {"<token>": "admin"}, or listen on 127.0.0.1'
        )
    path = Path(settings.tokens_file)
    try:
        text = path.read_bytes()
        if path.stat().st_mode & 0o077:
            log.warning("tokens_file_is_open", path=str(path), remedy=f"chmod 600 {path}")
    except OSError as error:
        raise ConfigError(f"QUERY_API_TOKENS_FILE: cannot read {path}: {error.strerror}") from error
    return security.read_tokens(text, str(path))


class Following(Protocol):
    """
    What gives out live updates.
    """

    def following(self) -> Any:
        """
        Open a client.
        """

    def end(self) -> None:
        """
        Let all clients go.
        """


class Desk:
    """
    Takes requests and gives answers; *api* has a method for each operation that answers with data.
    """

    def __init__(
        self, *, api: object, hub: Following, gate: Gate, document: bytes, page: Path, log: FilteringBoundLogger
    ) -> None:
        self._api: Final = api
        self._hub: Final = hub
        self._gate: Final = gate
        self._document: Final = document
        self._page: Final = page
        self._log: Final = log

    def attach(self, application: web.Application) -> None:
        """
        Add every route, and what surrounds them, to *application*.
        """
        special: dict[str, Handler] = {
            "events": self._events,
            "openapi": self._openapi,
            "session": self._session,
            "sign_in": self._sign_in,
            "sign_out": self._sign_out,
        }
        for route in ROUTES:
            handler = special.get(route.name) or self._answering(route)
            application.router.add_route(route.method, PREFIX + route.path, self._guarded(route, handler))
        application.middlewares.append(self._around)
        application.on_response_prepare.append(_add_headers)
        application.on_shutdown.append(self._stop)

    def _guarded(self, route: Route, handler: Handler) -> Handler:
        async def guarded(request: web.Request) -> web.StreamResponse:
            self._gate.require(request, route.role)
            return await handler(request)

        return guarded

    def _answering(self, route: Route) -> Handler:
        method: Callable[[Any], Awaitable[object]] = getattr(self._api, route.name)

        async def answering(request: web.Request) -> web.StreamResponse:
            ask = await _question(route, request)
            return _json(request, JSON.encode(await method(ask)), status=route.status)

        return answering

    @web.middleware
    async def _around(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self._gate.check(request)
            if request.path == "/metrics":
                self._gate.require(request, security.Role.VIEWER)
            return await handler(request)
        except web.HTTPNotFound:
            return self._page_or_nothing(request)
        except web.HTTPException as error:
            allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
            return _problem(request, error.status, _sentence(error), allow)
        except requests.BadRequest as error:
            return _problem(request, 400, str(error))
        except problems.Refused as error:
            challenge = {"WWW-Authenticate": 'Bearer realm="meshlens"'} if error.status == 401 else {}
            return _problem(request, error.status, error.detail, challenge)
        except (Unavailable, Malformed) as error:
            return _problem(request, 503, str(error), {"Retry-After": "2"})
        except Exception:  # our own bug: this request ends, the others go on, and the log has the trace
            self._log.exception("request_failed", method=request.method, path=request.path)
            return _problem(request, 500, "a fault of meshlens; its log says more")

    async def _openapi(self, request: web.Request) -> web.StreamResponse:
        return _json(request, self._document)

    async def _session(self, request: web.Request) -> web.StreamResponse:
        return self._who(request, self._gate.role(request), 200)

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        route = next(route for route in ROUTES if route.name == "sign_in")
        ask = await _question(route, request)
        role = security.role_of(ask.token, self._gate.tokens) if self._gate.tokens else security.Role.ADMIN
        if role is None:
            raise problems.Refused(401, "this token is unknown")
        response = self._who(request, role, 201)
        if self._gate.tokens:
            key = secrets.token_urlsafe(32)
            self._gate.sessions.add(key, role, int(time.time()))
            response.set_cookie(
                security.COOKIE,
                key,
                max_age=security.SESSION_S,
                httponly=True,
                samesite="Strict",
                secure=request.secure,
            )
        return response

    async def _sign_out(self, request: web.Request) -> web.StreamResponse:
        self._gate.sessions.end(request.cookies.get(security.COOKIE, ""))
        response = _json(request, JSON.encode(answers.Done()))
        response.del_cookie(security.COOKIE, httponly=True, samesite="Strict")
        return response

    def _who(self, request: web.Request, role: security.Role, status: int) -> web.Response:
        session = {"role": NAMES[role], "needs_token": bool(self._gate.tokens)}
        return _json(request, JSON.encode(msgspec.convert(session, answers.Session)), status=status)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        with self._hub.following() as client:
            response = web.StreamResponse(
                headers={
                    "Content-Type": "text/event-stream",
                    "Cache-Control": "no-store",
                    "X-Accel-Buffering": "no",
                }
            )
            await response.prepare(request)
            await _pour(client, response)
        return response

    def _page_or_nothing(self, request: web.Request) -> web.StreamResponse:
        """
        Answer a path that is no operation: with a file of the page, or with the page itself for its own paths.
        """
        if request.method not in ("GET", "HEAD") or request.path.startswith("/api/"):
            return _problem(request, 404, f"there is no {request.path}; /api/v1/openapi.json lists what there is")
        wanted = (self._page / request.path.lstrip("/")).resolve()
        if wanted.is_file() and wanted.is_relative_to(self._page.resolve()):
            return _file(wanted, lasting=request.path.startswith("/assets/"))
        index = self._page / "index.html"
        if "." in request.path.rpartition("/")[2] or not index.is_file():
            built = "" if index.is_file() else "; the web page is not built (services/query_api/ui)"
            return _problem(request, 404, f"there is no {request.path}{built}")
        return _file(index, lasting=False)

    async def _stop(self, _application: web.Application) -> None:
        self._hub.end()


async def _question(route: Route, request: web.Request) -> Any:
    """
    Return what *request* asks of *route*.
    """
    fixed = dict(request.match_info)
    if not route.has_body:
        return requests.read(route.ask, request.query.items(), fixed)
    if request.query:
        raise requests.BadRequest("this operation takes its parameters in the body")
    body = await request.read()
    if body and request.content_type != "application/json":
        raise problems.Refused(415, f"the body is {request.content_type}; send application/json")
    return requests.read_body(route.ask, body, fixed)


async def _pour(client: Client, response: web.StreamResponse) -> None:
    """
    Send what comes for *client* until it goes, or takes nothing any more.
    """
    try:
        while True:
            frames = await client.next()
            async with asyncio.timeout(WRITE_S):
                await response.write(frames)
    except (ConnectionError, TimeoutError):
        return


def _file(path: Path, *, lasting: bool) -> web.FileResponse:
    response = web.FileResponse(path)
    response.content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if lasting else "no-cache"
    return response


def _json(request: web.Request, body: bytes, status: int = 200) -> web.Response:
    response = web.Response(
        body=body, status=status, content_type="application/json", headers={"Cache-Control": "no-store"}
    )
    if len(body) >= COMPRESS_BYTES and not security.is_loopback(request.remote or ""):
        response.enable_compression()
    return response


def _problem(request: web.Request, status: int, detail: str, headers: Mapping[str, str] | None = None) -> web.Response:
    return web.Response(
        body=JSON.encode(problems.problem(status, detail, request.path)),
        status=status,
        content_type=problems.MEDIA,
        headers={"Cache-Control": "no-store", **(headers or {})},
    )


def _sentence(error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{error.method} is not possible here; use {', '.join(sorted(error.allowed_methods))}"
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return "the body is larger than 1 MiB"
    return error.reason


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(security.HEADERS)
    response.headers.pop("Server", None)


def exposed(families: Iterable[Family]) -> str:
    """
    Return *families* in Prometheus' text format.
    """
    lines: list[str] = []
    for family in families:
        lines += [f"# HELP {family.name} {family.says}", f"# TYPE {family.name} {family.kind}"]
        for suffix, labels, limit, value in family.samples:
            inside = f'{_inside(labels)},le="{limit}"' if limit else _inside(labels)
            lines.append(f"{family.name}{suffix}{{{inside}}} {value}" if inside else f"{family.name}{suffix} {value}")
    return "\n".join([*lines, ""]) if lines else ""


@functools.lru_cache(maxsize=50_000)
def _inside(labels: Labels) -> str:
    return ",".join(f'{name}="{exposition.escape(text)}"' for name, text in labels)
