"""
What `meshlens up` was asked for.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

USUAL_PAGE_PORT = 8800


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """
    The choices of one run.
    """

    data_dir: Path
    demo: bool = False
    nats: str = ""
    """Address of an outside NATS; empty starts the embedded one."""
    nats_user: str = ""
    nats_password: str = ""
    postgres: str = ""
    """Owner's address of an outside database; empty starts the embedded one."""
    scope: str = ""
    """What probe-manager observes; empty with a demo means the demo, empty without one means nothing yet."""
    listen: str = "127.0.0.1"
    """Address of the page, and of NATS when it is wider than loopback."""
    page_port: int = 0
    nats_port: int = 0
    postgres_port: int = 0
    user: str = "nobody"
    """Who owns the embedded servers when we are root."""
    exit_after_s: float = 0.0
    """Stop by itself after so long; 0 runs until a signal."""
    quiet: bool = False
