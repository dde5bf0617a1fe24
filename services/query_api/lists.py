"""
Lists that are filtered, sorted and cut into pages in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from services.query_api import answers, rows
from services.query_api.requests import encode_cursor, paged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from services.query_api import questions
    from services.query_api.requests import Range

T = TypeVar("T")

BY_ID: Final = (str,)
SORT_BY: Final[dict[str, Callable[[answers.Rates], float | None]]] = {
    "requests": lambda rates: rates.requests,
    "errors": lambda rates: rates.errors,
    "client_errors": lambda rates: rates.client_errors,
    "error_ratio": lambda rates: rates.error_ratio,
    "mean": lambda rates: rates.mean_s,
    "p50": lambda rates: rates.p50_s,
    "p95": lambda rates: rates.p95_s,
    "p99": lambda rates: rates.p99_s,
}


def services(topology: answers.Topology, ask: questions.ServiceList, over: Range) -> answers.Page[answers.ServiceNode]:
    """
    Return the page of services that *ask* wants.
    """
    wanted = ask.q.lower()
    return paged(
        (
            node
            for node in topology.services
            if (wanted in node.name.lower() or wanted in node.id.lower()) and ask.kind in ("", node.kind)
        ),
        lambda node: (node.id,),
        BY_ID,
        ask,
        over,
        answers.Page[answers.ServiceNode],
    )


def relations(
    topology: answers.Topology, ask: questions.RelationList, over: Range
) -> answers.Page[answers.RelationEdge]:
    """
    Return the page of relations that *ask* wants.
    """
    return paged(
        (
            edge
            for edge in topology.relations
            if ask.source in ("", edge.source)
            and ask.target in ("", edge.target)
            and ask.protocol in ("", edge.protocol)
        ),
        lambda edge: (edge.id,),
        BY_ID,
        ask,
        over,
        answers.Page[answers.RelationEdge],
    )


def endpoints(
    found: Iterable[Mapping[str, Any]], ask: questions.EndpointList, over: Range
) -> answers.Page[answers.Endpoint]:
    """
    Return the page of endpoints that *ask* wants, out of the rows *found*.
    """
    made = (rows.endpoint(row, over.seconds) for row in found)
    slow_enough = (one for one in made if not ask.slow_s or (one.rates.p95_s or 0.0) >= ask.slow_s)
    if ask.sort == "name":
        return paged(slow_enough, _by_name, (str, str, str), ask, over, answers.Page[answers.Endpoint])
    value = SORT_BY[ask.sort]

    def worst_first(one: answers.Endpoint) -> tuple[float, str, str]:
        return -float(value(one.rates) or 0.0), one.service, f"{one.protocol} {one.endpoint}"

    return paged(slow_enough, worst_first, (float, str, str), ask, over, answers.Page[answers.Endpoint])


def _by_name(one: answers.Endpoint) -> tuple[str, str, str]:
    return one.name, one.service, f"{one.protocol} {one.endpoint}"


def rows_page(
    found: list[Any], make: Callable[[Any], T], key: Callable[[Any], tuple[int | str, ...]], limit: int, over: Range
) -> answers.Page[T]:
    """
    Return a page of the rows *found*, which are one more than the page when there is a next.
    """
    here = found[:limit]
    more = len(found) > len(here)
    return answers.Page(items=[make(row) for row in here], next=encode_cursor(over, key(here[-1])) if more else None)
