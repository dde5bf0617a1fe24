"""
Records the captures beside it: pulsar-client against a stand-in for the broker (a real one needs more than is spared).

`python -m tests.data.pulsar.record`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.data.record import free_port, running, save
from tests.data.streams import Streams

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).parent
CASES: Final[dict[str, tuple[int, int, bytes, dict[str, Any]]]] = {
    "connect": (2, 3, b"", {"name": "CONNECT"}),
    "producer": (5, 17, b"orders", {"name": "PRODUCER shop/eu/orders"}),
    "forbidden": (5, 14, b"forb", {"name": "PRODUCER shop/eu/forbidden", "status": 4, "outcome": "CLIENT_ERROR"}),
    "metadata": (21, 22, b"orders", {"name": "PARTITIONED_METADATA shop/eu/orders"}),
    "lookup": (23, 24, b"orders", {"name": "LOOKUP shop/eu/orders"}),
    "nowhere": (23, 24, b"nowhere", {"name": "LOOKUP shop/eu/nowhere", "status": 11, "outcome": "CLIENT_ERROR"}),
    "send": (6, 7, b"4111", {"name": "SEND"}),
    "subscribe": (4, 13, b"orders", {"name": "SUBSCRIBE shop/eu/orders"}),
    "unsubscribe": (12, 13, b"", {"name": "UNSUBSCRIBE"}),
    "close_producer": (15, 13, b"", {"name": "CLOSE_PRODUCER"}),
}


def frames(stream: bytes) -> Iterator[bytes]:
    """
    Yield the whole messages of *stream*.
    """
    while len(stream) >= 4 and len(stream) >= 4 + int.from_bytes(stream[:4], "big"):
        length = 4 + int.from_bytes(stream[:4], "big")
        yield stream[:length]
        stream = stream[length:]


def main() -> None:
    """
    Record all captures; answers of one kind come in the order of their requests.
    """
    proxy = Streams(free_port())
    with tempfile.TemporaryDirectory() as folder:
        server = [sys.executable, str(HERE / "mock.py"), str(proxy.behind)]
        proxy.instead = (str(proxy.behind).encode(), str(proxy.port).encode())
        with running(server, proxy.behind, Path(folder)):
            subprocess.run([sys.executable, str(HERE / "shop.py"), str(proxy.port), "2"], check=True, cwd=folder)
        streams = [(list(frames(bytes(up))), list(frames(bytes(down)))) for up, down in proxy.streams]
    proxy.close()
    for case, (asks, answers, word, expected) in CASES.items():
        for up, down in streams:
            asked = [frame for frame in up if frame[9] == asks]
            place = next((number for number, frame in enumerate(asked) if word in frame), None)
            if place is None:
                continue
            answered = [
                frame
                for frame in down
                if frame[9] in (answers, 14 if asks == 5 else answers, 17 if asks == 5 else answers)
            ]
            save("pulsar", case, [asked[place], answered[min(place, len(answered) - 1)]], expected)
            break


if __name__ == "__main__":
    main()
