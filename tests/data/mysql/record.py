"""
Records the golden captures beside it by running MariaDB: `python -m tests.data.mysql.record`.

Needs mariadbd on the path and the `pymysql` package. The expectations are written by hand and travel with the bytes.
"""

from __future__ import annotations

import contextlib
import struct
from typing import Any, Final

import pymysql  # type: ignore[import-untyped]  # it has no types of its own

from tests.data.record import Proxy, save
from tests.kernel.l7.mariadb import running

TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN: Final = "00f067aa0ba902b7"
PREPARE, EXECUTE, BINLOG_DUMP = 0x16, 0x17, 0x12

TEXTS: Final[list[tuple[str, str, dict[str, Any]]]] = [
    ("create", "create table people (id int primary key, mail varchar(99))", {"name": "CREATE TABLE people"}),
    ("insert", "insert into `people` values (1, 'alice@example.org')", {"name": "INSERT people"}),
    ("select", 'select id, mail from people where mail = "alice@example.org"', {"name": "SELECT people"}),
    (
        "several",
        "select 's3cr3t'; update people set mail = '' where id = 4111111111111111",
        {"name": "SELECT"},
    ),
    (
        "traced",
        f"select 1 from people /*app='s3cr3t-app',traceparent='00-{TRACE}-{SPAN}-01'*/ # s3cr3t-comment",
        {"name": "SELECT people", "trace_id": TRACE, "parent_span_id": SPAN},
    ),
    (
        "duplicate",
        "insert into people values (1, 's3cr3t-again')",
        {"name": "INSERT people", "outcome": "CLIENT_ERROR", "status": 1062},
    ),
    ("syntax", "selec 's3cr3t'", {"name": "SELEC", "outcome": "CLIENT_ERROR", "status": 1064}),
    ("missing", "select * from nobody", {"name": "SELECT nobody", "outcome": "CLIENT_ERROR", "status": 1146}),
    (
        "timeout",
        "set statement max_statement_time=0.01 for select sleep(4)",
        {"name": "SET", "outcome": "SERVER_ERROR", "status": 1969},
    ),
    ("password", "create user bob identified by 's3cr3t-password'", {"name": "CREATE USER bob"}),
]


def prepared(proxy: Proxy, connection: Any) -> None:
    """
    Prepare a statement, and execute it with a value.
    """
    proxy.taken()
    connection._execute_command(PREPARE, b"select mail from people where mail = ?")
    identity = connection._read_packet().get_all_data()[1:5]
    for _ in range(4):
        connection._read_packet()
    save("mysql", "prepare", proxy.taken()[0], {"name": "PREPARE SELECT people"})
    value = b"s3cr3t-value"
    types = b"\0\1\xfd\0" + bytes([len(value)]) + value
    connection._execute_command(EXECUTE, identity + b"\0" + struct.pack("<I", 1) + types)
    for _ in range(4):
        connection._read_packet()
    save("mysql", "execute", proxy.taken()[0], {"name": "EXECUTE"})
    connection._execute_command(EXECUTE, b"\x63\0\0\0\0" + struct.pack("<I", 1))
    with contextlib.suppress(pymysql.MySQLError):
        connection._read_packet()
    expected = {"name": "EXECUTE", "outcome": "CLIENT_ERROR", "status": 1243}
    save("mysql", "unknown_statement", proxy.taken()[0], expected)


def main() -> None:
    """
    Record all cases.
    """
    with running("--log-bin=shop", "--server-id=1") as server:
        proxy = Proxy(server.port)
        server.port = proxy.port
        flags = pymysql.constants.CLIENT.MULTI_STATEMENTS
        connection: Any = server.connect(client_flag=flags)
        save("mysql", "connect", proxy.taken()[0], {"name": "CONNECT"})
        for case, sql, expected in TEXTS:
            with contextlib.suppress(pymysql.MySQLError), connection.cursor() as cursor:
                cursor.execute(sql)
                while cursor.nextset():
                    pass
            save("mysql", case, proxy.taken()[0], expected)
        prepared(proxy, connection)
        connection.ping(reconnect=False)
        save("mysql", "ping", proxy.taken()[0], {"name": "PING"})
        connection.select_db("shop")
        save("mysql", "database", proxy.taken()[0], {"name": "INIT_DB"})
        with contextlib.suppress(pymysql.MySQLError):
            server.connect(password="s3cr3t-wrong")
        save("mysql", "denied", proxy.taken()[0], {"name": "CONNECT", "outcome": "CLIENT_ERROR", "status": 1045})


if __name__ == "__main__":
    main()
