"""
Messages with a secret in every place where applications put one, written out by hand for each protocol.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from shared.messages.kernel import Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


PATHS: Final = (b"4012", b"@", b"eyJ", b"AKIA", b"ghp_", b"9f86", b"MIIE", b"DE89")
"""Secrets that can be told from words of a path; a password of plain words cannot, and has no business there."""


def http(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In paths, queries, headers, cookies, user information and bodies.
    """
    body = b'{"password":"%b"}' % secret
    answer = b"HTTP/1.1 200 OK\r\nSet-Cookie: session=%b\r\nX-Token: %b\r\nContent-Length: %d\r\n\r\n%b"
    answer %= (secret, secret, len(body), body)
    if any(mark in secret for mark in PATHS):
        yield b"GET /reset/%b/now HTTP/1.1\r\nHost: shop\r\n\r\n" % secret, answer
    for line in (
        b"GET /login?user=bob&password=%b HTTP/1.1\r\n",
        b"GET /callback#access_token=%b HTTP/1.1\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Basic %b\r\n",
        b"GET / HTTP/1.1\r\nAuthorization: Bearer %b\r\nProxy-Authorization: %b\r\n",
        b"GET / HTTP/1.1\r\nCookie: a=1; session=%b\r\nX-Api-Key: %b\r\n",
        b"GET / HTTP/1.1\r\nReferer: http://shop/?token=%b\r\n",
        b"GET / HTTP/1.1\r\nX-Forwarded-User: %b\r\nFrom: %b\r\n",
    ):
        yield line.replace(b"%b", secret) + b"Host: shop\r\n\r\n", answer
    yield b"GET http://bob:%b@shop/cart HTTP/1.1\r\n\r\n" % secret.replace(b"/", b"%2F"), answer
    yield b"POST /login HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body), answer


