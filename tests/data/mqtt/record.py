"""
Records the golden captures beside it with a real mosquitto: `python -m tests.data.mqtt.record`.

Needs `mosquitto` on the path. The packets are written here, so that every case is one packet and its answer.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from tests.data.record import free_port, running, save


def packet(first: int, body: bytes) -> bytes:
    """
    Return a packet with its fixed header.
    """
    length, size = b"", len(body)
    while True:
        size, digit = divmod(size, 128)
        length += bytes([digit | 0x80 * (size > 0)])
        if not size:
            return bytes([first]) + length + body


def text(value: str) -> bytes:
    """
    Return *value* with its length before it.
    """
    return len(value.encode()).to_bytes(2, "big") + value.encode()


def connect(version: int, password: str = "s3cr3t-password") -> bytes:  # noqa: S107 - planted
    """
    Return CONNECT with credentials and a will.
    """
    properties = b"\0" if version == 5 else b""
    will = properties + text("alice@example.org/gone") + text("s3cr3t-will")
    head = text("MQTT") + bytes([version, 0xC6]) + b"\0\x3c" + (b"\5\x11\0\0\0\x0a" if version == 5 else b"")
    return packet(0x10, head + text("s3cr3t-client") + will + text("shop") + text(password))


Case = tuple[str, bytes, dict[str, Any]]


def cases(version: int) -> list[Case]:
    """
    Return what is said to the broker, in this order, with what is to be read out of it.
    """
    none = b"\0" if version == 5 else b""
    end = f"_v{version}"
    return [
        ("connect" + end, connect(version), {"name": "CONNECT"}),
        ("subscribe" + end, packet(0x82, b"\0\1" + none + text("sensors/+/temperature") + b"\1" + text("a/#") + b"\0"),
         {"name": "SUBSCRIBE sensors/+/temperature"}),
        ("publish_1" + end, packet(0x32, text("users/alice@example.org/mail") + b"\0\2" + none + b"s3cr3t-payload"),
         {"name": "PUBLISH users/{id}/mail", **({"status": 16} if version == 5 else {})}),
        ("publish_2" + end, packet(0x34, text("orders/1234567/paid") + b"\0\3" + none + b"4111111111111111"),
         {"name": "PUBLISH orders/{id}/paid"}),
        ("release" + end, packet(0x62, b"\0\3"), {"name": "PUBREL"}),
        ("unsubscribe" + end, packet(0xA2, b"\0\4" + none + text("a/#")), {"name": "UNSUBSCRIBE a/#"}),
        ("ping" + end, packet(0xC0, b""), {"name": "PINGREQ"}),
    ]  # fmt: skip


def record(version: int, port: int) -> None:
    """
    Say every case on one connection, and write down its answer.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        for case, request, expected in cases(version):
            client.sendall(request)
            save("mqtt", case, [request, client.recv(4096)], expected)


def main() -> None:
    """
    Record every case, in both versions, and a refused client of each.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    folder.chmod(0o755)
    port = free_port()
    password = folder / "password"
    password.write_text("shop:s3cr3t-password\n")
    try:
        with contextlib.ExitStack() as stack:
            subprocess.run(["mosquitto_passwd", "-U", str(password)], check=True)
            password.chmod(0o644)
            (folder / "conf").write_text(f"listener {port} 127.0.0.1\npassword_file {password}\n")
            stack.enter_context(running(["mosquitto", "-c", str(folder / "conf")], port, folder))
            for version, code in ((4, 5), (5, 0x87)):
                record(version, port)
                with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                    request = connect(version, "s3cr3t-wrong")
                    client.sendall(request)
                    expected = {"name": "CONNECT", "status": code, "outcome": "CLIENT_ERROR"}
                    save("mqtt", f"refused_v{version}", [request, client.recv(4096)], expected)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
