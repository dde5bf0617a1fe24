"""
TLS: handshakes and turns are counted; where the library can be hooked the plain text is, once, under its protocol.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from shared.messages.kernel import Outcome, Protocol
from tests.kernel.l7.conftest import chosen_protocols
from tests.kernel.l7.lab import DEADLINE_S, PROGRAM_S, accepts, free_port, requests_of
from tests.kernel.l7.secure import Secure, handshakes, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.probe_manager.kernel import Kernel
    from shared.messages.kernel import L7Series
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

KEPT, FAILED, LARGE, SINGLE = 101, 7, 13, 17

PYTHON: Final = f"""
import http.client, ssl, sys
port, authority = int(sys.argv[1]), sys.argv[2]
context = ssl.create_default_context(cafile=authority)
def ask(client, path, status):
    client.request("GET", path); answer = client.getresponse(); body = answer.read()
    assert status == answer.status, answer.status
    return body
sys.stdin.readline() if len(sys.argv) > 3 else None
client = http.client.HTTPSConnection("localhost", port, context=context)
for _ in range({KEPT}): ask(client, "/x", 200)
for _ in range({FAILED}): ask(client, "/bad", 503)
for _ in range({LARGE}): assert 300_000 == len(ask(client, "/big", 200))
client.close()
for number in range({SINGLE}):
    client = http.client.HTTPSConnection("localhost", port, context=context)
    ask(client, f"/missing/{{number}}", 404)
    client.close()
"""
EXPECTED: Final = {200: KEPT + LARGE, 503: FAILED, 404: SINGLE}
PROXY: Final = """
import select
inner, _ = listener.accept(); inner.recv(4096)
outer = socket.create_connection(("127.0.0.1", {port}))
inner.sendall(b"HTTP/1.1 200 Connection established\\r\\n\\r\\n")
other = {{inner: outer, outer: inner}}
while True:
    for ready in select.select(list(other), [], [])[0]:
        data = ready.recv(65536)
        if not data: raise SystemExit
        other[ready].sendall(data)
