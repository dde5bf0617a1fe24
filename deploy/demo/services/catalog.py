"""
What the shop sells: PostgreSQL behind a cache in Redis.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from typing import TYPE_CHECKING

import asyncpg
from aiohttp import web

from deploy.demo.services.common import new_application, serve
from deploy.demo.services.redis_client import Redis

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PRODUCTS = 500
SCHEMA = """
create table if not exists product (id integer primary key, name text not null, price_cents integer not null);
insert into product
select id, 'thing ' || id, 100 + id * 7 % 9000 from generate_series(1, 500) id
on conflict do nothing
"""


async def stores(app: web.Application) -> AsyncIterator[None]:
    """
    Connect to the database and to the cache.
    """
    host, _, port = app["state"].peer("postgres").rpartition(":")
    for _ in range(100):
        try:
            pool = await asyncpg.create_pool(
                host=host, port=int(port), user="meshlens", password=os.environ["DEMO_PASSWORD"], database="postgres",
                min_size=1, max_size=4, command_timeout=5,
            )  # fmt: skip
            async with pool.acquire() as connection, connection.transaction():
                await connection.execute("select pg_advisory_xact_lock(1)")
                await connection.execute(SCHEMA)
            break
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.2)
    app["pool"] = pool
    app["redis"] = Redis(app["state"].peer("redis"))
    yield
    await pool.close()


async def product(request: web.Request) -> web.Response:
    """
    Return one product, from the cache when it is there.
    """
    number = int(request.match_info["id"])
    redis: Redis = request.app["redis"]
    cached, _ = await redis.pipeline([["GET", f"product:{number}"], ["INCR", "views"]])
    if cached and random.random() > 0.2:  # noqa: S311 - no secret
        return web.Response(body=cached, content_type="application/json")
    row = await request.app["pool"].fetchrow("select id, name, price_cents from product where id = $1", number)
    if row is None:
        return web.json_response({"error": "no such product"}, status=404)
    body = json.dumps(dict(row)).encode()
    await redis.pipeline([["SET", f"product:{number}", body.decode(), "EX", "30"]])
    return web.Response(body=body, content_type="application/json")


async def products(request: web.Request) -> web.Response:
    """
    Return a page of the catalogue.
    """
    rows = await request.app["pool"].fetch(
        "select id, name, price_cents from product where id > $1 order by id limit 10",
        int(request.query.get("after", "0")),
    )
    return web.json_response([dict(row) for row in rows])


application = new_application()
application.cleanup_ctx.append(stores)
application.add_routes([web.get("/products", products), web.get("/products/{id:\\d+}", product)])

if __name__ == "__main__":
    serve(application)
