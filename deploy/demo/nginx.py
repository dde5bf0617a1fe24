"""
The configuration of the two nginx programs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

FRAME: Final = """\
daemon off;
pid {folder}/{name}.pid;
error_log {folder}/{name}.error.log error;
worker_processes 1;
{user}events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 120s;
    upstream next {{
{servers}        keepalive 16;
    }}
    server {{
        listen {listen};
{static}        location / {{
            proxy_pass http://next;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_connect_timeout 2s;
            proxy_read_timeout 8s;
            proxy_next_upstream off;
        }}
    }}
}}
"""
STATIC: Final = """\
        location /static/ {{
            alias {folder}/static/;
        }}
"""
LOGO: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
    '<circle cx="16" cy="16" r="12" fill="none" stroke="currentColor" stroke-width="4"/></svg>\n'
)


def write(folder: Path, name: str, listen: str, servers: list[str], *, static: bool, user: str) -> Path:
    """
    Write the configuration of the program *name* into *folder*, and return its path.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if static:
        (folder / "static").mkdir(exist_ok=True)
        (folder / "static" / "logo.svg").write_text(LOGO, encoding="ascii")
    path = folder / f"{name}.conf"
    path.write_text(
        FRAME.format(
            folder=folder,
            name=name,
            listen=listen,
            user=f"user {user};\n" if user else "",
            servers="".join(f"        server {server} max_fails=0;\n" for server in servers),
            static=STATIC.format(folder=folder) if static else "",
        ),
        encoding="ascii",
    )
    return path
