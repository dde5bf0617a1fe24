"""
Runs ZooKeeper out of Debian's package, and asks it for what kazoo has no single call for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

JARS = "/usr/share/java/zookeeper.jar:/usr/share/java/*"


def command(port: int, folder: Path) -> list[str]:
    """
    Return the command that runs a server.
    """
    words = ["java", "-Xmx128m", "-XX:TieredStopAtLevel=1", "-Dzookeeper.admin.enableServer=false", "-cp", JARS]
    return [*words, "org.apache.zookeeper.server.ZooKeeperServerMain", str(port), str(folder / "data")]


def transaction(client: Any, *paths: str) -> None:
    """
    Create all *paths*, or none.
    """
    many = client.transaction()
    for path in paths:
        many.create(path, b"s3cr3t")
    many.commit()
