"""
Records the captures beside it with a real name server and broker, asked by their own client through proxies.

`python -m tests.data.rocketmq.record`; the jars lie where `tests.data.streams.jars("rocketmq")` says.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from tests.data.record import save
from tests.data.rocketmq.broker import flag, frames, opaque, servers, shop

CASES: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "heart_beat": ('{"code":34,', {"name": "HEART_BEAT"}),
    "send": ('{"code":310,', {"name": "SEND_MESSAGE_V2 orders"}),
    "pull": ('{"code":11,', {"name": "PULL_MESSAGE orders"}),
    "route": ('{"code":105,"extFields":{"topic":"TBW102"}', {"name": "GET_ROUTEINFO_BY_TOPIC TBW102"}),
    "route_unknown": (
        '{"code":105,"extFields":{"topic":"%RETRY%billing"}',
        {"name": "GET_ROUTEINFO_BY_TOPIC %RETRY%billing", "status": 17, "outcome": "CLIENT_ERROR"},
    ),
    "offset": (
        '{"code":14,"extFields":{"queueId":"0","bname":"b","topic":"orders"',
        {"name": "QUERY_CONSUMER_OFFSET orders"},
    ),
    "group": ('{"code":38,', {"name": "GET_CONSUMER_LIST_BY_GROUP"}),
    "unregister": ('{"code":35,', {"name": "UNREGISTER_CLIENT"}),
}


def main() -> None:
    """
    Record all captures.
    """
    folder = Path(tempfile.mkdtemp(prefix="meshlens-record-"))
    try:
        with servers(folder) as (names, broker):
            subprocess.run(shop(names, 2), check=True, timeout=120)
            streams = [(bytes(up), bytes(down)) for proxy in (names, broker) for up, down in proxy.streams]
    finally:
        shutil.rmtree(folder)
    for case, (beginning, expected) in CASES.items():
        for up, down in streams:
            answers = {opaque(frame): frame for frame in frames(down) if flag(frame) & 1}
            found = [frame for frame in frames(up) if frame[8:].startswith(beginning.encode())]
            found = [frame for frame in found if opaque(frame) in answers]
            if found:
                save("rocketmq", case, [found[0], answers[opaque(found[0])]], expected)
                print(case)
                break


if __name__ == "__main__":
    main()
