"""
How long a certificate holds, read from handshakes before TLS 1.3, whatever the library and however the bytes are cut.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from shared.messages.kernel import Outcome, Protocol, Role
from shared.protocols.tls import PROTOCOL
from tests.kernel.l7.lab import DEADLINE_S, accepts, free_port, requests_of

if TYPE_CHECKING:
    from shared.messages.kernel import Sample
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

HOST: Final = "shop.example.test"
ISSUER: Final = (
    "/C=DE/ST=Somewhere on the Way/O=The Authority That Everybody Trusts/OU=Certificates for Shops/CN=Root Two"
)
NGINX_PATH: Final = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
NGINX: Final = """
daemon off; master_process off; pid {folder}/pid; error_log stderr; user root;
events {{ worker_connections 64; }}
http {{
    access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder}; ssl_session_cache shared:all:1m;
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/chain.pem; ssl_certificate_key {folder}/key.pem;
        ssl_protocols TLSv1.2 TLSv1.3; location / {{ return 200 "hello"; }}
    }}
}}
"""
ASK: Final = """
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.maximum_version = ssl.TLSVersion[sys.argv[3]]
with context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname=sys.argv[4]) as one:
    one.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    while one.recv(4096): pass
"""
CAPTURE: Final = Path(__file__).parents[2] / "data" / "tls" / "tls12_certificate.json"
CHANGE: Final = b"\x14\3\3\0\1\1"
REPLAY: Final = """
connection, _ = listener.accept()
asked = {asked}
while asked: asked -= len(connection.recv(asked))
for piece in {pieces!r}: connection.sendall(piece)
while connection.recv(100): pass
"""
HEAR: Final = """
import socket, sys
port, asked, told, size = int(sys.argv[1]), bytes.fromhex(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
connection = socket.create_connection(("127.0.0.1", port))
connection.sendall(asked)
def read(length):
    got = b""
    while len(got) < length: got += connection.recv(length - len(got))
    return got
while told:
    if size: told -= len(connection.recv(min(size, told))); continue
    header = read(5)
    told -= 5 + len(read(int.from_bytes(header[3:], "big")))
connection.sendall(bytes.fromhex("140303000101"))
"""
"""Reads pieces of one size; or, when that is 0, as libraries do: a record's header, then the rest of it."""


class Made(NamedTuple):
    """
    A certificate with its authority's, and from when to when it holds.
    """

    authority: Path
    begins: str
    ends: str


def make(folder: Path, days: int) -> Made:
    """
    Make a certificate of an authority with a long name that holds for so many days.
    """

    def run(*words: object) -> str:
        command = ["openssl", *map(str, words)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=folder).stdout

    run("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", ISSUER, "-keyout", "ca.key", "-out", "ca.pem")
    run("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={HOST}", "-keyout", "key.pem", "-out", "leaf.csr")
    (folder / "names").write_text(f"subjectAltName=DNS:{HOST}\n")
    run("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", days,
        "-extfile", "names", "-out", "leaf.pem")  # fmt: skip
    (folder / "chain.pem").write_text((folder / "leaf.pem").read_text() + (folder / "ca.pem").read_text())
    (folder / "key.pem").chmod(0o644)
    said = run("x509", "-in", "leaf.pem", "-noout", "-dates", "-dateopt", "iso_8601").split("\n")
    begins, ends = (line.partition("=")[2].replace(" ", "T") for line in said[:2])
    return Made(folder / "ca.pem", begins, ends)


def nginx(lab: Lab) -> int:
    """
    Start nginx with the certificate in the laboratory's folder.
    """
    if NGINX_PATH is None:
        pytest.skip("there is no nginx: apt-get install nginx-light")
    port = free_port()
    (lab.folder / "nginx.conf").write_text(NGINX.format(folder=lab.folder, port=port))
    lab.run(NGINX_PATH, "-c", lab.folder / "nginx.conf", "-p", lab.folder)
    lab.until(lambda: accepts(port), "nginx")
    return port


def handshakes(lab: Lab, port: int, roles: tuple[Role, ...] = (Role.SERVER, Role.CLIENT)) -> list[Sample]:
    """
    Return the samples of the handshake at both ends, once it is counted there.
    """
    for role in roles:
        side = lab.served if role is Role.SERVER else lab.called
        lab.until(lambda side=side: requests_of(side(port, Protocol.TLS)) > 0, "the handshake")  # type: ignore[misc]
    found = [one for one in lab.samples() if one.protocol is Protocol.TLS and one.request[:1] == b"\x16"]
    assert sorted(roles) == sorted(one.role for one in found if one.port == port)
    return found


def dates(sample: Sample) -> tuple[str | int | None, ...]:
    """
    Return whose certificate it is and when it begins and ends, as read from what leaves the node.
    """
    found = PROTOCOL.parse(*PROTOCOL.mask(sample.request, sample.response)).attributes
    return tuple(found.get(f"tls.server.{fact}") for fact in ("subject", "not_before", "not_after"))


def test_a_certificate_has_its_dates(lab: Lab) -> None:
    """
    Of a chain with a long issuer, as OpenSSL sends and reads it, both ends tell from when to when it holds.
    """
    made = make(lab.folder, 17)
    port = nginx(lab)
    assert 0 == lab.run(sys.executable, "-c", ASK, port, made.authority, "TLSv1_2", HOST).wait(DEADLINE_S)

    assert [(HOST, made.begins, made.ends)] * 2 == [dates(one) for one in handshakes(lab, port)]
    assert {} == lab.lost()


@pytest.mark.skipif(not shutil.which("gnutls-cli"), reason="there is no gnutls-cli: apt-get install gnutls-bin")
def test_gnutls_reads_it(lab: Lab) -> None:
    """
    So they do when the client is another library's.
    """
    made = make(lab.folder, 17)
    port = nginx(lab)
    words = ["--x509cafile", made.authority, "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.2", "--sni-hostname", HOST]
    client = lab.run("gnutls-cli", *words, "--verify-hostname", HOST, "-p", port, "127.0.0.1")
    client.communicate(b"GET / HTTP/1.0\r\n\r\n", timeout=DEADLINE_S)

    assert [(HOST, made.begins, made.ends)] * 2 == [dates(one) for one in handshakes(lab, port)]
    assert {} == lab.lost()


def test_who_refuses_it_tells_its_dates(lab: Lab) -> None:
    """
    A handshake that fails because the certificate is over says since when.
    """
    made = make(lab.folder, -1)
    port = nginx(lab)
    assert 0 != lab.run(sys.executable, "-c", ASK, port, made.authority, "TLSv1_2", HOST).wait(DEADLINE_S)

    found = handshakes(lab, port)
    assert [(HOST, made.begins, made.ends)] * 2 == [dates(one) for one in found]
    assert [(Outcome.SERVER_ERROR, 45)] * 2 == [(one.outcome, one.status) for one in found]


def test_a_session_that_goes_on_shows_none(lab: Lab) -> None:
    """
    Where the server sends no certificate none is made up of what is encrypted.
    """
    made = make(lab.folder, 17)
    port = nginx(lab)
    context = ssl.create_default_context(cafile=made.authority)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    def ask(session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as plain,
            context.wrap_socket(plain, server_hostname=HOST, session=session) as one,
        ):
            one.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while one.recv(4096):
                pass
            assert one.session_reused == (session is not None)
            return one.session

    with lab.unseen():
        session = ask(None)
    ask(session)

    assert [(None, None, None)] == [dates(one) for one in handshakes(lab, port, (Role.SERVER,))]
    assert {} == lab.lost()


def test_since_1_3_it_is_encrypted(lab: Lab) -> None:
    """
    Under TLS 1.3 nothing is told of the certificate, and nothing is made up.
    """
    made = make(lab.folder, 17)
    port = nginx(lab)
    assert 0 == lab.run(sys.executable, "-c", ASK, port, made.authority, "TLSv1_3", HOST).wait(DEADLINE_S)

    assert [(None, None, None)] * 2 == [dates(one) for one in handshakes(lab, port)]
    assert {} == lab.lost()


def captured() -> tuple[bytes, bytes]:
    """
    Return a ClientHello and the records that answered it.
    """
    content = json.loads(CAPTURE.read_text(encoding="utf-8"))
    return content["request"].encode("latin-1"), content["response"].encode("latin-1")


def in_one_record(flight: bytes) -> bytes:
    """
    Return *flight* with all its messages in one record.
    """
    messages = b""
    while flight:
        end = 5 + int.from_bytes(flight[3:5], "big")
        messages, flight = messages + flight[5:end], flight[end:]
    return b"\x16\3\3" + len(messages).to_bytes(2, "big") + messages


def replayed(lab: Lab, flight: bytes, sent: int, read: int) -> list[Sample]:
    """
    Let a server send *flight* in pieces, and a client read it in others; return the samples, the server's first.
    """
    asked, _ = captured()
    pieces = [flight[at : at + sent] for at in range(0, len(flight), sent)]
    port = lab.serve(REPLAY.format(asked=len(asked), pieces=pieces))
    program = lab.run(sys.executable, "-c", HEAR, port, asked.hex(), len(flight), read)
    assert 0 == program.wait(DEADLINE_S)
    with contextlib.suppress(AssertionError):
        lab.until(lambda: not accepts(port), "the server to end")
    return sorted(handshakes(lab, port), key=lambda one: one.role is Role.CLIENT)


@pytest.mark.parametrize(
    ("sent", "read"), [(1 << 20, 0), (1 << 20, 1 << 20), (5, 0), (1 << 20, 300), (300, 7), (1, 997), (74, 1)]
)
@pytest.mark.parametrize("shape", ["records", "one record"])
def test_cut_anywhere(lab: Lab, sent: int, read: int, shape: str) -> None:
    """
    What is kept is a true beginning of what the server sent, whole where each record came in one piece, never more.
    """
    _, flight = captured()
    if shape == "one record":
        flight = in_one_record(flight)
    server, client = replayed(lab, flight, sent, read)

    truth = PROTOCOL.parse(*captured()).attributes["tls.server.not_after"]
    for sample, whole in ((server, sent > len(flight)), (client, read in (0, 1 << 20))):
        assert flight.startswith(sample.response)
        assert dates(sample)[2] in (None, truth)
        assert not (whole and sent > len(flight)) or (flight, truth) == (sample.response, dates(sample)[2])
    assert {} == lab.lost()


def test_a_long_chain_is_cut(lab: Lab) -> None:
    """
    Of a flight with kilobytes of certificates there is the first kilobyte behind the ServerHello.
    """
    _, flight = captured()
    flight += b"\x16\3\3" + (6000).to_bytes(2, "big") + b"\x0b" + (5996).to_bytes(3, "big") + bytes(5996)
    hello = 5 + int.from_bytes(flight[3:5], "big")

    for sample in replayed(lab, flight, 1 << 20, 0):
        assert flight[: hello + 1023] == sample.response
    assert {} == lab.lost()
