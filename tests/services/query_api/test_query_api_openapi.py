"""
The OpenAPI document is complete and consistent.
"""

from __future__ import annotations

import json
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from services.query_api import maps, openapi
from services.query_api.openapi import document
from services.query_api.routes import PREFIX, ROUTES
from services.query_api.security import Role
from shared.units import S_NS
from tests.services.query_api import shop

DOCUMENT: dict[str, Any] = json.loads(msgspec.json.encode(document("1")))


def references(part: Any) -> set[str]:
    """
    Return every reference inside *part*.
    """
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references, part.values()))
    return set().union(*map(references, part)) if isinstance(part, list) else set()


def test_every_operation_is_described() -> None:
    """
    The document has each route of the table, with its parameters, its answer, its role and its problems.
    """
    for route in ROUTES:
        operation = DOCUMENT["paths"][PREFIX + route.path][route.method.lower()]
        assert route.name == operation["operationId"]
        assert route.says == operation["summary"]
        assert route.role.name.lower() == operation["x-role"]
        assert set(route.fixed) == {one["name"] for one in operation.get("parameters", []) if one["in"] == "path"}
        assert {str(route.status), "400", "500"} <= set(operation["responses"])
        assert route.has_body == ("requestBody" in operation)
    assert len(ROUTES) == len({route.name for route in ROUTES})


def test_references_lead_somewhere() -> None:
    """
    Every reference names a schema of the document.
    """
    names = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}

    assert references(DOCUMENT) <= names


def test_what_changes_something_needs_a_role() -> None:
    """
    Every operation that changes something asks for more than a viewer, except signing in and out.
    """
    for route in ROUTES:
        if route.method != "GET" and route.tag != "session":
            assert route.role > Role.VIEWER


@pytest.mark.parametrize("name", sorted(DOCUMENT["components"]["schemas"]))
def test_schemas_are_valid(name: str) -> None:
    """
    Each schema is a valid JSON Schema of the dialect that OpenAPI 3.1 uses.
    """
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}

    assert jsonschema_rs.meta.is_valid(DOCUMENT["components"]["schemas"][name])
    jsonschema_rs.validator_for(schema)


def test_a_drawn_map_conforms() -> None:
    """
    The map of the shop, as JSON, is what the document says.
    """
    drawn = maps.draw(shop.window(1_800_000_000 * S_NS), {})
    schema = {"$ref": "#/components/schemas/Topology", "components": DOCUMENT["components"]}

    assert openapi.TEMPLATE.format(name="Topology") == schema["$ref"]
    jsonschema_rs.validate(schema, json.loads(msgspec.json.encode(drawn)))