"""


@pytest.fixture
def secure(hooked: Kernel, lab: Lab) -> Iterator[Secure]:
    """
    Hooks in private copies of the libraries.
    """
    made = Secure(lab, hooked)
    yield made
    made.close()


@pytest.fixture
def bound(hooked: Kernel, lab: Lab) -> Iterator[Secure]:
    """
    Hooks in single processes.
    """
    made = Secure(lab, hooked, one_by_one=True)
    yield made
    made.close()


def finished(program: subprocess.Popen[bytes]) -> None:
    """
    Wait for a program that must succeed.
    """
    assert 0 == program.wait(PROGRAM_S)


def maps(program: subprocess.Popen[bytes], library: str) -> bool:
    """
    Return whether *program* has mapped *library*.
    """
    return library in Path(f"/proc/{program.pid}/maps").read_text(encoding="utf-8")


def until(lab: Lab, found: Callable[[], object], expected: object) -> None:
    """
    Wait until *found* is what is expected: a library's call ends a little after its bytes have arrived elsewhere.
    """
    with contextlib.suppress(AssertionError):
        lab.until(lambda: found() == expected, "all to be counted")
    assert expected == found()


def test_both_ends_over_openssl(secure: Secure) -> None:
    """
    A Python client and nginx: every request is counted at both ends, kept alive or not, small and large.
    """
    port = secure.nginx()
    finished(secure.run(sys.executable, "-c", PYTHON, port, secure.certificate))

    lab = secure.lab
    until(lab, lambda: tally(lab.served(port, Protocol.HTTP1)), EXPECTED)
    until(lab, lambda: tally(lab.called(port, Protocol.HTTP1)), EXPECTED)
    assert LARGE * 300_000 < sum(one.response_bytes for one in lab.called(port, Protocol.HTTP1))
    assert 1 + SINGLE == handshakes(lab.served(port, Protocol.TLS)) == handshakes(lab.called(port, Protocol.TLS))
    assert [] == lab.served(port, Protocol.UNKNOWN) + lab.called(port, Protocol.UNKNOWN)
    assert {} == lab.lost()


def test_hooks_of_single_processes(bound: Secure) -> None:
    """
    With hooks bound to processes the same is counted, though the file is mapped by others too.
    """
    port = bound.nginx()
    client = bound.run(sys.executable, "-c", PYTHON, port, bound.certificate, "wait")
    bound.lab.until(lambda: maps(client, "libssl"), "the client to load its library")
    bound.look()
    assert client.stdin is not None
    client.stdin.write(b"\n")
    client.stdin.flush()
    finished(client)

    until(bound.lab, lambda: tally(bound.lab.served(port, Protocol.HTTP1)), EXPECTED)
    until(bound.lab, lambda: tally(bound.lab.called(port, Protocol.HTTP1)), EXPECTED)
    assert {} == bound.lab.lost()


def test_what_is_not_hooked_is_counted_in_turns(secure: Secure) -> None:
    """
    Without the plain text there is one handshake for each connection, and one turn for each request.
    """
    port = secure.nginx()
    secure.encrypted.close()
    finished(secure.run(sys.executable, "-c", PYTHON, port, secure.certificate))

    turns = sum(EXPECTED.values())
    for series in (secure.lab.served(port, Protocol.TLS), secure.lab.called(port, Protocol.TLS)):
        assert sorted([1 + SINGLE, turns]) == sorted(one.requests for one in series)
        assert {Outcome.OK} == {one.outcome for one in series}
    assert {} == secure.lab.lost()


def test_curl_asks(secure: Secure) -> None:
    """
    curl, which gives its library a way to the socket of its own, is counted over one connection and over many.
    """
    port = secure.nginx()
    address = f"https://localhost:{port}/x"
    together = [word for _ in range(103) for word in ("-o", "/dev/null", address)]
    finished(secure.run("curl", "-s", "--http1.1", "--cacert", secure.certificate, *together))
    for _ in range(11):
        finished(secure.run("curl", "-s", "--http1.1", "--cacert", secure.certificate, "-o", "/dev/null", address))

    until(secure.lab, lambda: tally(secure.lab.called(port, Protocol.HTTP1)), {200: 114})
    until(secure.lab, lambda: tally(secure.lab.served(port, Protocol.HTTP1)), {200: 114})
    assert 12 == handshakes(secure.lab.called(port, Protocol.TLS))
    assert {} == secure.lab.lost()


def test_inside_a_tunnel(secure: Secure) -> None:
    """
    Behind a CONNECT that a proxy grants the client's requests are seen too, beside the CONNECT itself.
    """
    port = secure.nginx()
    proxy = secure.lab.serve(PROXY.format(port=port))
    address = f"https://localhost:{port}/x"
    together = [word for _ in range(103) for word in ("-o", "/dev/null", address)]
    words = ["--http1.1", "-x", f"http://127.0.0.1:{proxy}", "--cacert", secure.certificate]
    finished(secure.run("curl", "-s", *words, *together))

    def called() -> dict[bool, int]:
        return {one.encrypted: one.requests for one in secure.lab.called(proxy, Protocol.HTTP1)}

    until(secure.lab, called, {False: 1, True: 103})
    until(secure.lab, lambda: tally(secure.lab.served(port, Protocol.HTTP1)), {200: 103})


def built(protocol: str) -> bool:
    """
    Return whether the framed protocol is among those that were built.
    """
    chosen = chosen_protocols()
    return chosen is None or protocol in chosen


@pytest.mark.skipif(not built("http2"), reason="optional: this run was told to do without HTTP/2")
def test_http2_inside_tls(secure: Secure) -> None:
    """
    What both ends agree on by ALPN is read as HTTP/2: every request of one connection, at both ends.
    """
    port = secure.nginx(http2=True)
    address = f"https://localhost:{port}/x"
    together = [word for _ in range(103) for word in ("-o", "/dev/null", address)]
    finished(secure.run("curl", "-s", "--http2", "--cacert", secure.certificate, *together))

    until(secure.lab, lambda: tally(secure.lab.called(port, Protocol.HTTP2)), {200: 103})
    until(secure.lab, lambda: tally(secure.lab.served(port, Protocol.HTTP2)), {200: 103})
    assert 1 == handshakes(secure.lab.called(port, Protocol.TLS))
    assert {} == secure.lab.lost()


def test_a_certificate_that_is_not_trusted(secure: Secure) -> None:
    """
    A handshake that the client breaks off is the server's failure, and no request.
    """
    port = secure.nginx()
    for version in ("--tls-max 1.2", "--tlsv1.3"):
        for _ in range(5):
            assert 60 == secure.run("curl", "-s", *version.split(), f"https://localhost:{port}/x").wait(PROGRAM_S)

    found = secure.lab.called(port, Protocol.TLS)
    assert {(Outcome.SERVER_ERROR, 48)} == {(one.outcome, one.status) for one in found}
    assert 10 == requests_of(found) == requests_of(secure.lab.served(port, Protocol.TLS))
    assert [] == secure.lab.called(port, Protocol.HTTP1)
    assert {} == secure.lab.lost()


def test_a_connection_that_was_open_before(secure: Secure) -> None:
    """
    Hooks that come in the middle of a connection see its requests from then on.
    """
    port = secure.nginx()
    secure.encrypted.close()
    context = ssl.create_default_context(cafile=secure.certificate)
    with (
        socket.create_connection(("127.0.0.1", port), DEADLINE_S) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as client,
    ):
        for times in (5, 11):
            for _ in range(times):
                client.sendall(b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n")
                got = b""
                while not got.endswith(b"hello"):
                    got += client.recv(4096)
            secure.look()
            if times == 5:
                secure.encrypted.look({})
                secure.look()

    until(secure.lab, lambda: tally(secure.lab.served(port, Protocol.HTTP1)), {200: 11})
    assert {} == secure.lab.lost()


def test_redis_over_tls(secure: Secure) -> None:
    """
    Redis inside TLS is read as Redis, pipelined too, at both ends.
    """
    port, folder = free_port(), secure.lab.folder
    words = ["--save", "", "--dir", folder, "--bind", "127.0.0.1", "--port", "0", "--tls-auth-clients", "no"]
    files = ["--tls-cert-file", secure.certificate, "--tls-key-file", secure.key]
    secure.run("redis-server", *words, "--tls-port", port, *files, "--tls-ca-cert-file", secure.certificate)
    secure.lab.until(lambda: accepts(port), "redis-server")
    secure.look()
    for pipelined in (1, 16):
        words = ["-p", port, "--tls", "--cacert", secure.certificate, "-n", "1009", "-c", "3", "-t", "set", "-q"]
        finished(secure.run("redis-benchmark", *words, "-P", pipelined))

    whole = 1009 + -(-1009 // 16) * 16
    expected = {0: whole + 4}  # it asks for the configuration twice each time
    until(secure.lab, lambda: tally(secure.lab.served(port, Protocol.REDIS)), expected)
    until(secure.lab, lambda: tally(secure.lab.called(port, Protocol.REDIS)), expected)
    assert {} == secure.lab.lost()


@pytest.mark.skipif(not shutil.which("gnutls-cli"), reason="there is no gnutls-cli: apt-get install gnutls-bin")
def test_gnutls_asks(secure: Secure) -> None:
    """
    A client of GnuTLS is counted request by request.
    """
    port = secure.nginx()
    holder = secure.run(
        "gnutls-serv", "-p", free_port(), "--x509certfile", secure.certificate, "--x509keyfile", secure.key
    )
    secure.lab.until(lambda: maps(holder, "libgnutls"), "the library to be mapped")
    secure.look()
    for _ in range(13):
        client = secure.run("gnutls-cli", "--x509cafile", secure.certificate, "-p", port, "localhost")
        assert client.stdin is not None
        client.communicate(b"GET /x HTTP/1.0\r\nHost: localhost\r\n\r\n" + b"", timeout=DEADLINE_S)

    until(secure.lab, lambda: tally(secure.lab.served(port, Protocol.HTTP1)), {200: 13})
    until(secure.lab, lambda: tally(secure.lab.called(port, Protocol.HTTP1)), {200: 13})
    assert 13 == requests_of(secure.lab.called(port, Protocol.TLS))
    assert {} == secure.lab.lost()


POSTGRES: Final = Path("/usr/lib/postgresql/15/bin")
STATEMENTS: Final = "\\set a random(1, 1000)\nselect :a + 1;\nselect count(*) from pg_class where oid = :a;\n"


@pytest.mark.skipif(not (POSTGRES / "postgres").exists(), reason="optional: no postgres: apt-get install postgresql")
def test_postgresql_over_tls(secure: Secure) -> None:
    """
    PostgreSQL goes over to TLS when asked, and each statement inside is counted as pgbench counts it, at both ends.
    """
    lab, port, data = secure.lab, free_port(), secure.lab.folder / "data"
    data.mkdir(mode=0o700)
    shutil.copy(secure.key, data / "key.pem")
    (data / "key.pem").chmod(0o600)
    for path in (data, data / "key.pem"):
        shutil.chown(path, "nobody")
    words = ["-D", str(data / "db"), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(
        [POSTGRES / "initdb", *words], user="nobody", cwd=data, check=True, capture_output=True, timeout=PROGRAM_S
    )
    settings = ["ssl=on", f"ssl_cert_file={secure.certificate}", f"ssl_key_file={data}/key.pem", "fsync=off"]
    options = [word for setting in settings for word in ("-c", setting)]
    server = [POSTGRES / "postgres", "-D", data / "db", "-p", port, "-k", data, "-c", "listen_addresses=127.0.0.1"]
    lab.run("/usr/bin/env", f"LD_LIBRARY_PATH={secure.libraries}", *server, *options, user="nobody")
    lab.until(lambda: accepts(port), "postgres")
    secure.look()
    (lab.folder / "script").write_text(STATEMENTS)
    ask = ["-h", "127.0.0.1", "-p", port, "-U", "postgres", "-n", "-c", "3", "-t", "101", "-f", lab.folder / "script"]
    finished(secure.run("/usr/bin/env", "PGSSLMODE=require", POSTGRES / "pgbench", *ask, "postgres"))

    def often(series: list[L7Series]) -> list[int]:
        found: dict[int, int] = {}
        for one in [one for one in series if one.encrypted]:
            found[one.endpoint] = found.get(one.endpoint, 0) + one.requests
        return [requests for requests in sorted(found.values()) if requests > 100]

    until(lab, lambda: often(lab.served(port, Protocol.POSTGRESQL)), [303, 303])
    until(lab, lambda: often(lab.called(port, Protocol.POSTGRESQL)), [303, 303])
    assert requests_of(lab.called(port, Protocol.TLS)) == requests_of(lab.served(port, Protocol.TLS)) > 0
    assert {} == lab.lost()
