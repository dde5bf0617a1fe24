"""
Asks for <url> <times> times over one connection, and Redis on <port> for as many PINGs; says "ready" and waits for a
line first.
"""

import asyncio
import ssl
import sys
from urllib.parse import urlsplit


async def main() -> None:
    """
    Ask the web server, then Redis.
    """
    url, times, redis = urlsplit(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    context = ssl.create_default_context(cafile=sys.argv[4]) if url.scheme == "https" else None
    print("ready", flush=True)
    sys.stdin.readline()
    reader, writer = await asyncio.open_connection("localhost", url.port, ssl=context)
    for _ in range(times):
        writer.write(f"GET {url.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"hello")
    writer.close()
    reader, writer = await asyncio.open_connection("localhost", redis, ssl=context)
    for _ in range(times):
        writer.write(b"*1\r\n$4\r\nPING\r\n")
        await reader.readuntil(b"+PONG\r\n")
    writer.close()


asyncio.run(main())
