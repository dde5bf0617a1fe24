"""
MySQL's rarer ways: files, huge packets, long results, TLS, compression, replication, other languages, lost connections.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.mariadb import INSTANCE, MariaDb, named, running
from tests.kernel.l7.test_kernel_l7_mysql import OPENED, ask, seen, total

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

DOWNLOADED: Final = Path("/var/tmp/meshlens-lab/mysql")  # noqa: S108 - nothing is written there
"""Where the clients of Node and Go lie, on machines that have them."""


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    """
    One server for all tests of this file.
    """
    with running("--log-bin=shop", "--server-id=1") as made:
        yield made


@pytest.fixture
def observed(lab: Lab, server: MariaDb) -> MariaDb:
    """
    The server, in scope.
    """
    lab.observe(server.pid, INSTANCE)
    return server


def client(server: MariaDb, *words: str) -> list[str]:
    """
    Return the command line of MariaDB's own client *words*.
    """
    return [words[0], "--no-defaults", "-h127.0.0.1", f"-P{server.port}", "-ushop", "-ps3cr3t", *words[1:]]


def test_a_file_is_no_command(lab: Lab, observed: MariaDb) -> None:
    """
    LOAD DATA LOCAL is one request, whatever the file holds; the packets of the file are part of it.
    """
    path = lab.folder / "rows"
    path.write_text("".join(f"{number}\tselect {number}\n" for number in range(100, 40_000)), encoding="utf-8")
    connection = observed.connect(local_infile=True)
    with connection.cursor() as cursor:
        for _ in range(3):
            cursor.execute(f"load data local infile '{path}' replace into table orders")
        cursor.execute("delete from orders where id >= 100")
    connection.close()

    expected = {**OPENED, "LOAD orders": 3, "DELETE orders": 1, "QUIT": 1}
    found = seen(lab, observed, expected)
    assert expected == found
    assert 3 * path.stat().st_size < sum(one.request_bytes for one in lab.served(observed.port, Protocol.MYSQL))
    assert {} == lab.lost()


def test_packets_beyond_sixteen_megabytes(lab: Lab, observed: MariaDb) -> None:
    """
    A statement and a row that take several packets are one request and one response.
    """
    connection = observed.connect()
    with connection.cursor() as cursor:
        for _ in range(2):
            cursor.execute("select length('%s') as n" % ("x" * 17_000_001))
            assert ((17_000_001,),) == cursor.fetchall()
            cursor.execute("select repeat('\xfe', 17000003) as long_text")
            assert 17_000_003 == len(cursor.fetchall()[0][0])
        cursor.execute("select 1 from orders")
    connection.close()

    expected = {**OPENED, "SELECT": 4, "SELECT orders": 1, "QUIT": 1}
    assert expected == seen(lab, observed, expected)
    assert 34_000_000 < sum(one.request_bytes for one in lab.served(observed.port, Protocol.MYSQL))
    assert {} == lab.lost()


@pytest.mark.parametrize("rows", [257, 30_011])
def test_long_results_are_one_response(lab: Lab, observed: MariaDb, rows: int) -> None:
    """
    However many rows come, the next statement is told from them; so is an error behind rows.
    """
    connection = observed.connect()
    with connection.cursor() as cursor:
        for _ in range(7):
            cursor.execute(f"select seq, 'text' from seq_1_to_{rows}")
            assert rows == len(cursor.fetchall())
            cursor.execute("select note from orders")
    connection.close()

    expected = {**OPENED, f"SELECT seq_1_to_{rows}": 7, "SELECT orders": 7, "QUIT": 1}
    found = seen(lab, observed, expected)
    assert sum(expected.values()) == sum(found.values())
    assert 7 == found["SELECT orders"]
    assert {} == lab.lost()


def test_commands_that_are_no_statements(lab: Lab, observed: MariaDb) -> None:
    """
    Changing the database or the user, lists of columns, statistics and resets are requests of their own names.
    """
    connection: Any = observed.connect()
    for _ in range(3):
        connection.select_db("shop")
        assert b"Uptime" in ask(connection, 0x09)
        ask(connection, 0x04, b"orders\0")
        for _ in range(2):
            connection._read_packet()
        ask(connection, 0x1F)
    connection.close()

    expected = {**OPENED, "INIT_DB": 3, "STATISTICS": 3, "FIELD_LIST": 3, "RESET_CONNECTION": 3, "QUIT": 1}
    assert expected == seen(lab, observed, expected)
    assert {} == lab.lost()


def test_replicated_events_are_pushes(lab: Lab, observed: MariaDb) -> None:
    """
    A replica's dump is one request; each event behind the first is a message of the server.
    """
    connection: Any = observed.connect()
    with connection.cursor() as cursor:
        cursor.execute("set @slave_connect_state = ''")
        cursor.execute("set @mariadb_slave_capability = 4")
        cursor.execute("set @master_binlog_checksum = 'NONE'")
    where = (4).to_bytes(4, "little") + (1).to_bytes(2, "little") + (99).to_bytes(4, "little") + b"shop.000001"
    events, answer = 0, ask(connection, 0x12, where)
    while answer[0] == 0:
        events, answer = events + 1, connection._read_packet().get_all_data()
    connection.close()

    expected = {**OPENED, "BINLOG_DUMP": 1, "BINLOG_EVENT": events - 1}
    found = seen(lab, observed, {**expected, "SET": 4, "QUIT": 0})
    assert events > 5
    assert expected["BINLOG_DUMP"] == found["BINLOG_DUMP"]
    assert expected["BINLOG_EVENT"] == found["BINLOG_EVENT"]
    assert {} == lab.lost()


def test_a_benchmark_counts_the_same(lab: Lab, observed: MariaDb) -> None:
    """
    What MariaDB's own load generator sends on several connections is what is seen.
    """
    words = client(
        observed, "mariadb-slap", "--skip-ssl", "--concurrency=3", "--number-of-queries=303", "--create-schema=shop"
    )
    sql = "select note from orders where id = 1"
    subprocess.run([*words, f"--query={sql}"], check=True, capture_output=True, timeout=60)
    found = named(lab, observed.port)

    assert 303 == found["SELECT orders"]
    assert {} == lab.lost()


def test_tls_is_handed_over(lab: Lab, observed: MariaDb) -> None:
    """
    A connection that turns to TLS is no more read as MySQL, and nothing of it is called lost.
    """
    words = client(observed, "mariadb", "--ssl", "-e", "select 1")
    before = named(lab, observed.port)
    subprocess.run(words, check=True, capture_output=True, timeout=60)

    assert before == named(lab, observed.port)
    assert {} == lab.lost()


def test_compressed_requests_are_counted(lab: Lab, observed: MariaDb) -> None:
    """
    Behind a log-in that asks for compression, requests are counted, though what they say is not seen.
    """
    sql = "".join(f"select {number}, '{'x' * 7 * number}';" for number in range(31))
    words = client(observed, "mariadb", "--skip-ssl", "--compress", "-e", sql)
    subprocess.run(words, check=True, capture_output=True, timeout=60)

    expected = {"CONNECT": 1, "COMPRESSED": 31 + 1}
    assert expected == seen(lab, observed, expected)
    assert {} == lab.lost()


def test_a_connection_that_ends_leaves_no_response(lab: Lab, server: MariaDb) -> None:
    """
    A statement in flight when its connection is closed has no response, told by the caller's end.
    """
    lab.observe(os.getpid(), 7)
    try:
        connection: Any = server.connect()
        connection._execute_command(3, b"select sleep(0.3) from orders where id = 1")
        connection._sock.close()
        connection._rfile.close()
        connection._sock = connection._rfile = None
        lab.until(lambda: bool(unanswered(lab, server)), "the end")
        lab.until(lambda: idle(server), "the statement to end")
    finally:
        lab.ignore(os.getpid())

    assert [1] == unanswered(lab, server)
    assert {} == lab.lost()


def unanswered(lab: Lab, server: MariaDb) -> list[int]:
    """
    Return the requests of this process that have no response.
    """
    called = lab.called(server.port, Protocol.MYSQL)
    return [one.requests for one in called if one.outcome is Outcome.NO_RESPONSE]


def idle(server: MariaDb) -> bool:
    """
    Return whether the server runs no statement but the question.
    """
    with server.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select id from information_schema.processlist where info like 'select sleep%'")
        return not cursor.fetchall()


NODE: Final = """
const c = require('mysql2').createConnection({
  host: '127.0.0.1', port: +process.argv[2], user: 'shop', password: 's3cr3t', database: 'shop'});
