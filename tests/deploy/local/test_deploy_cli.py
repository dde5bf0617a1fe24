"""
The command line: its help, its errors, its tables.
"""

from __future__ import annotations

import datetime as dt
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

import msgspec
import pytest

from deploy.local import cli
from deploy.local.commands import probes, status, top
from services.query_api import answers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
TCP = answers.TcpRates()
TOPOLOGY = answers.Topology(
    start=NOW, end=NOW, live=True, lost={"map_full": 3},
    services=[
        answers.ServiceNode(
            id="calm", name="calm", kind="service", instances=1, attributes={}, state=answers.State(own="green"),
            provided=answers.Rates(requests=10, requests_per_s=100.0, error_ratio=0.0, p50_s=0.002, p95_s=1.5),
            tcp=TCP, seen_from="server",
        ),
        answers.ServiceNode(
            id="ill", name="ill", kind="service", instances=3, attributes={},
            state=answers.State(own="red", reasons=[answers.Reason(
                signal="errors", detector="x", level="red", value=1, expected=0, unit="", score=9, since=NOW,
                text="half of it fails")]),
            provided=answers.Rates(requests=10, requests_per_s=1.0, error_ratio=0.5, p50_s=0.00002),
            tcp=TCP, seen_from="server",
        ),
    ],
    relations=[answers.RelationEdge(
        id="r", source="calm", target="ill", protocol="http", port=80, state=answers.State(), tcp=TCP,
        client=answers.Rates(), server=answers.Rates(requests=5, requests_per_s=0.5))],
)  # fmt: skip


@pytest.fixture
def api() -> Iterator[str]:
    """
    A server that answers a map, and problems for everything else.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path == "/api/v1/topology"
            body = msgspec.json.encode(
                TOPOLOGY if known else answers.Problem(type="about:blank", title="No", status=404, detail="not here")
            )
            self.send_response(200 if known else 404)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """
            Stay quiet.
            """

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("command", ["up", "demo", "status", "top", "probes", "doctor", "migrate"])
def test_every_command_helps(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    `--help` of each command says what it does.
    """
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])

    assert ended.value.code == 0
    assert "usage: meshlens" in capsys.readouterr().out


def test_nothing_running_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Without a supervisor the operator learns what to start.
    """
    assert cli.main(["status", "--data-dir", str(tmp_path)]) == cli.EXIT_CONFIG
    assert "start `meshlens up`" in capsys.readouterr().err


def test_nobody_answering_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """
    An address where nobody answers has an exit status of its own.
    """
    assert cli.main(["status", "--api", "http://127.0.0.1:1"]) == cli.EXIT_UNAVAILABLE
    assert "no answer from the API" in capsys.readouterr().err


def test_a_bad_address_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What is no http address is not opened.
    """
    assert cli.main(["top", "--api", "file:///etc/passwd"]) == cli.EXIT_CONFIG
    assert "begins with http" in capsys.readouterr().err


def test_the_problem_of_the_api_is_shown(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The API's own words reach the operator.
    """
    assert cli.main(["status", "--api", api]) == cli.EXIT_CONFIG
    assert "answers 404: No: not here" in capsys.readouterr().err


def test_the_demo_that_does_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A fault on a demo that does not run says how to start it.
    """
    assert cli.main(["demo", "--data-dir", str(tmp_path), "fault", "errors", "shop"]) == cli.EXIT_UNAVAILABLE
    assert "meshlens up --demo" in capsys.readouterr().err


def test_top_once(api: str, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Without a terminal the table is printed once, the worst first.
    """
    assert cli.main(["top", "--api", api]) == 0

    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith(("■", "●"))]
    assert rows[0].startswith("■ ill ×3")
    assert rows[0].endswith("half of it fails")
    assert "50.0%" in rows[0]
    assert "20 µs" in rows[0]
    assert rows[1].startswith("● calm ")
    assert "1.5 s" in rows[1]
    assert "lost: map_full 3" in lines


def test_top_sorts() -> None:
    """
    By rate, the busiest comes first, whatever its colour.
    """
    rows = top.table(TOPOLOGY, sort="rate", colour=False)

    assert rows[2].startswith("● calm")


def test_status_table() -> None:
    """
    Lag and losses are on the screen.
    """
    service = answers.ServiceHealth(
        service="topology-builder", node="a", state="degraded", waiting_for="PostgreSQL", lag_s=12.5, heard=NOW,
        started=NOW, version="1", lost={}, counters={}, resident_bytes=42_000_000, cpu_s=1.0,
    )  # fmt: skip
    lines = status.table(
        answers.Status(services=[service], lost={"ring_full": 7, "never": 0}, scope={"a": "the whole host"}), NOW
    )

    assert "degraded" in lines[1]
    assert "12.5 s" in lines[1]
    assert lines[1].endswith("PostgreSQL")
    assert lines[2:] == ["observes on a: the whole host", "lost: ring_full 7"]


def test_probes_table() -> None:
    """
    A probe that failed says why, and what is missed.
    """
    probe = answers.Probe(
        node="a", name="packet_drop", question="?", state="failed", hook="", fallback=False, misses="why packets drop",
        cost="", error="no tracepoint", runs=0, run_time_s=0.0, instructions=0,
    )  # fmt: skip
    lines = probes.table([probe])

    assert [line.strip() for line in lines[2:]] == ["! no tracepoint", "! why packets drop"]


def test_json_is_json(api: str) -> None:
    """
    What the API answers decodes with its own schema.
    """
    from deploy.local.api import Api

    assert json.loads(Api(api).raw("/topology"))["lost"] == {"map_full": 3}
