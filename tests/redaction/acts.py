"""
What applications say to real servers, with a secret in every place where one may stand: one act for each server.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import warnings
from typing import TYPE_CHECKING, Any, Final

import asyncpg
import clickhouse_driver  # type: ignore[import-untyped]  # it has no types of its own
import dns.message
import dns.name
import dns.query
import pika
import pymysql  # type: ignore[import-untyped]  # it has no types of its own

from shared.messages.kernel import Protocol
from tests.data.ldap.server import person
from tests.data.mqtt.record import packet, text
from tests.redaction.messages import MESSAGES, PATHS, SQL

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # ldap3 uses names that pyasn1 wants to get rid of
    import ldap3  # type: ignore[import-untyped]  # it has no types of its own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.redaction.stage import Stage

PATIENCE_S: Final = 5.0
ANSWER_S: Final = 0.3
"""How long a server may think; some of what it is told it does not answer."""


def can_be_told(secret: bytes) -> bool:
    """
    Return whether *secret* can be told from the words that name things.
    """
    return any(mark in secret for mark in PATHS)


def word(secret: bytes) -> str:
    """
    Return *secret* as one word of a name, or another word when nobody could tell it from a name.
    """
    return secret.decode().replace("/", "_") if can_be_told(secret) else "someone"


def say(port: int, *messages: bytes, secure: bool = False) -> bytes:
    """
    Say *messages* on a connection of their own, one after the other, and return what is answered.
    """
    heard = b""
    with contextlib.suppress(OSError), contextlib.ExitStack() as held:
        connection = held.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
        if secure:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection = held.enter_context(context.wrap_socket(connection))
        connection.settimeout(ANSWER_S)
        for message in messages:
            connection.sendall(message)
            with contextlib.suppress(TimeoutError):
                heard += connection.recv(65536)
    return heard


def http(stage: Stage, secret: bytes) -> None:
    """
    HTTP of an nginx, plain and over TLS, and what it asks of php-fpm.
    """
    requests = [request for request, _ in MESSAGES[Protocol.HTTP1](secret)]
    behind = [request.replace(b" /", b" /php/", 1) for request in requests]
    for request in (*requests, *behind, b"GET /canary-shop HTTP/1.1\r\nHost: shop\r\n\r\n"):
        say(stage.ports["http"], request)
        say(stage.ports["https"], request, secure=True)


def http2(stage: Stage, secret: bytes) -> None:
    """
    HTTP/2 of an nginx, plain and over TLS.
    """
    said = secret.decode()
    words = ["-H", f"authorization: Bearer {said}", "-H", f"cookie: session={said}", "-H", f"x-key: {said}"]
    paths = [f"/reset/{word(secret)}/now", f"/login?password={said.replace('&', '%26').replace(' ', '+')}"]
    for base, how in ((f"http://127.0.0.1:{stage.ports['http2']}", "--http2-prior-knowledge"),
                      (f"https://127.0.0.1:{stage.ports['https']}", "--http2")):  # fmt: skip
        found = shutil.which("curl")
        assert found, "curl is not installed"
        targets = [base + path for path in paths]
        subprocess.run([found, "-sk", "-m", "5", how, *words, "-d", f"pwd={said}", *targets], check=False,
                       capture_output=True, timeout=20)  # fmt: skip


async def _postgresql(port: int, secret: str) -> None:
    with contextlib.suppress(asyncpg.PostgresError):
        await asyncpg.connect(host="127.0.0.1", port=port, user="shop", password=secret, database="shop", timeout=5)
    connection = await asyncpg.connect(
        host="127.0.0.1", port=port, user="meshlens", password="Tr0ub4dor&3", database="postgres", timeout=5
    )
    try:
        await connection.execute("create table if not exists canary_orders (mail text primary key)")
        for statement in (*(sql.decode().replace("%b", secret) for sql in SQL), f"notify news, '{secret}'"):
            with contextlib.suppress(asyncpg.PostgresError):
                await connection.execute(statement)
        for _ in "ab":  # the second time it is there already
            with contextlib.suppress(asyncpg.PostgresError):
                await connection.fetch("insert into canary_orders values ($1) returning mail", secret)
        with contextlib.suppress(asyncpg.PostgresError):
            await connection.execute(f'select "{word(secret.encode())}" from canary_orders')
    finally:
        await connection.close()


def postgresql(stage: Stage, secret: bytes) -> None:
    """
    SQL of PostgreSQL: literals, parameters, names, passwords, rows, errors, notifications.
    """
    asyncio.run(_postgresql(stage.ports["postgresql"], secret.decode()))


def mysql(stage: Stage, secret: bytes) -> None:
    """
    SQL of MariaDB: literals, statements prepared and not, passwords, rows, errors.
    """
    said = secret.decode()
    with contextlib.suppress(pymysql.Error):
        stage.mariadb.connect(password=said)
    with contextlib.closing(stage.mariadb.connect()) as connection, connection.cursor() as cursor:
        quoted = said.replace("'", "")
        prepared = (
            f"prepare one from 'select ? from orders where note = \"{quoted}\"'",
            f"set @secret = '{quoted}'",
            "execute one using @secret",
            f"select '{quoted}' as note",
            f"insert into orders values ('{said}')",
        )
        for statement in (*(sql.decode().replace("%b", said) for sql in SQL), *prepared):
            with contextlib.suppress(pymysql.Error):
                cursor.execute(statement.replace("set password =", "set password for nobody ="))


def redis(stage: Stage, secret: bytes) -> None:
    """
    Commands of Redis: passwords, keys, values, scripts.
    """
    for request, _ in MESSAGES[Protocol.REDIS](secret):
        say(stage.ports["redis"], request)
    key = word(secret).encode()
    say(stage.ports["redis"], b"GET user:%b\r\n" % key, b"*2\r\n$3\r\nGET\r\n$%d\r\nuser:%b\r\n" % (len(key) + 5, key))


def memcached(stage: Stage, secret: bytes) -> None:
    """
    Commands of Memcached: keys and values.
    """
    for request, _ in MESSAGES[Protocol.MEMCACHED](secret):
        say(stage.ports["memcached"], request)


def mqtt(stage: Stage, secret: bytes) -> None:
    """
    Packets of a mosquitto: credentials, wills, topics, payloads.
    """
    name = secret.decode()
    will = text(f"wills/{word(secret)}") + text(name)
    connect = packet(0x10, text("MQTT") + b"\4\xc6\0\x3c" + text(name) + will + text(name) + text(name))
    topic = text(f"users/{word(secret)}/mail")
    said = [packet(0x82, b"\0\1" + topic + b"\0"), packet(0x30, topic + secret), packet(0x32, topic + b"\0\2" + secret)]
    say(stage.ports["mqtt"], connect, *said, packet(0x30, text("canary/light") + b"on"))


def nats(stage: Stage, secret: bytes) -> None:
    """
    NATS: credentials, subjects, headers, payloads.
    """
    for request, _ in MESSAGES[Protocol.NATS](secret):
        say(stage.ports["nats"], request)
    subject = b"users.%b.mail" % word(secret).encode().replace(b" ", b"_")
    connect = b'CONNECT {"verbose":false,"headers":true,"pass":"%b"}\r\n' % secret
    said = b"SUB %b 1\r\nPUB %b %d\r\n%b\r\nPUB canary.light 2\r\non\r\nPING\r\n" % (
        subject,
        subject,
        len(secret),
        secret,
    )
    say(stage.ports["nats"], connect, said)


def amqp(stage: Stage, secret: bytes) -> None:
    """
    RabbitMQ: credentials, queues, routing keys, headers, bodies.
    """
    name = secret.decode()
    with contextlib.suppress(pika.exceptions.AMQPError):
        stage.rabbitmq.connect(credentials=pika.PlainCredentials(word(secret), name))
    with contextlib.closing(stage.rabbitmq.connect(client_properties={"connection_name": name})) as connection:
        channel = connection.channel()
        channel.queue_declare(f"canary.{word(secret)}")
        told = pika.BasicProperties(headers={"token": name}, user_id=None, reply_to=name, message_id=name)
        channel.basic_publish("", f"canary.{word(secret)}", secret, told)
        channel.basic_publish("amq.topic", f"users.{word(secret)}.mail", secret, told)
        channel.basic_get(f"canary.{word(secret)}", auto_ack=True)
        channel.basic_consume(f"canary.{word(secret)}", lambda *_: None, consumer_tag=name)
        with contextlib.suppress(pika.exceptions.AMQPError):
            channel.queue_declare(f"nobody.{word(secret)}", passive=True)


def ldap(stage: Stage, secret: bytes) -> None:
    """
    Operations of slapd: names, passwords, filters, attributes.
    """
    name = secret.decode()
    server = ldap3.Server("127.0.0.1", stage.ports["ldap"], get_info=ldap3.NONE)
    ldap3.Connection(server, f"uid={name},dc=shop", name).bind()
    client = ldap3.Connection(server, "cn=admin,dc=shop", "s3cr3t-password")
    client.bind()
    client.add("dc=shop", ["dcObject", "organization"], {"o": "shop"})
    client.add(*person(word(secret)))
    client.search("dc=shop", f"(mail={word(secret)})", attributes=["*"])
    client.search(f"uid={word(secret)},dc=shop", "(cn=*)", "BASE")
    client.compare(f"uid={word(secret)},dc=shop", "userPassword", name)
    client.modify(f"uid={word(secret)},dc=shop", {"userPassword": [("MODIFY_REPLACE", [name])]})
    client.unbind()


def clickhouse(stage: Stage, secret: bytes) -> None:
    """
    Statements of ClickHouse: literals, passwords, rows, errors.
    """
    said, port = secret.decode(), stage.ports["clickhouse"]
    for password in (said, "s3cr3t"):
        client = clickhouse_driver.Client("127.0.0.1", port, password=password, client_name=word(secret))
        for sql in (
            f"select '{said}' as canary_note",
            f"select * from nobody where mail = '{said}'",
            f'select "{word(secret)}"',
        ):
            with contextlib.suppress(clickhouse_driver.errors.Error, EOFError, OSError):
                client.execute(sql)
        client.disconnect()


def domain_names(stage: Stage, secret: bytes) -> None:
    """
    Questions of dnsmasq: labels, over datagrams and streams.
    """
    labels = [word(secret).encode()[:63], b"canary", b"ok", b"test", b""]
    for suffix in (labels, labels[1:]):
        question = dns.message.make_query(dns.name.Name(suffix), "A")
        for ask in (dns.query.udp, dns.query.tcp):
            ask(question, "127.0.0.1", PATIENCE_S, stage.ports["dns"])


def curtain(stage: Stage) -> None:
    """
    Say the last word: when it is stored, all that came before is.
    """
    say(stage.ports["http"], b"GET /canary-curtain HTTP/1.1\r\nHost: shop\r\n\r\n")


ACTS: Final[dict[str, Callable[[Stage, bytes], None]]] = {
    act.__name__: act
    for act in (http, http2, postgresql, mysql, redis, memcached, mqtt, nats, amqp, ldap, clickhouse, domain_names)
}


def play(stage: Stage, secrets: Iterable[bytes]) -> dict[str, Any]:
    """
    Play every act with each of the *secrets*, and return what went wrong, by act.
    """
    wrong: dict[str, Any] = {}
    for secret in secrets:
        for name, act in ACTS.items():
            try:
                act(stage, secret)
            except Exception as failure:  # the test says it
                wrong.setdefault(name, repr(failure))
    return wrong