(async () => {
  const p = c.promise();
  for (let i = 0; i < 53; i++) {
    await p.query('select note from orders where id = ' + i);
    await p.execute('select id from orders where id = ? or note = ?', [i, 'x']);
  }
  await Promise.all([...Array(47).keys()].map(i => p.query('select ' + i)));
  await p.end();
})();
"""


def test_node_is_counted(lab: Lab, observed: MariaDb) -> None:
    """
    Node's mysql2, with text and with prepared statements.
    """
    if not (DOWNLOADED / "node_modules").exists():
        pytest.skip("optional: there is no mysql2: npm install mysql2")
    words = ["node", "-e", NODE, "x", str(observed.port)]
    subprocess.run(words, check=True, capture_output=True, timeout=60, cwd=DOWNLOADED)

    expected = {"CONNECT": 1, "SELECT orders": 106, "PREPARE SELECT orders": 1, "SELECT": 47, "QUIT": 1}
    assert expected == seen(lab, observed, expected)
    assert {} == lab.lost()


def test_go_is_counted(lab: Lab, observed: MariaDb) -> None:
    """
    Go's driver, which prepares, executes once and closes.
    """
    program = DOWNLOADED / "goclient" / "goclient"
    if not program.exists():
        pytest.skip("optional: there is no client in Go")
    address = f"shop:s3cr3t@tcp(127.0.0.1:{observed.port})/shop"
    subprocess.run([program, address, "101"], check=True, capture_output=True, timeout=60)
    expected = {"CONNECT": 1, "PREPARE SELECT": 101, "SELECT": 101, "CLOSE": 101, "QUIT": 1}
    found = seen(lab, observed, expected)

    assert expected == {name: found[name] for name in expected}
    assert {} == lab.lost()


def test_php_is_counted(lab: Lab, observed: MariaDb) -> None:
    """
    PHP's mysqlnd, with text and with prepared statements.
    """
    loaded = shutil.which("php") and subprocess.run(["php", "-m"], capture_output=True, check=True, timeout=30).stdout
    if not loaded or b"mysqli" not in loaded:
        pytest.skip("optional: there is no mysqli: apt-get install php-mysql")
    code = (
        f"$c = new mysqli('127.0.0.1', 'shop', 's3cr3t', 'shop', {observed.port});"
        "$s = $c->prepare('select note from orders where id = ?');"
        "for ($i = 0; $i < 31; $i++) { $s->bind_param('i', $i); $s->execute(); $s->get_result()->fetch_all();"
        ' $c->query("select id from orders where id = $i"); } $s->close(); $c->close();'
    )
    subprocess.run(["php", "-r", code], check=True, capture_output=True, timeout=60)

    expected = {"CONNECT": 1, "PREPARE SELECT orders": 1, "SELECT orders": 62, "CLOSE": 1, "QUIT": 1}
    assert expected == seen(lab, observed, expected)
    assert {} == lab.lost()


def test_both_ends_agree(lab: Lab, observed: MariaDb) -> None:
    """
    The caller's end and the server's count the same requests under the same endpoints.
    """
    lab.observe(os.getpid(), 7)
    try:
        connection = observed.connect()
        with connection.cursor() as cursor:
            for number in range(61):
                cursor.execute("select %s from orders", (number,))
        connection.close()
        lab.until(lambda: total(lab, observed) >= 64, "the farewell")
    finally:
        lab.ignore(os.getpid())
    served = {(one.endpoint, one.outcome, one.requests) for one in lab.served(observed.port, Protocol.MYSQL)}

    assert served == {(one.endpoint, one.outcome, one.requests) for one in lab.called(observed.port, Protocol.MYSQL)}
    assert 64 == total(lab, observed)
    assert {} == lab.lost()
