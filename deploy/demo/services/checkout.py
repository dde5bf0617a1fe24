"""
Takes an order: prices the cart, charges for it, writes it down.
"""

from __future__ import annotations

import asyncio
import json
import os
from typing import TYPE_CHECKING, Any

import asyncpg
from aiohttp import ClientSession, web

from deploy.demo.services.common import client, new_application, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def stores(app: web.Application) -> AsyncIterator[None]:
    """
    Connect to the database, and open the client for the other services.
    """
    host, _, port = app["state"].peer("postgres").rpartition(":")
    for _ in range(100):
        try:
            pool = await asyncpg.create_pool(
                host=host, port=int(port), user="meshlens", password=os.environ["DEMO_PASSWORD"], database="postgres",
                min_size=1, max_size=4, command_timeout=5,
            )  # fmt: skip
            await pool.execute(
                "create table if not exists purchase (id bigserial primary key, buyer text not null, total integer)"
            )
            break
        except (OSError, asyncpg.PostgresError):
            await asyncio.sleep(0.2)
    app["pool"] = pool
    async with client() as session:
        app["client"] = session
        yield
    await pool.close()


async def ask(app: web.Application, peer: str, path: str, body: object = None) -> Any:
    """
    Return the JSON that *peer* answers, nothing when it does not run.
    """
    address = app["state"].peer(peer)
    if not address:
        return None
    session: ClientSession = app["client"]
    method = "GET" if body is None else "POST"
    async with session.request(method, f"http://{address}{path}", json=body) as response:
        response.raise_for_status()
        return json.loads(await response.read())


async def order(request: web.Request) -> web.Response:
    """
    Turn a cart into an order.
    """
    app, buyer = request.app, request.match_info["buyer"]
    cart = await ask(app, "cart", f"/carts/{buyer}") or {"items": []}
    priced = await ask(app, "pricing", "/price", cart)
    total = priced["total_cents"] if priced else 100 * len(cart["items"])
    await ask(app, "payment", "/charges", {"buyer": buyer, "cents": total})
    async with app["pool"].acquire() as connection, connection.transaction():
        number = await connection.fetchval(
            "insert into purchase (buyer, total) values ($1, $2) returning id", buyer, total
        )
        await connection.execute("delete from purchase where id % 1000 = 0 and total < 0")
    return web.json_response({"order": number, "total_cents": total}, status=201)


application = new_application()
application.cleanup_ctx.append(stores)
application.add_routes([web.post("/orders/{buyer}", order)])

if __name__ == "__main__":
    serve(application)
