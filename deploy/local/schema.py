"""
The schema of the database, and the addresses that carry a service's own role.
"""

from __future__ import annotations

from urllib.parse import quote, urlsplit, urlunsplit

from shared.runtime import postgres


def role_of(service: str) -> str:
    """
    Return the database role of *service*.
    """
    return f"meshlens_{service.replace('-', '_')}"


def with_role(dsn: str, service: str, password: str) -> str:
    """
    Return *dsn* with the role of *service* and its *password*.
    """
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role_of(service)}:{quote(password, safe='')}@{host}"))


async def migrate(dsn: str, passwords: dict[str, str]) -> int:
    """
    Bring the schema at the owner's *dsn* up to date, give the services' roles their *passwords*, return the version.
    """
    return await postgres.migrate(dsn, {role_of(service): password for service, password in passwords.items()})
