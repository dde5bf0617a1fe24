"""
Records the golden captures beside it with a real RabbitMQ and pika: `python -m tests.data.amqp.record`.

Needs Debian's `rabbitmq-server` and its user, and the package pika. Node, data, ports and the port mapper are its own.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pika

from tests.data import record
from tests.data.record import Proxy, free_port, running, save

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"


@contextlib.contextmanager
def rabbitmq() -> Iterator[int]:
    """
    Run RabbitMQ on a free port of the loopback until the block ends.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    user = pwd.getpwnam("rabbitmq")
    os.chown(folder, user.pw_uid, user.pw_gid)
    port, mapper, other = free_port(), free_port(), free_port()
    (folder / "rabbitmq.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{port}\n")
    settings = {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder),
        "LANG": "C.UTF-8",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(mapper),
        "RABBITMQ_NODENAME": "meshlens@localhost",
        "RABBITMQ_DIST_PORT": str(other),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RABBITMQ_MNESIA_BASE": str(folder / "data"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
    }
    options: dict[str, Any] = {"env": settings, "user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    names = subprocess.Popen(["epmd", "-port", str(mapper)], env=settings, user=user.pw_uid, group=user.pw_gid)
    record.PATIENCE_S = 90.0  # Erlang takes its time
    try:
        with running([SERVER], port, folder, **options):
            yield port
    finally:
        names.terminate()
        names.wait(5)
        shutil.rmtree(folder)


def main() -> None:
    """
    Record every case.
    """
    with rabbitmq() as port:
        proxy = Proxy(port)
        where = pika.ConnectionParameters("127.0.0.1", proxy.port, blocked_connection_timeout=5)

        def take(case: str, work: Callable[[], Any], expected: dict[str, Any]) -> None:
            proxy.taken()
            with contextlib.suppress(pika.exceptions.AMQPError):
                work()
            for request, response in proxy.taken()[:1]:
                save("amqp", case, [request, response], expected)

        connection = pika.BlockingConnection(where)
        opening = proxy.taken()
        save("amqp", "greeting", opening[0], {"name": "Connection.Start"})
        save("amqp", "start_ok", opening[1], {"name": "Connection.StartOk"})
        channel = connection.channel()
        take("declare", lambda: channel.queue_declare("orders"), {"name": "Queue.Declare orders"})
        take("exchange", lambda: channel.exchange_declare("shop", "topic"), {"name": "Exchange.Declare shop"})
        take("bind", lambda: channel.queue_bind("orders", "shop", "order.#"), {"name": "Queue.Bind orders"})
        channel.confirm_delivery()
        take(
            "publish",
            lambda: channel.basic_publish("shop", "order.1234567.paid", b"s3cr3t-body"),
            {"name": "Publish shop/order.{id}.paid"},
        )
        take("get", lambda: channel.basic_get("orders", auto_ack=True), {"name": "Basic.Get orders"})
        take("get_empty", lambda: channel.basic_get("orders", auto_ack=True), {"name": "Basic.Get orders"})
        take("qos", lambda: channel.basic_qos(prefetch_count=7), {"name": "Basic.Qos"})
        missing = {"name": "Queue.Declare s-nobody", "status": 404, "outcome": "CLIENT_ERROR"}
        take("missing", lambda: channel.queue_declare("s-nobody", passive=True), missing)
        other = connection.channel()
        other.queue_declare("orders.7")
        different = {"name": "Queue.Declare orders.{id}", "status": 406, "outcome": "CLIENT_ERROR"}
        take("different", lambda: other.queue_declare("orders.7", durable=True), different)
        connection.close()
        refuse(proxy)


def refuse(proxy: Proxy) -> None:
    """
    Record a login with a wrong password.
    """
    proxy.taken()
    wrong = pika.ConnectionParameters(
        "127.0.0.1", proxy.port, credentials=pika.PlainCredentials("shop", "s3cr3t-password")
    )
    with contextlib.suppress(pika.exceptions.AMQPError):
        pika.BlockingConnection(wrong)
    refused = {"name": "Connection.StartOk", "status": 403, "outcome": "CLIENT_ERROR"}
    save("amqp", "refused", next(e for e in proxy.taken() if b"s3cr3t" in e[0]), refused)


if __name__ == "__main__":
    main()
