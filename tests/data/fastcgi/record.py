"""
Records the captures beside it: `python -m tests.data.fastcgi.record`, nginx that asks php-fpm, asked by curl.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.data.record import SPAN, TRACE, Proxy, free_port, running, save

FPM = """
[global]
daemonize = no
error_log = /dev/stderr
[shop]
user = nobody
group = nogroup
listen = 127.0.0.1:{port}
pm = static
pm.max_children = 1
"""
NGINX = """
daemon off; master_process off; pid {folder}/pid; error_log stderr; user root;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
    uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            fastcgi_param SCRIPT_FILENAME {script};
            fastcgi_param QUERY_STRING $query_string;
            fastcgi_param REQUEST_METHOD $request_method;
            fastcgi_param CONTENT_TYPE $content_type;
            fastcgi_param CONTENT_LENGTH $content_length;
            fastcgi_param SCRIPT_NAME /index.php;
            fastcgi_param REQUEST_URI $request_uri;
            fastcgi_param SERVER_NAME shop.example;
            fastcgi_pass 127.0.0.1:{behind};
        }}
    }}
}}
"""
PHP = """<?php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/gone') http_response_code(404);
if ($path === '/broken') { error_log('s3cr3t-log'); http_response_code(500); }
if ($path === '/moved') { header('Location: /elsewhere/s3cr3t'); exit; }
header('Set-Cookie: session=s3cr3t-cookie');
echo "hello s3cr3t-body\\n";
"""
CASES: list[tuple[str, list[str], dict[str, Any]]] = [
    ("get", ["/users/12345/orders"], {"name": "GET /users/{id}/orders", "status": 200}),
    ("query", ["/search?q=s3cr3t-query&page=2"], {"name": "GET /search", "status": 200}),
    (
        "post",
        [
            *("-H", "Authorization: Bearer s3cr3t-token", "-b", "session=s3cr3t-cookie"),
            *("-H", "Content-Type: application/json", "-d", '{"card":"4111111111111111"}', "/orders"),
        ],
        {"name": "POST /orders", "status": 200},
    ),
    (
        "traced",
        ["-H", f"traceparent: 00-{TRACE}-{SPAN}-01", "/users/7"],
        {"name": "GET /users/{id}", "status": 200, "trace_id": TRACE, "parent_span_id": SPAN},
    ),
    ("not_found", ["/gone?for=alice@example.org"], {"name": "GET /gone", "status": 404, "outcome": "CLIENT_ERROR"}),
    ("failed", ["/broken"], {"name": "GET /broken", "status": 500, "outcome": "SERVER_ERROR"}),
    ("moved", ["/moved"], {"name": "GET /moved", "status": 302}),
    ("mail", ["/reset/alice@example.org"], {"name": "GET /reset/{id}", "status": 200}),
]


def record(folder: Path) -> None:
    """
    Record every case.
    """
    port, front = free_port(), free_port()
    folder.chmod(0o755)
    (folder / "index.php").write_text(PHP)
    (folder / "fpm.conf").write_text(FPM.format(port=port))
    with running(["php-fpm8.2", "-n", "-R", "-y", str(folder / "fpm.conf")], port, folder):
        proxy = Proxy(port)
        content = NGINX.format(folder=folder, port=front, script=folder / "index.php", behind=proxy.port)
        (folder / "nginx.conf").write_text(content)
        with running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], front, folder):
            for case, arguments, expected in CASES:
                *options, path = arguments
                address = f"http://127.0.0.1:{front}{path}"
                subprocess.run(["curl", "-s", *options, address], check=True, stdout=subprocess.DEVNULL, timeout=10)
                time.sleep(0.1)
                save("fastcgi", case, proxy.taken()[0], expected)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        record(Path(made))
