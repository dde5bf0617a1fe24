"""
Databases and brokers inside TLS: what clients ask is counted as in plain, at every end whose library can be hooked.
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from shared.messages.kernel import Protocol
from tests.kernel.l7 import mariadb, rabbitmq
from tests.kernel.l7.lab import DEADLINE_S, accepts, free_port, requests_of
from tests.kernel.l7.secure import Secure
from tests.kernel.l7.tally import named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from services.probe_manager.kernel import Kernel
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

MOSQUITTO: Final = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
OFTEN, SELDOM = 211, 31
READY: Final = """
import ssl, sys
port, authority = int(sys.argv[1]), sys.argv[2]
sys.stdin.readline()
"""
MQTT: Final = (
    READY
    + f"""
import paho.mqtt.client as mqtt
heard, done = [], []
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="shop", reconnect_on_failure=False)
if authority: client.tls_set(ca_certs=authority)
client.on_message = lambda *_: heard.append(1)
client.on_publish = lambda *_: done.append(1)
client.on_subscribe = lambda *_: done.append(1)
client.max_inflight_messages_set(7)
client.connect("127.0.0.1", port)
def until(holds):
    while not holds(): assert client.loop(1) == 0
until(client.is_connected)
client.subscribe("rooms/+/light", 0)
until(lambda: done)
for number in range({OFTEN}): client.publish("rooms/kitchen/light", "on", 0)
for number in range({SELDOM}): client.publish("rooms/kitchen/light", "off", 1)
for number in range({SELDOM}): client.publish("rooms/kitchen/light", "dim", 2)
until(lambda: len(heard) == {OFTEN} + 2 * {SELDOM} and len(done) == 1 + {OFTEN} + 2 * {SELDOM})
client.disconnect()
client.loop(1)
"""
)
MYSQL: Final = (
    READY
    + f"""
import pymysql
how = {{"ssl": {{"ca": authority, "check_hostname": False}}}} if authority else {{"ssl_disabled": True}}
client = pymysql.connect(host="127.0.0.1", port=port, user="shop", password="s3cr3t", database="shop", **how)
cursor = client.cursor()
for number in range({OFTEN}): cursor.execute("select note from orders where id = %s", (1 + number % 2,))
for number in range({SELDOM}):
    try: cursor.execute("select * from missing")
    except pymysql.MySQLError: pass
cursor.execute("select repeat('x', 200000)")
cursor.fetchall()
client.close()
"""
)
AMQP: Final = (
    READY
    + f"""
import pika
secure = pika.SSLOptions(ssl.create_default_context(cafile=authority), "localhost") if authority else None
client = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", port, ssl_options=secure))
channel, taken = client.channel(), []
channel.confirm_delivery()
channel.queue_declare("shop.secure", exclusive=True)
for number in range({OFTEN}): channel.basic_publish("", "shop.secure", b"hello" * number)
channel.basic_consume("shop.secure", lambda _, how, __, ___: taken.append(how), consumer_tag="one")
while len(taken) < {OFTEN}: client.process_data_events(time_limit=1)
for how in taken[:{SELDOM}]: channel.basic_reject(how.delivery_tag, requeue=True)
while len(taken) < {OFTEN} + {SELDOM}: client.process_data_events(time_limit=1)
channel.basic_cancel("one")
channel.basic_ack(0, multiple=True)
client.close()
"""
)


class Ports(NamedTuple):
    """
    Where a server listens in plain and for TLS, and whose certificate it has.
    """

    plain: int
    secure: int
    authority: Path


@contextlib.contextmanager
def mosquitto(secure: Secure) -> Iterator[Ports]:
    """
    Run mosquitto.
    """
    if not MOSQUITTO:
        pytest.skip("there is no mosquitto: apt-get install mosquitto")
    ports = Ports(free_port(), free_port(), secure.certificate)
    lines = ["max_queued_messages 0", f"listener {ports.plain} 127.0.0.1", f"listener {ports.secure} 127.0.0.1"]
    lines += [f"certfile {secure.certificate}", f"keyfile {secure.key}"]
    (secure.lab.folder / "conf").write_text("\n".join(["allow_anonymous true", *lines]) + "\n")
    secure.lab.run(MOSQUITTO, "-c", secure.lab.folder / "conf")
    secure.lab.until(lambda: accepts(ports.plain) and accepts(ports.secure), "mosquitto")
    yield ports


@contextlib.contextmanager
def maria(secure: Secure) -> Iterator[Ports]:
    """
    Run MariaDB, which turns to TLS on its only port when it is asked to.
    """
    with mariadb.running() as server:
        secure.lab.observe(server.pid, 77)
        yield Ports(server.port, server.port, server.folder / "certificate.pem")


@contextlib.contextmanager
def rabbit(secure: Secure) -> Iterator[Ports]:
    """
    Run RabbitMQ.
    """
    with rabbitmq.running(secure.certificate, secure.key) as server:
        secure.lab.observe(server.pid, 77)
        yield Ports(server.port, server.secure, secure.certificate)


class Case(NamedTuple):
    """
    A protocol, its server and client, and how often what is asked, as both know it.
    """

    protocol: Protocol
    server: Callable[[Secure], contextlib.AbstractContextManager[Ports]]
    client: str
    truth: dict[tuple[str, str, int], int]
    server_too: bool
    """Whether the server's library has functions that can be hooked."""