def resp(*words: bytes) -> bytes:
    """
    Return a Redis command.
    """
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def redis(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In passwords, values, scripts, and what comes back.
    """
    answer = b"$%d\r\n%b\r\n" % (len(secret), secret)
    yield resp(b"AUTH", secret), b"-WRONGPASS no such %b\r\n" % secret
    yield resp(b"AUTH", b"bob", secret), b"+OK\r\n"
    yield resp(b"HELLO", b"3", b"AUTH", b"bob", secret), b"%1\r\n" + answer + answer
    yield resp(b"SET", b"session:7", secret), b"+%b\r\n" % secret
    yield resp(b"HSET", b"user:7", b"mail", secret), answer
    yield resp(b"EVAL", b"return '%b'" % secret, b"0", secret), b"*1\r\n" + answer
    yield resp(b"CONFIG", b"SET", b"requirepass", secret), b"+OK\r\n"
    yield resp(b"ACL", b"SETUSER", b"bob", b">" + secret), b"-ERR %b\r\n" % secret
    yield resp(b"PUBLISH", b"news", secret), b":1\r\n"
    yield b"AUTH %b\r\n" % secret, b"+OK\r\n"


def memcached(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In keys, values, opaques, and what comes back.
    """
    size, quoted = len(secret), secret.replace(b" ", b"_")
    value = b"VALUE %b 0 %d\r\n%b\r\nEND\r\n" % (quoted, size, secret)
    yield b"get %b\r\n" % quoted, value
    yield b"set %b 0 0 %d\r\n%b\r\n" % (quoted, size, secret), b"CLIENT_ERROR %b\r\n" % secret
    yield b"ms %b %d O%b\r\n%b\r\n" % (quoted, size, quoted, secret), b"HD O%b\r\n" % quoted
    yield b"mg %b v\r\n" % quoted, b"VA %d k%b\r\n%b\r\n" % (size, quoted, secret)
    yield b"stats detail %b\r\n" % quoted, b"STAT %b %b\r\nEND\r\n" % (quoted, quoted)
    body = b"PLAIN" + b"\0bob\0" + secret
    sasl = struct.pack(">BBHBBHI", 0x80, 0x21, 5, 0, 0, 0, len(body)) + bytes(12) + body
    yield sasl, struct.pack(">BBHBBHI", 0x81, 0x21, 0, 0, 0, 0x20, size) + bytes(12) + secret


SQL: Final = (
    b"select * from users where mail = '%b' and card in ('1', '%b')",
    b"insert into cards values ('%b', E'\\'%b', $$%b$$)",
    b"alter role shop password '%b'",
    b"create user bob identified by '%b'",
    b"set password = '%b' -- %b",
    b"/* %b */ select 1",
)


def postgresql(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In statements, parameters, passwords, rows and errors.
    """
    size = len(secret)
    fields = b"SERROR\0C23505\0Mkey (%b) exists\0D%b\0\0" % (secret, secret)
    error = b"E" + struct.pack("!I", len(fields) + 4) + fields
    row = b"D" + struct.pack("!IHI", size + 10, 1, size) + secret
    for sql in SQL:
        statement = sql.replace(b"%b", secret) + b"\0"
        yield b"Q" + struct.pack("!I", len(statement) + 4) + statement, error
    yield b"p" + struct.pack("!I", size + 5) + secret + b"\0", error
    bind = b"\0\0" + struct.pack("!HHI", 0, 1, size) + secret + b"\0\0"
    yield b"B" + struct.pack("!I", len(bind) + 4) + bind + b"E\0\0\0\x09\0\0\0\0\0S\0\0\0\4", row


def mysql(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In statements, rows and errors.
    """
    error = b"\xff\x26\x04#23000Duplicate entry '%b' for key" % secret
    answer = struct.pack("<I", len(error) | 1 << 24) + error
    for sql in (*SQL, b'select * from users where card = "%b" # %b'):
        statement = b"\3" + sql.replace(b"%b", secret)
        yield struct.pack("<I", len(statement)) + statement, answer


def text(*parts: tuple[str, bytes]) -> bytes:
    """
    Return a BSON document of texts.
    """
    body = b"".join(
        b"\2%b\0" % name.encode() + struct.pack("<i", len(value) + 1) + value + b"\0" for name, value in parts
    )
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def mongodb(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In filters, documents, credentials and errors.
    """

    def message(number: int, answers: int, document: bytes) -> bytes:
        return struct.pack("<iiiii", len(document) + 21, number, answers, 2013, 0) + b"\0" + document

    answer = message(9, 7, text(("errmsg", secret), ("codeName", b"BadValue")))
    for command in (b"find", b"insert", b"saslStart", b"createUser"):
        parts = ((command.decode(), b"users"), ("$db", b"shop"), ("mail", secret), ("pwd", secret))
        yield message(7, 0, text(*parts)), answer


def dubbo(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In arguments, attachments, results and exceptions.
    """
    said = bytes([0x30 | len(secret) >> 8, len(secret) & 0xFF]) + secret
    body = b"\x052.0.2\x0cnet.shop.Pay\x050.0.0\x03pay\x12Ljava/lang/String;" + said + b"H\x05token" + said + b"Z"
    for lead in (b"\x94", b"\x93C\x10java.lang.Failed\x91\x07message\x60"):
        answer = lead + said
        yield (
            b"\xda\xbb\xc2\0" + bytes(8) + struct.pack(">I", len(body)) + body,
            b"\xda\xbb\2\x14" + bytes(8) + struct.pack(">I", len(answer)) + answer,
        )


def thrift(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In arguments, results and exceptions, in both encodings.
    """
    field = b"\x0b\0\1" + struct.pack(">I", len(secret)) + secret + b"\0"
    small = b"\x18" + bytes([len(secret)]) + secret + b"\0"
    for kind in (2, 3):
        yield b"\x80\1\0\1\0\0\0\3pay\0\0\0\1" + field, b"\x80\1\0" + bytes([kind]) + b"\0\0\0\3pay\0\0\0\1" + field
        yield b"\x82\x21\1\3pay" + small, b"\x82" + bytes([kind << 5 | 1]) + b"\1\3pay" + small


def nats(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In credentials, headers and payloads.
    """
    size = len(secret)
    yield b'CONNECT {"verbose":false,"user":"bob","pass":"%b","auth_token":"%b"}\r\n' % (secret, secret), b"+OK\r\n"
    yield b"PUB orders %d\r\n%b\r\n" % (size, secret), b"-ERR '%b'\r\n" % secret
    head = b"NATS/1.0\r\nToken: %b\r\n\r\n" % secret
    yield b"HPUB orders %d %d\r\n%b%b\r\n" % (len(head), len(head) + size, head, secret), b"+OK\r\n"


def unknown(secret: bytes) -> Iterator[tuple[bytes, bytes]]:
    """
    In what nobody recognises.
    """
    yield b"LOGIN bob %b\r\n" % secret, b"welcome %b\r\n" % secret
    yield struct.pack(">IH", len(secret) + 2, 7) + secret, struct.pack(">I", len(secret)) + secret


MESSAGES: Final[dict[Protocol, Callable[[bytes], Iterator[tuple[bytes, bytes]]]]] = {
    Protocol.UNKNOWN: unknown,
    Protocol.HTTP1: http,
    Protocol.REDIS: redis,
    Protocol.MEMCACHED: memcached,
    Protocol.POSTGRESQL: postgresql,
    Protocol.MYSQL: mysql,
    Protocol.MONGODB: mongodb,
    Protocol.DUBBO: dubbo,
    Protocol.THRIFT: thrift,
    Protocol.NATS: nats,
}
