"""
Records the captures beside it with a real broker (Kafka 3.9 in KRaft mode), asked by two clients through a proxy.

`python -m tests.data.kafka.record`; the broker's jars lie where `tests.data.streams.jars("kafka")` says. What `apart`
holds are captures whose outcome cannot be told without the request, or that have no response.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any, Final

from shared.protocols._kafka_walk import request_header
from tests.data.kafka.broker import broker, exchanges
from tests.data.streams import Streams

kafka: Any = importlib.import_module("kafka")
confluent_kafka: Any = importlib.import_module("confluent_kafka")
admin_of: Any = importlib.import_module("confluent_kafka.admin")

HERE: Final = Path(__file__).parent
CASES: Final[dict[str, tuple[int, Any, str]]] = {
    "api_versions": (18, None, "ApiVersions"),
    "metadata": (3, lambda _, r: b"payments" in r and b"orders" not in r, "Metadata"),
    "produce": (0, lambda q, _: b"card" in q, "Produce orders"),
    "fetch": (1, lambda q, r: b"card" in r and request_header(q).version < 13, "Fetch orders"),
    "fetch_empty": (1, lambda q, r: b"orders" in q and b"card" not in r and b"\0\1\xff\xff" not in r, "Fetch orders"),
    "fetch_by_id": (1, lambda q, r: request_header(q).version >= 13 and b"s3cr3t" in r, "Fetch"),
    "list_offsets": (2, None, "ListOffsets orders"),
    "find_coordinator": (10, None, "FindCoordinator"),
    "join_group": (11, lambda _, r: r[4:8] and b"range" in r, "JoinGroup billing"),
    "sync_group": (14, None, "SyncGroup billing"),
    "heartbeat": (12, None, "Heartbeat billing"),
    "offset_commit": (8, None, "OffsetCommit billing"),
    "offset_fetch": (9, None, "OffsetFetch billing"),
    "leave_group": (13, None, "LeaveGroup billing"),
    "create_topics": (19, lambda _, r: b"already" not in r, "CreateTopics"),
    "producer_id": (22, None, "InitProducerId"),
    "sasl_handshake": (17, None, "SaslHandshake"),
    "sasl_authenticate": (36, lambda q, _: b"s3cr3t-password" in q, "SaslAuthenticate"),
}
APART: Final[dict[str, tuple[int, Any, dict[str, Any]]]] = {
    "produce_acks_0": (0, lambda _, r: not r, {"name": "Produce orders", "outcome": "NO_RESPONSE"}),
    "produce_unknown": (0, lambda q, r: b"nowhere" in q and r, {"name": "Produce nowhere", "status": 3}),
    "create_again": (19, lambda _, r: b"already" in r, {"name": "CreateTopics", "status": 36}),
    "fetch_out_of_range": (
        1,
        lambda _, r: b"\0\1\xff\xff\xff\xff\xff\xff\xff\xff" in r,
        {"name": "Fetch orders", "status": 1},
    ),
    "sasl_refused": (36, lambda q, _: b"s3cr3t-wrong" in q, {"name": "SaslAuthenticate", "status": 58}),
}


def use(port: int) -> None:
    """
    Do everything once that a shop does, with kafka-python and librdkafka.
    """
    at = f"127.0.0.1:{port}"
    admin = kafka.KafkaAdminClient(bootstrap_servers=at, client_id="shop-admin")
    admin.create_topics([kafka.admin.NewTopic("orders", 1, 1), kafka.admin.NewTopic("payments", 2, 1)])
    with contextlib.suppress(Exception):
        admin.create_topics([kafka.admin.NewTopic("orders", 1, 1)])
    admin.close()
    producer = kafka.KafkaProducer(bootstrap_servers=at, client_id="shop", acks="all")
    producer.send("orders", b'{"card":"4111111111111111"}', key=b"s3cr3t-key", headers=[("token", b"s3cr3t-token")])
    producer.flush()
    producer.close()
    quick = confluent_kafka.Producer({"bootstrap.servers": at, "client.id": "shop-quick", "acks": "0"})
    quick.produce("orders", b"s3cr3t-quick")
    quick.flush(10)
    topic = kafka.TopicPartition("orders", 0)
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=at, client_id="billing-1", group_id="billing", auto_offset_reset="earliest"
    )
    consumer.subscribe(["orders"])
    _read(lambda: consumer.poll(500))
    consumer.commit()
    consumer.poll(4000)
    consumer.close()
    with contextlib.suppress(Exception):
        lost = kafka.KafkaConsumer(bootstrap_servers=at, client_id="billing-2", auto_offset_reset="none")
        lost.assign([topic])
        lost.seek(topic, 4711)
        lost.poll(2000)
    modern(at)


def _read(poll: Any) -> None:
    for _ in range(20):
        if poll():
            return


def modern(at: str) -> None:
    """
    Do the same with librdkafka, whose requests are of later versions.
    """
    admin = admin_of.AdminClient({"bootstrap.servers": at, "client.id": "shop-admin"})
    admin.list_topics("payments", timeout=10)
    settings = {
        "bootstrap.servers": at,
        "group.id": "billing",
        "auto.offset.reset": "earliest",
        "client.id": "billing-3",
    }
    consumer = confluent_kafka.Consumer(settings)
    consumer.subscribe(["orders"])
    later = confluent_kafka.Producer({"bootstrap.servers": at, "client.id": "shop"})
    later.produce("orders", b"s3cr3t-later")
    later.flush(10)
    _read(lambda: consumer.poll(0.5))
    consumer.close()
    producer = confluent_kafka.Producer({"bootstrap.servers": at, "enable.idempotence": True, "client.id": "shop"})
    producer.produce("orders", b"s3cr3t-idempotent")
    producer.flush(10)


def log_in(port: int) -> None:
    """
    Log in with the right password and with a wrong one.
    """
    for password in ("s3cr3t-password", "s3cr3t-wrong"):
        settings = {
            "bootstrap.servers": f"127.0.0.1:{port}",
            "client.id": "shop",
            "security.protocol": "SASL_PLAINTEXT",
        }
        settings |= {"sasl.mechanism": "PLAIN", "sasl.username": "shop", "sasl.password": password}
        with contextlib.suppress(confluent_kafka.KafkaException):
            admin_of.AdminClient(settings).list_topics(timeout=3)


def raw_produce(port: int) -> None:
    """
    Produce to a topic that is not there, which clients do not.
    """
    body = b"\xff\xff\0\1\0\0\x05\xdc\0\0\0\1\0\7nowhere\0\0\0\1\0\0\0\0\0\0\0\0"
    head = b"\0\0\0\7\0\0\0\7\0\4shop"
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall((len(head + body)).to_bytes(4, "big") + head + body)
        client.recv(4096)


def save(path: Path, request: bytes, response: bytes, expected: dict[str, Any]) -> None:
    """
    Write one capture.
    """
    content = {"request": request.decode("latin-1"), "response": response.decode("latin-1"), "expected": expected}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """
    Record all captures.
    """
    proxy, secure = Streams(), Streams()
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    try:
        with broker(folder, proxy.port, secure.port) as (proxy.behind, secure.behind):
            use(proxy.port)
            raw_produce(proxy.port)
            log_in(secure.port)
    finally:
        shutil.rmtree(folder)
    found = [*exchanges(proxy), *exchanges(secure)]
    for case, (key, fits, name) in CASES.items():
        fitting = [(q, r) for q, r in found if q[4:6] == key.to_bytes(2, "big") and r and (not fits or fits(q, r))]
        print(case, len(fitting), [request_header(q).version for q, _ in fitting][:5])
        if fitting:
            save(HERE / f"{case}.json", *fitting[-1], {"name": name})
    for case, (key, fits, expected) in APART.items():
        fitting = [(q, r) for q, r in found if q[4:6] == key.to_bytes(2, "big") and fits(q, r)]
        print(case, len(fitting), [request_header(q).version for q, _ in fitting][:5])
        if fitting:
            save(HERE / "apart" / f"{case}.json", *fitting[0], {"outcome": "CLIENT_ERROR", **expected})


if __name__ == "__main__":
    main()
