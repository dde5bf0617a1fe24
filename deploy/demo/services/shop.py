"""
What buyers talk to: pages made of what the other services know.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from aiohttp import ClientError, ClientSession, web

from deploy.demo.services.common import client, new_application, serve

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


async def clients(app: web.Application) -> AsyncIterator[None]:
    """
    Open the client for the other services.
    """
    async with client() as keeps, client(keeps=False) as closes:
        app["clients"] = {"balancer": keeps, "cart": keeps, "checkout": closes}
        yield


async def ask(app: web.Application, method: str, peer: str, path: str) -> Any:
    """
    Return the JSON that *peer* answers.

    Raises:
        HTTPBadGateway: it fails, or does not answer.
    """
    session: ClientSession = app["clients"][peer]
    try:
        async with session.request(method, f"http://{app['state'].peer(peer)}{path}") as response:
            content = await response.read()
            if response.status >= 500:
                raise web.HTTPBadGateway(text=f"{peer} failed")
            return json.loads(content)
    except (ClientError, TimeoutError, OSError) as error:
        raise web.HTTPBadGateway(text=f"{peer}: {type(error).__name__}") from error


async def home(request: web.Request) -> web.Response:
    """
    Return the first page.
    """
    return web.json_response(await ask(request.app, "GET", "balancer", "/products?after=0"))


async def product(request: web.Request) -> web.Response:
    """
    Return the page of a product.
    """
    return web.json_response(await ask(request.app, "GET", "balancer", f"/products/{request.match_info['id']}"))


async def add(request: web.Request) -> web.Response:
    """
    Put a product into the cart.
    """
    buyer, number = request.match_info["buyer"], request.match_info["id"]
    return web.json_response(await ask(request.app, "POST", "cart", f"/carts/{buyer}/{number}"))


async def buy(request: web.Request) -> web.Response:
    """
    Order what is in the cart.
    """
    answer = await ask(request.app, "POST", "checkout", f"/orders/{request.match_info['buyer']}")
    return web.json_response(answer, status=201)


application = new_application()
application.cleanup_ctx.append(clients)
application.add_routes(
    [
        web.get("/shop/", home),
        web.get("/shop/products/{id:\\d+}", product),
        web.post("/shop/carts/{buyer}/{id:\\d+}", add),
        web.post("/shop/orders/{buyer}", buy),
    ]
)

if __name__ == "__main__":
    serve(application)
