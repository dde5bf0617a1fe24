"""
The OpenAPI 3.1 document, made from the route table and the structs: it cannot say anything else than the code.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from services.query_api import answers, events
from services.query_api.routes import PREFIX, ROUTES, Route
from services.query_api.security import COOKIE, Role

TEMPLATE: Final = "#/components/schemas/{name}"
PROBLEM: Final = {"$ref": "#/components/schemas/Problem"}
REASONS: Final = {
    400: "The question cannot be read.",
    401: "A token is needed.",
    403: "The role may not do this, or the request came from another site.",
    404: "There is no such thing.",
    409: "The owner of the thing refuses.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    500: "A fault of meshlens.",
    503: "PostgreSQL, NATS or the service that owns the answer is away; try again.",
}
ABOUT: Final = (
    "Times are RFC 3339 in UTC, durations are seconds, ratios are 0 to 1, rates are per second; a figure that is not "
    "known is null. Lists come in pages: ask again with `cursor` set to the page's `next`. Errors are problem details "
    "(RFC 9457). Ids in paths are percent-encoded."
)
TAGS: Final = {
    "map": "The topology.",
    "services": "Nodes of the map.",
    "relations": "Edges of the map.",
    "endpoints": "Interfaces and the requests behind them.",
    "trouble": "Anomalies and alerts.",
    "meshlens": "meshlens itself.",
    "session": "Signing in on the page.",
}


def document(version: str) -> dict[str, Any]:
    """
    Return the document for this *version* of meshlens.
    """
    components = _components()
    paths: dict[str, dict[str, Any]] = {}
    for route in ROUTES:
        paths.setdefault(PREFIX + route.path, {})[route.method.lower()] = _operation(route, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "meshlens",
            "version": version,
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": says} for name, says in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
            },
        },
        "x-events": {name: _reference(kind) for name, kind in events.TYPES.items()},
    }


def _components() -> dict[str, Any]:
    kinds = [route.ask for route in ROUTES if route.has_body]
    kinds += [route.answer for route in ROUTES] + list(events.TYPES.values()) + [answers.Problem]
    _, components = msgspec.json.schema_components(kinds, ref_template=TEMPLATE)
    for route in ROUTES:
        if route.has_body:
            _without(components[route.ask.__name__], route.fixed)
    return components


def _without(schema: dict[str, Any], fixed: tuple[str, ...]) -> None:
    """
    Take the parameters of the path out of a body's *schema*.
    """
    for name in fixed:
        schema["properties"].pop(name, None)
    schema["required"] = [name for name in schema.get("required", []) if name not in fixed]


def _reference(kind: Any) -> Any:
    (schema,), _ = msgspec.json.schema_components([kind], ref_template=TEMPLATE)
    return schema


def _operation(route: Route, components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.name,
        "tags": [route.tag],
        "summary": route.says,
        "responses": _responses(route),
        "x-role": route.role.name.lower(),
        "security": [{"token": []}, {"session": []}, {}] if route.role else [{}],
    }
    if parameters := _parameters(route):
        operation["parameters"] = parameters
    if route.has_body:
        needed = bool(components[route.ask.__name__]["required"])
        operation["requestBody"] = {
            "required": needed,
            "content": {"application/json": {"schema": {"$ref": TEMPLATE.format(name=route.ask.__name__)}}},
        }
    return operation


def _parameters(route: Route) -> list[dict[str, Any]]:
    """
    Return the path's parameters and, unless there is a body, the query's.
    """
    _, components = msgspec.json.schema_components([route.ask], ref_template=TEMPLATE)
    schema = components[route.ask.__name__]
    parameters = []
    for name, described in schema["properties"].items():
        place = "path" if name in route.fixed else "query"
        if place == "query" and route.has_body:
            continue
        inner = {key: value for key, value in described.items() if key != "description"}
        parameter = {"name": name, "in": place, "required": place == "path", "schema": inner}
        if "description" in described:
            parameter["description"] = described["description"]
        parameters.append(parameter)
    return parameters


def _responses(route: Route) -> dict[str, Any]:
    schema = _reference(route.answer)
    responses: dict[str, Any] = {
        str(route.status): {"description": "Done.", "content": {route.media: {"schema": schema}}}
    }
    for status in _problems(route):
        responses[str(status)] = {
            "description": REASONS[status],
            "content": {"application/problem+json": {"schema": PROBLEM}},
        }
    return responses


def _problems(route: Route) -> list[int]:
    statuses = [400, 401, 403, 500, 503]
    if route.fixed:
        statuses.append(404)
    if route.has_body:
        statuses += [413, 415]
    if route.role > Role.VIEWER:
        statuses.append(409)
    return sorted(statuses)
