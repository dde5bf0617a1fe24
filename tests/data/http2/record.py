"""
Records the golden captures beside it: `python -m tests.data.http2.record`.

Needs nginx with HTTP/2, nghttpd, node and curl on the path. What is kept of a connection are the frames of one stream,
as in a sample; but for the case `opening`, which keeps the first bytes of the connection.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.data.record import SPAN, TRACE, Exchange, Proxy, free_port, running, save

NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off; server_tokens off;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder}; uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} http2;
        location / {{ default_type text/plain; return 200 "hello\\n"; }}
        location /orders {{ add_header Set-Cookie "session=s3cr3t-cookie"; return 201 "made"; }}
        location /gone {{ return 404 "no such thing"; }}
        location /broken {{ return 503; }}
        location /moved {{ return 302 /users/1; }}
    }}
}}
"""

NODE = """
const http2 = require('http2');
const server = http2.createServer();
server.on('stream', (stream, headers) => {
  stream.respond({':status': 200, 'content-type': 'application/json', 'x-token': 's3cr3t-header'});
  stream.end('{"card":"4111111111111111"}');
});
server.listen(Number(process.argv[2]), '127.0.0.1');
"""
ASK = """
const http2 = require('http2');
const client = http2.connect('http://127.0.0.1:' + process.argv[2]);
const paths = JSON.parse(process.argv[3]);
function next() {
  if (!paths.length) return client.close();
  const request = client.request({':path': paths.shift(), 'authorization': 'Bearer s3cr3t-token'});
  request.on('close', next).resume().end();
}
next();
"""
SETTINGS, HEADERS, DATA = 4, 1, 0

CASES: list[tuple[str, list[str], dict[str, Any]]] = [
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
    ("not_found", ["/gone/alice@example.org"], {"name": "GET /gone/{id}", "status": 404, "outcome": "CLIENT_ERROR"}),
    ("unavailable", ["/broken"], {"name": "GET /broken", "status": 503, "outcome": "SERVER_ERROR"}),
    ("redirect", ["/moved"], {"name": "GET /moved", "status": 302}),
    ("head", ["-I", "/static/app.js"], {"name": "HEAD /static/app.js", "status": 200}),
]


def together(exchanges: list[Exchange]) -> Exchange:
    """
    Return all that each side said, in one piece.
    """
    return [b"".join(exchange[side] for exchange in exchanges) for side in (0, 1)]


def stream_of(exchange: Exchange, stream: int) -> Exchange:
    """
    Return the frames of one stream.
    """
    kept = []
    for said in exchange:
        at = said.find(b"SM\r\n\r\n") + 6 if said.startswith(b"PRI") else 0
        frames = []
        while at + 9 <= len(said):
            end = at + 9 + int.from_bytes(said[at : at + 3], "big")
            if int.from_bytes(said[at + 5 : at + 9], "big") == stream and said[at + 3] != 8:
                frames.append(said[at:end])
            at = end
        kept.append(b"".join(frames))
    return kept


def curl(port: int, arguments: list[str]) -> None:
    """
    Ask once, with prior knowledge.
    """
    *options, path = arguments
    command = ["curl", "-s", "--http2-prior-knowledge", *options, f"http://127.0.0.1:{port}{path}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=10)


def record_nginx(folder: Path) -> None:
    """
    nginx, asked by curl.
    """
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    with running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder):
        for case, arguments, expected in CASES:
            proxy = Proxy(port)
            curl(proxy.port, arguments)
            save("http2", case, stream_of(together(proxy.taken()), 1), expected)
        proxy = Proxy(port)
        curl(proxy.port, ["/users/12345/orders"])
        save("http2", "opening", together(proxy.taken()), {"name": "GET /users/{id}/orders", "status": 200})


def record_node(folder: Path) -> None:
    """
    node, asked by node: three requests of one connection, of which the last two refer to what was said before.
    """
    port = free_port()
    (folder / "serve.js").write_text(NODE)
    (folder / "ask.js").write_text(ASK)
    with running(["node", str(folder / "serve.js"), str(port)], port, folder):
        proxy = Proxy(port)
        paths = '["/carts/4111111111111111/items", "/carts/7?token=s3cr3t", "/login/alice@example.org"]'
        subprocess.run(["node", str(folder / "ask.js"), str(proxy.port), paths], check=True, timeout=20)
        exchange = together(proxy.taken())
    for stream, case, name in (
        (1, "node", "/carts/{id}/items"),
        (3, "node_again", "/carts/{id}"),
        (5, "node_third", "/login/{id}"),
    ):
        expected = {"name": f"GET {name}", "status": 200}
        save("http2", case, stream_of(exchange, stream), expected)


def record_nghttpd(folder: Path) -> None:
    """
    nghttpd, asked by curl for what it does not have.
    """
    port = free_port()
    with running(["nghttpd", "--no-tls", "-d", str(folder), str(port)], port, folder):
        proxy = Proxy(port)
        curl(proxy.port, ["-H", "x-api-key: s3cr3t-key", "/reports/2024-06"])
        expected = {"name": "GET /reports/{id}", "status": 404, "outcome": "CLIENT_ERROR"}
        save("http2", "nghttpd", stream_of(together(proxy.taken()), 1), expected)


if __name__ == "__main__":
    for record in (record_nginx, record_node, record_nghttpd):
        with tempfile.TemporaryDirectory() as name:
            record(Path(name))
