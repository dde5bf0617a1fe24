"""
MySQL: what real clients send to a real MariaDB is counted to the unit, under the statement's own name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kernel.l7.mariadb import INSTANCE, MariaDb, named, running

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def server() -> Iterator[MariaDb]:
    """
    One server for all tests of this file.
    """
    with running() as made:
        yield made


def test_statements_are_counted_by_their_text(lab: Lab, server: MariaDb) -> None:
    """
    Statements that differ in their values only are one endpoint; the log-in is one request, and so is the farewell.
    """
    lab.observe(server.pid, INSTANCE)
    connection = server.connect()
    with connection.cursor() as cursor:
        for number in range(101):
            cursor.execute(f"select * from orders where id = {number} and note <> 'it''s {number}'")
            cursor.fetchall()
    connection.ping()
    connection.close()
    lab.until(lambda: named_total(lab, server) >= 105, "the farewell")

    assert {"CONNECT": 1, "SELECT orders": 101, "PING": 1, "QUIT": 1, "SET": 1} == named(lab, server.port)
    assert {} == lab.lost()


def named_total(lab: Lab, server: MariaDb) -> int:
    """
    Return how many requests the server has been seen to serve.
    """
    return sum(one.requests for one in lab.series() if one.port == server.port)
