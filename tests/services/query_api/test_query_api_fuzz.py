"""
The API keeps the promises of its own OpenAPI document, whatever it is asked.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import hypothesis
import msgspec
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.query_api.openapi import document
from services.query_api.requests import Range, encode_cursor
from services.query_api.routes import PREFIX, ROUTES
from shared import subjects
from shared.messages.alert import CommandReply
from shared.messages.control import ProbeReply
from shared.runtime import bus as bus_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.query_api.routes import Route
    from tests.services.query_api.conftest import Running

pytestmark = [
    pytest.mark.mesh,
    pytest.mark.filterwarnings("ignore"),  # the fuzzer's own libraries warn about each other
]

SCHEMA = schemathesis.openapi.from_dict(document("test"))
ENDLESS = ("events",)
"""What answers with a stream that has no end; `test_query_api_web` follows it."""
EXAMPLES = 25
CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


async def answer(url: str, listening: threading.Event, stop: threading.Event) -> None:
    """
    Stand in for alert-manager and probe-manager: agree to everything.
    """
    bus = await bus_module.connect(url, name="fuzz")

    async def command(_: object) -> CommandReply:
        return CommandReply(ok=True)

    async def switch(_: object) -> ProbeReply:
        return ProbeReply(ok=True)

    await bus.serve(subjects.COMMAND_ALERT, command)
    await bus.serve(subjects.SWITCH_PROBE, switch)
    listening.set()
    await asyncio.to_thread(stop.wait)
    await bus.close()


@pytest.fixture(scope="module")
def answering(nats_url: str) -> Iterator[None]:
    """
    Somebody who answers commands.
    """
    listening, stop = threading.Event(), threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(answer(nats_url, listening, stop)))
    thread.start()
    assert listening.wait(10)
    yield
    stop.set()
    thread.join()


BY_NAME = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.name not in ENDLESS], ids=lambda route: route.name
)
HOSTILE = st.one_of(
    st.sampled_from(
        ["", "0", "-1", "1e999", "nan", "true", "null", "\0", "-99999999999d", "-0s", "now", "9999-12-31T23:59:59Z"]
        + ["0001-01-01T00:00:00+14:00", "' or 1=1 --", "%", "../..", "cart->x:http", "[1]", "a" * 1500, "AAAA", "kQA"]
        + [encode_cursor(Range(0, 1 << 60), key) for key in ((1, 2), ("x",), (1.5, "a", "b"), (1, 2, 3, "i"))]
        + [encode_cursor(Range(5, 5), key) for key in ((1 << 62, -(1 << 62)), (0, "x"), (float("nan"), "", ""))]
    ),
    st.text(st.characters(codec="utf-8"), max_size=30),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | HOSTILE,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
ASKED = hypothesis.settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(hypothesis.HealthCheck)
)


def check(case: Case[Any], url: str) -> None:
    """
    Ask, and hold the answer against the document.
    """
    response = case.call(base_url=url, timeout=30)
    case.validate_response(response, checks=CHECKS)


@BY_NAME
def test_right_questions_get_promised_answers(running: Running, answering: None, route: Route) -> None:  # noqa: ARG001
    """
    A question that the document allows gets a documented status and a body of the documented form.
    """
    operation = SCHEMA[PREFIX + route.path][route.method]

    @ASKED
    @hypothesis.given(case=operation.as_strategy())
    def asked(case: Case[Any]) -> None:
        check(case, running.url)

    asked()


@BY_NAME
def test_wrong_questions_get_promised_answers(running: Running, answering: None, route: Route) -> None:  # noqa: ARG001
    """
    A question with hostile parameters, unknown ones or any body gets a documented answer too, and never a fault.
    """
    operation = SCHEMA[PREFIX + route.path][route.method]
    names = [msgspec_field.encode_name for msgspec_field in msgspec.structs.fields(route.ask)]

    @ASKED
    @hypothesis.given(data=st.data())
    def asked(data: st.DataObject) -> None:
        path = {name: data.draw(HOSTILE.filter(_fits_a_path)) for name in route.fixed}
        some = st.dictionaries(st.sampled_from([*names, "x"]), VALUES if route.has_body else HOSTILE, max_size=4)
        parts: dict[str, Any] = {"body": data.draw(some | VALUES)} if route.has_body else {"query": data.draw(some)}
        media = "application/json" if route.has_body else None
        check(operation.Case(path_parameters=path, media_type=media, **parts), running.url)

    asked()


def _fits_a_path(text: str) -> bool:
    """
    Say whether clients send *text* as one part of a path: dots alone would climb, nothing would be another path.
    """
    return text.strip(".") != "" and "/" not in text and len(text) < 2000