PUBLISHED: Final = OFTEN + 2 * SELDOM
CASES: Final = {
    "mqtt": Case(
        Protocol.MQTT,
        mosquitto,
        MQTT,
        {("PUBLISH rooms/kitchen/light", "OK", 0): PUBLISHED, ("DELIVER rooms/kitchen/light", "OK", 0): PUBLISHED},
        True,
    ),
    "mysql": Case(
        Protocol.MYSQL,
        maria,
        MYSQL,
        {("SELECT orders", "OK", 0): OFTEN, ("SELECT missing", "CLIENT_ERROR", 1146): SELDOM},
        True,
    ),
    "amqp": Case(
        Protocol.AMQP,
        rabbit,
        AMQP,
        {
            ("Publish /shop.secure", "OK", 0): OFTEN,
            ("Deliver /shop.secure", "OK", 0): OFTEN,
            ("Redeliver /shop.secure", "OK", 0): SELDOM,
            ("Basic.Reject", "OK", 0): SELDOM,
        },
        False,
    ),
}


@pytest.fixture
def secure(hooked: Kernel, lab: Lab) -> Iterator[Secure]:
    """
    Hooks in single processes.
    """
    made = Secure(lab, hooked, one_by_one=True)
    yield made
    made.close()


def ask(secure: Secure, code: str, port: int, authority: object) -> None:
    """
    Run a client, which begins once its library is hooked.
    """
    client = secure.lab.run(sys.executable, "-c", code, port, authority)
    maps = Path(f"/proc/{client.pid}/maps")
    secure.lab.until(lambda: "libssl" in maps.read_text(encoding="utf-8"), "the client to load its library")
    secure.look()
    assert client.stdin is not None
    client.stdin.write(b"\n")
    client.stdin.flush()
    assert 0 == client.wait(3 * DEADLINE_S), (secure.lab.folder / f"{len(secure.lab.programs) - 1}.log").read_text()


@pytest.mark.parametrize("name", CASES)
def test_inside_tls_as_in_plain(secure: Secure, name: str) -> None:
    """
    Each request, answer and delivery is counted once and by name, encrypted or not; nothing is lost.
    """
    case, lab = CASES[name], secure.lab
    with case.server(secure) as ports:
        secure.look()
        ask(secure, case.client, ports.plain, "")
        ask(secure, case.client, ports.secure, ports.authority)
        sides = [lab.called, lab.served] if case.server_too else [lab.called]

        def totals() -> list[int]:
            found = [one for side in sides for port in {*ports[:2]} for one in side(port, case.protocol)]
            return [requests_of([one for one in found if one.encrypted is encrypted]) for encrypted in (False, True)]

        with contextlib.suppress(AssertionError):
            lab.until(lambda: len(set(totals())) == 1 and totals()[0] >= len(sides) * sum(case.truth.values()), "all")
        samples = [one for one in lab.samples() if one.protocol is case.protocol]
        for side in sides:
            plain = named([one for one in side(ports.plain, case.protocol) if not one.encrypted], samples)
            inside = named([one for one in side(ports.secure, case.protocol) if one.encrypted], samples)
            assert case.truth == {key: inside[key] for key in case.truth}
            assert plain == inside
        assert 1 == requests_of([one for one in lab.called(ports.secure, Protocol.TLS)]) or not case.server_too
        if not case.server_too:
            assert requests_of(lab.served(ports.secure, Protocol.TLS)) > 1
        assert {} == lab.lost()
