"""
What tests of encrypted traffic share: a certificate, libraries of their own, and hooks in the programs of one test.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.probe_manager.encrypted import Encrypted
from shared.messages.kernel import Protocol
from tests.kernel.l7.lab import PROGRAM_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    from services.probe_manager.kernel import Kernel
    from shared.messages.kernel import L7Series
    from tests.kernel.l7.lab import Lab

LIBRARIES: Final = ("libssl.so.3", "libgnutls.so.30")
"""Copied for each test: a hook in a file that others have mapped would set traps in their processes."""
NGINX: Final = """
daemon off; master_process on; worker_processes 2; error_log stderr; pid {folder}/pid; user root;
events {{ worker_connections 256; }}
http {{
    access_log off; keepalive_requests 100000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
    fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{port} ssl{http2}; ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3; root {folder}/www; location /bad {{ return 503; }}
    }}
}}
"""


class Secure:
    """
    Hooks for the programs of one test.
    """

    def __init__(self, lab: Lab, kernel: Kernel, *, one_by_one: bool = False, kept: bool = False) -> None:
        """
        Declare it; *one_by_one* hooks single processes, not the private copies of the libraries; *kept* hooks stay.
        """
        self.lab: Final = lab
        self._kernel: Final = kernel
        self._one_by_one: Final = one_by_one
        self.kept: Final = kernel.home / "uprobes" if kept else None
        self.encrypted = self.begin()
        self.libraries: Final = lab.folder / "lib"
        self.libraries.mkdir(mode=0o755)
        for name in LIBRARIES:
            found = Path("/usr/lib/x86_64-linux-gnu", name)
            if found.exists():
                shutil.copy(found, self.libraries / name)
        made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        paths = ["-keyout", str(lab.folder / "key.pem"), "-out", str(lab.folder / "cert.pem"), "-days", "2"]
        names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*made, *paths, *names], check=True, capture_output=True, timeout=PROGRAM_S)
        for name in ("cert.pem", "key.pem"):
            (lab.folder / name).chmod(0o644)

    def begin(self) -> Encrypted:
        """
        Return what hooks, with what an earlier one has left.
        """
        programs = self._kernel.probes["tls_l7"].programs
        return Encrypted(lambda: programs, whole_host=not self._one_by_one, kept=self.kept)

    @property
    def certificate(self) -> Path:
        """
        Return the certificate, which is its own authority.
        """
        return self.lab.folder / "cert.pem"

    @property
    def key(self) -> Path:
        """
        Return the key of the certificate.
        """
        return self.lab.folder / "key.pem"

    def run(self, *command: object) -> subprocess.Popen[bytes]:
        """
        Start a program that uses the private copies of the libraries.
        """
        return self.lab.run("/usr/bin/env", f"LD_LIBRARY_PATH={self.libraries}", *command)

    def look(self) -> None:
        """
        Hook the libraries of what runs now.
        """
        found: dict[int, int] = {}
        for keys, values, _ in self._kernel.map("instances").entries():
            pids = struct.iter_unpack("<I", keys)
            found.update((pid, ref[0]) for (pid,), ref in zip(pids, struct.iter_unpack("<II", values), strict=True))
        self.encrypted.look(found)

    def nginx(self, *, http2: bool = False) -> int:
        """
        Start nginx with a hooked library and return its port.
        """
        port, folder = free_port(), self.lab.folder
        (folder / "www").mkdir()
        (folder / "www/x").write_text("hello")
        (folder / "www/big").write_bytes(b"z" * 300_000)
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, http2=" http2" * http2))
        server = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
        self.run(server, "-c", folder / "nginx.conf", "-p", folder)
        self.lab.until(lambda: accepts(port), "nginx")
        self.look()
        return port

    def close(self) -> None:
        """
        Remove the hooks.
        """
        self.encrypted.close()


def tally(series: list[L7Series]) -> dict[int, int]:
    """
    Return requests by status; all of *series* must say that they were encrypted.
    """
    found: dict[int, int] = {}
    for one in series:
        assert one.encrypted == (one.protocol is not Protocol.TLS)
        found[one.status] = found.get(one.status, 0) + one.requests
    return found


def handshakes(series: list[L7Series]) -> int:
    """
    Return how many handshakes *series* hold; there must be nothing else of TLS in them.
    """
    assert len({one.endpoint for one in series}) <= 1
    return requests_of(series)
