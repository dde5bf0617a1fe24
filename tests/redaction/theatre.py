"""
The process whose tree is observed: `python -m tests.redaction.theatre`.

It starts the servers, says `ready`, waits for a line, plays with every secret, says what came of it, and waits for the
end of its input.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Final

from tests.redaction import acts, calls, replays, stage
from tests.redaction.secrets import SECRETS

IDLE: Final = "import socket, sys; s = socket.create_server(('127.0.0.1', 0)); sys.stdin.read()"
"""A service that was given secrets on its command line and in its environment."""


def main() -> None:
    """
    Play.
    """
    secrets = list(SECRETS.values())
    words = [f"--password={secret.decode()}" for secret in secrets] + [secrets[0].decode()]
    environment = {"PATH": "/usr/bin:/bin", "PASSWORD": secrets[4].decode(), "LD_PRELOAD": ""}
    idle = subprocess.Popen([sys.executable, "-c", IDLE, *words], stdin=subprocess.PIPE, env=environment)
    with stage.running() as servers:
        print("ready", flush=True)
        sys.stdin.readline()
        wrong = acts.play(servers, secrets) | calls.play(secrets)
        count = replays.replay(secrets)
        time.sleep(2 * replays.PAUSE_S)
        acts.curtain(servers)
        print(json.dumps({"wrong": wrong, "replayed": count}), flush=True)
        sys.stdin.read()
    assert idle.stdin is not None
    idle.stdin.close()
    idle.wait(10)


if __name__ == "__main__":
    main()
