"""
Calls of gRPC with a secret in every place where one may stand.
"""

from __future__ import annotations

from concurrent import futures
from typing import TYPE_CHECKING, Any, NoReturn

import grpc  # type: ignore[import-untyped]  # it has no types of its own

if TYPE_CHECKING:
    from collections.abc import Iterable


class Canary(grpc.GenericRpcHandler):  # type: ignore[misc]  # its base has no types
    """
    Answers what it was asked, or refuses with it.
    """

    def service(self, details: Any) -> Any:
        """
        Return what handles the call.
        """
        return grpc.unary_unary_rpc_method_handler(refuse if details.method.endswith("Refuse") else _repeat)


def refuse(request: bytes, context: Any) -> NoReturn:
    """
    Fail, with what was asked in the message.
    """
    context.set_trailing_metadata((("x-token", request.decode()),))
    context.abort(grpc.StatusCode.NOT_FOUND, f"no such {request.decode()}")
    raise AssertionError  # abort() does not come back


def _repeat(request: bytes, _context: Any) -> bytes:
    return request


def play(secrets: Iterable[bytes]) -> dict[str, str]:
    """
    Call with each of the *secrets*, and return what went wrong.
    """
    server = grpc.server(futures.ThreadPoolExecutor(2), handlers=(Canary(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            for secret in secrets:
                told = (("authorization", f"Bearer {secret.decode()}"), ("x-mail", secret.decode()))
                channel.unary_unary("/canary.Shop/Repeat")(secret, metadata=told, timeout=5)
                try:
                    channel.unary_unary("/canary.Shop/Refuse")(secret, metadata=told, timeout=5)
                except grpc.RpcError as refusal:
                    if refusal.code() is not grpc.StatusCode.NOT_FOUND:
                        return {"grpc": repr(refusal)}
    finally:
        server.stop(1).wait()
    return {}
