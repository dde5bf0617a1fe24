"""
Runs slapd in a folder of its own, as whoever runs this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CONFIGURATION = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
pidfile {folder}/pid
modulepath /usr/lib/ldap
moduleload back_mdb
database mdb
directory {folder}/data
suffix "dc=shop"
rootdn "cn=admin,dc=shop"
rootpw s3cr3t-password
"""


def command(port: int, folder: Path) -> list[str]:
    """
    Write the configuration into *folder*, and return the command that runs the server.
    """
    (folder / "data").mkdir(exist_ok=True)
    (folder / "slapd.conf").write_text(CONFIGURATION.format(folder=folder))
    return ["slapd", "-d", "0", "-f", str(folder / "slapd.conf"), "-h", f"ldap://127.0.0.1:{port}"]


def person(name: str) -> tuple[str, list[str], dict[str, str]]:
    """
    Return what `add` wants to know of a person.
    """
    return f"uid={name},dc=shop", ["inetOrgPerson"], {"cn": name, "sn": name, "mail": "alice@example.org"}
