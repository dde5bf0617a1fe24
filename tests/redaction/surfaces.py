"""
Everything in which a running meshlens shows what it saw: messages, rows, files, answers.
"""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import asyncpg
import nats

from deploy.local.api import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nats.aio.msg import Msg

TABLES: Final = """
select format('%I.%I', n.nspname, c.relname) as name from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence <> 't' and n.nspname not in ('pg_catalog', 'information_schema') order by 1
"""
ENTITIES: Final = {"service": "/services", "relation": "/relations", "alert": "/alerts"}
"""What stands in paths, and the list that has it."""
PAGES: Final = 50
"""The most pages of one list; nothing here has as many."""


class Listener:
    """
    Hears every message of a NATS, on whatever subject, in a thread of its own.
    """

    def __init__(self, url: str) -> None:
        self._url: Final = url
        self._loop: Final = asyncio.new_event_loop()
        self._heard: Final[list[tuple[str, bytes]]] = []
        self._started: Final = threading.Event()
        self._thread: Final = threading.Thread(
            target=lambda: self._loop.run_until_complete(self._listen()), daemon=True
        )
        self._stop: Final = asyncio.Event()
        self._thread.start()
        assert self._started.wait(10), "NATS does not answer"

    def close(self) -> dict[str, bytes]:
        """
        Stop, and return what was heard, by subject; the subject is part of it.
        """
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        self._loop.close()
        found: dict[str, list[bytes]] = {}
        for subject, data in self._heard:
            found.setdefault(subject, []).append(subject.encode() + b"\n" + data)
        return {subject: b"\n".join(parts) for subject, parts in found.items()}

    async def _listen(self) -> None:
        client = await nats.connect(self._url, pending_size=1 << 26)

        async def hear(message: Msg) -> None:
            self._heard.append((message.subject, message.data))

        await client.subscribe(">", cb=hear, pending_bytes_limit=1 << 30, pending_msgs_limit=1 << 20)
        await client.flush()
        self._started.set()
        await self._stop.wait()
        await client.drain()


class Stream:
    """
    Reads the live updates, in a thread of its own, until the server ends.
    """

    def __init__(self, api: str) -> None:
        self.read: Final = bytearray()
        self._answer: Final = urllib.request.urlopen(f"{api}{PREFIX}/events", timeout=60)  # noqa: S310 - our own
        threading.Thread(target=self._follow, daemon=True).start()

    def close(self) -> None:
        """
        Read no more.
        """
        self._answer.close()

    def _follow(self) -> None:
        try:
            while more := self._answer.readline():
                self.read.extend(more)
        except (OSError, ValueError, AttributeError):
            return  # closed meanwhile


def rows(dsn: str) -> dict[str, bytes]:
    """
    Return all rows of all tables, by table: every column as text, and what is bytes as it is.
    """
    return asyncio.run(_rows(dsn))


async def _rows(dsn: str) -> dict[str, bytes]:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        found = {}
        for (table,) in await connection.fetch(TABLES):
            content = bytearray()
            for record in await connection.fetch(f"select * from {table}"):
                for value in record.values():
                    content += value if isinstance(value, bytes) else str(value).encode()
                    content += b"\n"
            found[table] = bytes(content)
        return found
    finally:
        await connection.close()


def files(folder: Path, pattern: str = "*") -> dict[str, bytes]:
    """
    Return the content of the files beneath *folder*, by path.
    """
    found = {}
    for path in sorted(folder.rglob(pattern)):
        if path.is_file():
            found[str(path.relative_to(folder))] = path.read_bytes()
    return found


def answers(url: str) -> dict[str, bytes]:
    """
    Return what every GET of the API says, by path: whole lists, and each thing that a list names.
    """
    document = json.loads(get(f"{url}{PREFIX}/openapi.json"))
    found: dict[str, bytes] = {}
    for path, operations in document["paths"].items():
        content = operations.get("get", {}).get("responses", {}).get("200", {}).get("content", {})
        if "get" not in operations or "text/event-stream" in content:
            continue
        limit = any(one["name"] == "limit" for one in operations["get"].get("parameters", []))
        for one in _fill(url, path):
            for number, page in enumerate(_pages(f"{url}{one}", paged=limit)):
                found[f"{one} ({number})"] = page
    return found


def get(url: str) -> bytes:
    """
    Return what *url* answers.
    """
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own
        content: bytes = answer.read()
        return content


def _fill(url: str, path: str) -> Iterator[str]:
    for name, entities in ENTITIES.items():
        if f"{{{name}}}" in path:
            for item in json.loads(get(f"{url}{PREFIX}{entities}?limit=1000"))["items"]:
                yield path.replace(f"{{{name}}}", quote(str(item["id"]), safe=""))
            return
    yield path


def _pages(url: str, *, paged: bool) -> Iterator[bytes]:
    cursor = ""
    for _ in range(PAGES):
        page = get(f"{url}?limit=1000&cursor={quote(cursor, safe='')}" if paged else url)
        yield page
        answer: Any = json.loads(page)
        cursor = answer.get("next") or "" if paged else ""
        if not cursor:
            return
