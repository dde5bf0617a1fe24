"""
The faults that can be switched on, and which services they fit.
"""

from __future__ import annotations

from typing import Final

import msgspec

from deploy.demo import plan
from shared.errors import ConfigError

SAYS: Final = {
    "errors": "half of its requests are answered with status 500",
    "slowness": "every request takes 400 ms longer",
    "dead": "its processes are stopped",
    "loss": "a tenth of the packets on its link is lost",
    "leak": "it opens five connections a second to what it depends on, and never closes them",
}
IN_THE_PROGRAM: Final = ("errors", "slowness", "leak")
"""Faults that the program itself commits; only our own programs can."""
LOSS_RATIO: Final = 0.1


class Behaviour(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a program reads from its state file.
    """

    peers: dict[str, str]
    """Program to `host:port`."""
    error_ratio: float = 0.0
    extra_s: float = 0.0
    leak_per_s: float = 0.0


def check(kind: str, service: str) -> None:
    """
    Refuse a fault that cannot be had.

    Raises:
        ConfigError: the kind or the service is unknown, or they do not fit.
    """
    if kind not in SAYS:
        raise ConfigError(f"there is no fault {kind!r}; choose one of {', '.join(SAYS)}")
    programs = plan.instances(service)
    if not programs:
        raise ConfigError(f"there is no service {service!r} in the demo; choose one of {', '.join(plan.services())}")
    if kind in IN_THE_PROGRAM and programs[0].kind not in ("python", "node", "go", "java"):
        raise ConfigError(f"{service} cannot have {kind}: it is a stock program; it can have dead or loss")
    if kind in IN_THE_PROGRAM and service == "load":
        raise ConfigError("load only asks; choose a service that answers")
    if kind == "leak" and not programs[0].asks:
        raise ConfigError(f"{service} depends on nothing, so it has nothing to leak connections to")


def behaviour(peers: dict[str, str], kinds: set[str]) -> Behaviour:
    """
    Return what a program with the faults *kinds* is to do.
    """
    return Behaviour(
        peers=peers,
        error_ratio=0.5 if "errors" in kinds else 0.0,
        extra_s=0.4 if "slowness" in kinds else 0.0,
        leak_per_s=5.0 if "leak" in kinds else 0.0,
    )
