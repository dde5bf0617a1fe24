"""
TCP ports on this machine: is one free, which one is free, who answers.
"""

from __future__ import annotations

import contextlib
import socket

from shared.errors import ConfigError


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """
    Return whether a server could listen on *port* now.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def free_port(host: str = "127.0.0.1") -> int:
    """
    Return a port that nobody listens on now.
    """
    with contextlib.closing(socket.create_server((host, 0))) as server:
        port: int = server.getsockname()[1]
        return port


def choose(wanted: int, usual: int, *, what: str, setting: str, host: str = "127.0.0.1") -> int:
    """
    Return *wanted*; when it is 0, *usual* if it is free, else any free port.

    Raises:
        ConfigError: the wanted port is in use.
    """
    if wanted:
        if not is_free(wanted, host):
            raise ConfigError(
                f"port {wanted} on {host} is in use, {what} cannot listen on it: "
                f"stop what listens there, or choose another port with {setting} (0 takes a free one)"
            )
        return wanted
    return usual if is_free(usual, host) else free_port(host)


def answers(port: int, host: str = "127.0.0.1", timeout_s: float = 0.5) -> bool:
    """
    Return whether somebody accepts connections on *port*.
    """
    try:
        with socket.create_connection((host, port), timeout_s):
            return True
    except OSError:
        return False
