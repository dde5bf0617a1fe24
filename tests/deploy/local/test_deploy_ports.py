"""
Ports are taken when they are free, and refused with the remedy when they are not.
"""

from __future__ import annotations

import socket

import pytest

from deploy.local import ports
from shared.errors import ConfigError


def test_a_wanted_port_in_use_is_refused() -> None:
    """
    The sentence names the port and the setting.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

        with pytest.raises(ConfigError, match=f"port {port} .* --page-port"):
            ports.choose(port, 0, what="the page", setting="--page-port")


def test_the_usual_port_gives_way() -> None:
    """
    When nobody asked for a port and the usual one is taken, a free one is chosen.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        usual = server.getsockname()[1]

        chosen = ports.choose(0, usual, what="the page", setting="--page-port")

    assert chosen not in (0, usual)


def test_answers() -> None:
    """
    A port answers while somebody listens there.
    """
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ports.answers(port)

    assert not ports.answers(port)
