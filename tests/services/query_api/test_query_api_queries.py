"""
The SQL of query-api fits the schema.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg
import pytest

from services.query_api.store import QUERIES

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.mesh


@pytest.mark.parametrize("name", sorted(QUERIES))
async def test_every_query_fits_the_schema(name: str, service_module_dsn: Callable[[str], str]) -> None:
    """
    A query prepares with query-api's own role, so its tables, columns, types and rights are there.
    """
    connection = await asyncpg.connect(service_module_dsn("query-api"))
    try:
        statement = await connection.prepare(QUERIES[name])
        columns = [attribute.name for attribute in statement.get_attributes()]
    finally:
        await connection.close()

    assert columns
    assert sorted(set(columns)) == sorted(columns)


async def test_the_role_cannot_write(service_module_dsn: Callable[[str], str]) -> None:
    """
    query-api's role may read and nothing else.
    """
    connection = await asyncpg.connect(service_module_dsn("query-api"))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("delete from services")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("update alerts set silenced = true")
    finally:
        await connection.close()
