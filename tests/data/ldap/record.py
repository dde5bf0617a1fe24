"""
Records the golden captures beside it: `python -m tests.data.ldap.record`.

A real slapd, as whoever runs this, is asked by ldap3.
"""

from __future__ import annotations

import contextlib
import importlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.data.ldap.server import command, person
from tests.data.record import Proxy, free_port, running, save

if TYPE_CHECKING:
    from collections.abc import Callable

ldap3: Any = importlib.import_module("ldap3")
FAILED = {"outcome": "CLIENT_ERROR"}
CASES: list[tuple[str, Callable[[Any], object], dict[str, Any]]] = [
    ("add_root", lambda ldap: ldap.add("dc=shop", ["dcObject", "organization"], {"o": "shop"}), {"name": "add"}),
    ("add", lambda ldap: ldap.add(*person("s3cr3t-person")), {"name": "add"}),
    ("exists", lambda ldap: ldap.add(*person("s3cr3t-person")), {"name": "add", "status": 68, **FAILED}),
    ("search", lambda ldap: ldap.search("dc=shop", "(mail=alice@example.org)"), {"name": "search subtree"}),
    ("base", lambda ldap: ldap.search("uid=s3cr3t-person,dc=shop", "(cn=*)", "BASE"), {"name": "search base"}),
    ("nowhere", lambda ldap: ldap.search("dc=s3cr3t", "(cn=*)"), {"name": "search subtree", "status": 32, **FAILED}),
    (
        "compare",
        lambda ldap: ldap.compare("uid=s3cr3t-person,dc=shop", "sn", "s3cr3t"),
        {"name": "compare", "status": 5},
    ),
    (
        "modify",
        lambda ldap: ldap.modify("uid=s3cr3t-person,dc=shop", {"sn": [("MODIFY_REPLACE", ["4111111111111111"])]}),
        {"name": "modify"},
    ),
    ("rename", lambda ldap: ldap.modify_dn("uid=s3cr3t-person,dc=shop", "uid=s3cr3t"), {"name": "modifyDN"}),
    ("delete", lambda ldap: ldap.delete("uid=s3cr3t,dc=shop"), {"name": "delete"}),
    ("who", lambda ldap: ldap.extend.standard.who_am_i(), {"name": "extended"}),
]


def main() -> None:
    """
    Record everything.
    """
    folder, port = Path(tempfile.mkdtemp(prefix="meshlens-record-")), free_port()
    try:
        with running(command(port, folder), port, folder):
            proxy = Proxy(port)
            server = ldap3.Server("127.0.0.1", proxy.port, get_info=ldap3.NONE)
            client = ldap3.Connection(server, "cn=admin,dc=shop", "s3cr3t-password")
            client.bind()
            save("ldap", "bind", proxy.taken()[0], {"name": "bind simple"})
            for case, ask, expected in CASES:
                with contextlib.suppress(ldap3.core.exceptions.LDAPException):
                    ask(client)
                save("ldap", case, proxy.taken()[-1], expected)
            client.rebind("cn=admin,dc=shop", "s3cr3t-wrong")
            expected = {"name": "bind simple", "status": 49, **FAILED}
            save("ldap", "wrong_password", proxy.taken()[-1], expected)
            server = ldap3.Server("127.0.0.1", proxy.port, get_info=ldap3.NONE)
            client = ldap3.Connection(server)
            with contextlib.suppress(ldap3.core.exceptions.LDAPException):
                client.start_tls()
            expected = {"name": "extended StartTLS", "status": 2, **FAILED}
            save("ldap", "start_tls", proxy.taken()[0], expected)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
