"""
Records the golden captures beside it by running ClickHouse: `python -m tests.data.clickhouse.record`.

Needs clickhouse-server on the path and the `clickhouse-driver` package. The expectations are written by hand and travel
with the bytes. The last cases end as the kernel cuts them: a head begins with the stage that stands before the
statement.
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import clickhouse_driver  # type: ignore[import-untyped]  # it has no types of its own

from tests.data.record import Proxy, save
from tests.kernel.l7.clickhouse_server import running

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN: Final = "00f067aa0ba902b7"

QUERIES: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("create", "create table people (id UInt32, mail String) engine = Memory", {"name": "CREATE TABLE people"}),
    ("select", "select id, mail from people where mail = 'alice@example.org'", {"name": "SELECT people"}),
    (
        "quoted",
        "select `id` from \"people\" where mail = 's3cr3t' and id = 4111111111",
        {"name": "SELECT people"},
    ),
    (
        "traced",
        f"select 1 from people /*app='s3cr3t-app',traceparent='00-{TRACE}-{SPAN}-01'*/ -- s3cr3t-comment",
        {"name": "SELECT people", "trace_id": TRACE, "parent_span_id": SPAN},
    ),
    ("syntax", "selec 's3cr3t'", {"name": "SELEC", "outcome": "CLIENT_ERROR", "status": 62}),
    ("missing", "select 's3cr3t' from nobody", {"name": "SELECT nobody", "outcome": "CLIENT_ERROR", "status": 60}),
    (
        "timeout",
        "select sum(number) from numbers(1000000000000) -- s3cr3t",
        {"name": "SELECT numbers", "outcome": "SERVER_ERROR", "status": 159},
    ),
]


def main() -> None:
    """
    Record all cases.
    """
    with running() as server:
        proxy = Proxy(server.port)
        password = "s3cr3t"
        asking = clickhouse_driver.Client("127.0.0.1", port=proxy.port, password=password)
        asking.execute("select 1")
        save("clickhouse", "hello", proxy.taken()[0], {"name": "HELLO"})
        for case, sql, expected in QUERIES:
            with contextlib.suppress(clickhouse_driver.errors.ServerException):
                asking.execute(sql, settings={"max_execution_time": 1} if case == "timeout" else None)
            request, response = proxy.taken()[-1]
            save("clickhouse", case, [request, response[:600]], expected)
            if case in ("select", "missing"):
                stage = request.index(sql.encode()) - 3
                save("clickhouse", f"{case}_head", [request[stage:], response[:600]], expected)
        asking.execute("insert into people values", [(1, "s3cr3t@example.org")])
        save("clickhouse", "insert", next(e for e in proxy.taken() if b"insert" in e[0]), {"name": "INSERT people"})
        asking.disconnect()
        with contextlib.suppress(clickhouse_driver.errors.ServerException):
            clickhouse_driver.Client("127.0.0.1", port=proxy.port, password="s3cr3t-wrong").execute("select 1")
        expected = {"name": "HELLO", "outcome": "CLIENT_ERROR", "status": 193}
        request, response = proxy.taken()[0]
        save("clickhouse", "denied", [request, response[:600]], expected)


if __name__ == "__main__":
    main()
