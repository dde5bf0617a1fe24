"""
Counters for Prometheus: cumulative, exact at their limits, bounded.
"""

from __future__ import annotations

import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.query_api.answers import State
from services.query_api.prometheus import HELP, LIMIT_TEXTS, LIMITS, OTHER, Totals
from services.query_api.web import exposed
from shared.histogram import BUCKETS, lower_bound_ns
from shared.messages.topology import Red
from shared.units import S_NS, WINDOW_NS
from tests.services.query_api import shop

NOW_NS = 1_800_000_000 * S_NS


def values(totals: Totals) -> dict[str, float]:
    """
    Return every sample of the exposition by its name and labels.
    """
    lines = exposed(totals.families([])).splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_windows_add_up_once() -> None:
    """
    Every closed window is added once; the running one and a repeated one change nothing.
    """
    totals = Totals(1000)
    totals.add(shop.window(NOW_NS, final=True))
    once = values(totals)
    totals.add(shop.window(NOW_NS, final=True))
    totals.add(shop.window(NOW_NS + S_NS, final=False))
    assert once == values(totals)
    totals.add(shop.window(NOW_NS + WINDOW_NS, final=True))
    name = 'meshlens_requests_total{service_name="cart",protocol="http",outcome="%s"}'

    assert values(totals)[name % "ok"] == 2 * (shop.REQUESTS - shop.ERRORS - 3)
    assert values(totals)[name % "server_error"] == 2 * (shop.ERRORS - 2)
    assert values(totals)[name % "no_response"] == 4
    assert values(totals)["meshlens_windows_total"] == 2


def test_a_gap_is_counted() -> None:
    """
    Windows that were not heard of are counted as missed.
    """
    totals = Totals(1000)
    totals.add(shop.window(NOW_NS, final=True))
    totals.add(shop.window(NOW_NS + 3 * WINDOW_NS, final=True))

    assert values(totals)["meshlens_windows_missed_total"] == 2


@given(st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 1000), min_size=1, max_size=30))
def test_classic_buckets_are_exact(histogram: dict[int, int]) -> None:
    """
    At each limit the classic histogram holds exactly the values below it, never falls, and ends with all.
    """
    flat = [part for bucket in sorted(histogram) for part in (bucket, histogram[bucket])]
    red = Red(requests=sum(histogram.values()), duration=flat, duration_sum_ns=5 * S_NS)
    totals = Totals(1000)
    totals.add(shop.window(NOW_NS, final=True, requests=red))
    labels = 'service_name="cart",http_request_method="GET",http_route="/cart/{id}"'
    found = values(totals)
    name = "http_server_request_duration_seconds"

    for limit, text in zip(LIMITS, LIMIT_TEXTS, strict=True):
        below = sum(count for bucket, count in histogram.items() if lower_bound_ns(bucket) < lower_bound_ns(limit))
        assert below == found[f'{name}_bucket{{{labels},le="{text}"}}']
    assert (
        sum(histogram.values()) == found[f'{name}_bucket{{{labels},le="+Inf"}}'] == found[f"{name}_count{{{labels}}}"]
    )
    assert found[f"{name}_sum{{{labels}}}"] == 5


def test_series_are_bounded() -> None:
    """
    Beyond the limit requests are still counted, in one series whose names are `~other`.
    """
    totals = Totals(100)
    one = shop.window(NOW_NS, final=True)
    many = [
        msgspec.structs.replace(one.endpoint_figures[0], name=f"GET /{number}", service=f"s{number}")
        for number in range(500)
    ]
    totals.add(msgspec.structs.replace(one, endpoint_figures=many, relations=[], lost={}))
    counts = {
        name: value for name, value in values(totals).items() if name.startswith("http_server") and "_count" in name
    }

    assert sum(counts.values()) == 500 * shop.REQUESTS
    assert any(f'service_name="{OTHER}"' in name for name in counts)
    assert len(counts) < 101


def test_every_metric_is_described_and_well_formed() -> None:
    """
    Each metric has its help and type once, before its samples, and a valid name.
    """
    totals = Totals(1000)
    totals.add(shop.window(NOW_NS, final=True))
    text = exposed(totals.families([(("service", "cart"), State(own="red"))]))
    named = re.findall(r"^# TYPE (\S+) (counter|gauge|histogram)$", text, re.MULTILINE)

    assert len({name for name, _ in named}) == len(named)
    assert {name for name, _ in named} <= set(HELP)
    assert 'meshlens_service_level{service_name="cart"} 4\n' in text
    assert "db_client_operation_duration_seconds_bucket" in text
    for line in text.splitlines():
        assert re.fullmatch(r"# (HELP|TYPE) .+|[a-z_]+(\{([a-z_]+=\"[^\"]*\",?)+\})? [0-9.e+-]+", line), line
