"""
Sends and reads with pulsar-client: `python shop.py PORT COUNT`.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any


def main(port: str, count: int) -> None:
    """
    Send one by one and all at once, read everything back, and ask for what is not there.
    """
    pulsar: Any = importlib.import_module("pulsar")
    quiet = pulsar.FileLogger(pulsar.LoggerLevel.Error, "pulsar.log")
    secret = pulsar.AuthenticationToken("s3cr3t-token")
    client = pulsar.Client(f"pulsar://127.0.0.1:{port}", authentication=secret, logger=quiet)
    producer = client.create_producer("persistent://shop/eu/orders", batching_enabled=False)
    for number in range(count):
        producer.send(b"4111111111111111", properties={"token": "s3cr3t"}, partition_key=f"alice@{number}")
    for _ in range(count):
        producer.send_async(b"s3cr3t-async", lambda *_: None)
    producer.flush()
    consumer = client.subscribe("persistent://shop/eu/orders", "billing")
    for _ in range(2 * count):
        consumer.acknowledge(consumer.receive(10_000))
    consumer.unsubscribe()
    for topic in ("forbidden", "nowhere"):
        try:
            client.create_producer(f"persistent://shop/eu/{topic}")
        except Exception as refused:  # of whichever class
            print(type(refused).__name__)  # a program
    producer.close()
    client.close()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
