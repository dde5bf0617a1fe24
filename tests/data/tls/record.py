"""
Records the golden captures beside it: `python -m tests.data.tls.record`.

nginx serves with a certificate made for the occasion; it is asked by OpenSSL, GnuTLS and Python.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.data.record import PATIENCE_S, Proxy, free_port, running, save

if TYPE_CHECKING:
    from collections.abc import Callable

HOST: Final = "shop.example.test"
NAMED: Final = {"name": f"handshake {HOST}"}
NGINX: Final = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} ssl http2; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3;
        location / {{ return 200 "s3cr3t\\n"; }}
    }}
}}
"""
ASK: Final = b"GET /s3cr3t HTTP/1.0\r\nAuthorization: Bearer s3cr3t\r\n\r\n"


def openssl(port: int, *words: str) -> None:
    """
    Ask with OpenSSL's client.
    """
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-no_ign_eof", *words]
    subprocess.run(command, input=ASK, capture_output=True, timeout=PATIENCE_S, check=False)


def gnutls(port: int, *words: str) -> None:
    """
    Ask with GnuTLS's client.
    """
    command = ["gnutls-cli", "--insecure", "-p", str(port), "127.0.0.1", *words]
    subprocess.run(command, input=ASK, capture_output=True, timeout=PATIENCE_S, check=False)


def python(port: int) -> None:
    """
    Ask with Python, then say something and wait for the answer.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        contextlib.closing(socket.create_connection(("127.0.0.1", port), PATIENCE_S)) as plain,
        context.wrap_socket(plain, server_hostname=HOST) as secure,
    ):
        secure.sendall(ASK)
        while secure.recv(4096):
            pass


def cases(folder: Path) -> list[tuple[str, int, Callable[[int], None], dict[str, Any]]]:
    """
    Return each case: its name, which exchange of the connection it is, who asks, and what is to be read.
    """
    ticket = str(folder / "ticket")
    two = ("-tls1_2", "-servername", HOST)
    refused = {**NAMED, "status": 40, "outcome": "CLIENT_ERROR"}
    return [
        ("tls13", 0, lambda port: openssl(port, "-servername", HOST, "-alpn", "http/1.1"), NAMED),
        ("tls13_encrypted", 1, lambda port: openssl(port, "-servername", HOST), {"name": "encrypted"}),
        ("tls12_certificate", 0, lambda port: openssl(port, *two), NAMED),
        ("tls12_h2", 0, lambda port: openssl(port, *two, "-alpn", "h2,http/1.1"), NAMED),
        ("no_name", 0, lambda port: openssl(port, "-noservername"), {"name": "handshake"}),
        ("refused", 0, lambda port: openssl(port, *two, "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"), refused),
        ("mail_as_name", 0, lambda port: openssl(port, "-servername", "alice@example.test"), {"name": "handshake"}),
        ("ticket", 0, lambda port: openssl(port, *two, "-sess_out", ticket), NAMED),
        ("resumed", 0, lambda port: openssl(port, *two, "-sess_in", ticket), NAMED),
        ("gnutls", 0, lambda port: gnutls(port, "--sni-hostname", HOST), NAMED),
        ("python", 0, python, NAMED),
    ]


def record(folder: Path) -> None:
    """
    Run the server and every case.
    """
    port = free_port()
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "30",
    ]
    paths = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"), "-subj", f"/O=Shop/CN={HOST}"]
    subprocess.run([*made, *paths], check=True, capture_output=True, timeout=PATIENCE_S)
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port))
    with running(["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")], port, folder):
        for name, index, ask, expected in cases(folder):
            proxy = Proxy(port)
            ask(proxy.port)
            save("tls", name, proxy.taken()[index], expected)


if __name__ == "__main__":
    home = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    try:
        record(home)
    finally:
        shutil.rmtree(home)
