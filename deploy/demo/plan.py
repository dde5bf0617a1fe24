"""
Which programs the demo has, who asks whom, and what each needs to run.
"""

from __future__ import annotations

from typing import Final

import msgspec


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """
    One program of the shop; several instances run the same one.
    """

    name: str
    service: str
    """Its name on the map."""
    number: int
    """The last part of its address."""
    port: int = 0
    """Where it serves; 0 when it only asks."""
    kind: str = "python"
    """`python`, `node`, `go`, `java`, `nginx`, `postgres`, `redis`, `dns`"""
    asks: tuple[str, ...] = ()
    """Programs it asks, by name."""
    tool: str = ""
    """What must be installed; without it the program is left out."""


PROGRAMS: Final = (
    Program(name="dns", service="dnsmasq", number=2, port=53, kind="dns", tool="dnsmasq"),
    Program(name="postgres", service="postgres", number=3, port=5432, kind="postgres"),
    Program(name="redis", service="redis-server", number=4, port=6379, kind="redis", tool="redis-server"),
    Program(name="catalog-1", service="catalog", number=11, port=8000, asks=("postgres", "redis")),
    Program(name="catalog-2", service="catalog", number=12, port=8000, asks=("postgres", "redis")),
    Program(name="catalog-3", service="catalog", number=13, port=8000, asks=("postgres", "redis")),
    Program(
        name="balancer",
        service="balancer",
        number=10,
        port=8080,
        kind="nginx",
        asks=("catalog-1", "catalog-2", "catalog-3"),
        tool="nginx",
    ),
    Program(name="cart", service="cart", number=20, port=8000, kind="node", asks=("redis",), tool="node"),
    Program(name="pricing", service="pricing", number=31, port=8000, kind="go", asks=("redis",), tool="go"),
    Program(name="payment", service="payment", number=32, port=8000, kind="java", tool="javac"),
    Program(name="checkout", service="checkout", number=30, port=8000, asks=("postgres", "cart", "pricing", "payment")),
    Program(name="shop", service="shop", number=40, port=8000, asks=("balancer", "cart", "checkout")),
    Program(name="front", service="front", number=50, port=8080, kind="nginx", asks=("shop",), tool="nginx"),
    Program(name="load", service="load", number=60, asks=("front",)),
)
"""In the order in which they start."""

NAMES: Final = "front=cgroup:*/front;balancer=cgroup:*/balancer"
"""Overrides for topology-builder: two programs that only their cgroup tells apart."""

DOMAIN: Final = "shop.internal"
BUILT: Final = ("go", "java")
"""Kinds that must be built before their first start."""


def instances(service: str) -> list[Program]:
    """
    Return the programs that are instances of *service*, called by its name on the map or in the plan.
    """
    return [program for program in PROGRAMS if service in (program.service, program.name)]


def services() -> list[str]:
    """
    Return the names of the services, each once.
    """
    return list(dict.fromkeys(program.service for program in PROGRAMS))
