"""
The settings that `meshlens up` hands to each service.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from deploy.local import data_directory
from services.query_api.security import is_loopback

if TYPE_CHECKING:
    from deploy.local.data_directory import DataDirectory
    from deploy.local.options import Options

OURS: Final = (data_directory.VARIABLE, "MESHLENS_API", "MESHLENS_TOKEN")
"""Settings of the command line, unknown to the services."""


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where everything is.
    """

    nats: str
    postgres_roles: dict[str, str]
    """Service to address with its own role."""
    page_host: str
    page_port: int

    @property
    def page(self) -> str:
        """
        Return the address of the page as seen from this machine.
        """
        host = "127.0.0.1" if self.page_host in ("0.0.0.0", "::", "") else self.page_host  # noqa: S104 - compared
        return f"http://{f'[{host}]' if ':' in host else host}:{self.page_port}"


def repository() -> Path:
    """
    Return the folder that holds `services` and `bpf`.
    """
    return Path(__file__).parent.parent.parent


def service_environment(service: str, addresses: Addresses, options: Options, data: DataDirectory) -> dict[str, str]:
    """
    Return the environment of *service*: the operator's own settings, and over them what this run decides.
    """
    environment = {name: value for name, value in os.environ.items() if name not in OURS}
    environment["PYTHONUNBUFFERED"] = "1"
    environment["MESHLENS_NATS_URL"] = addresses.nats
    wide = not is_loopback(options.listen)
    if options.nats_user:
        environment["MESHLENS_NATS_USER"] = options.nats_user
        environment["MESHLENS_NATS_PASSWORD"] = options.nats_password
    elif wide and not options.nats:
        environment["MESHLENS_NATS_USER"] = "meshlens"
        environment["MESHLENS_NATS_PASSWORD"] = data.secrets().nats_password
    if service in addresses.postgres_roles:
        environment["MESHLENS_POSTGRES_DSN"] = addresses.postgres_roles[service]
    if service == "query-api":
        environment["MESHLENS_HTTP_HOST"] = addresses.page_host
        environment["MESHLENS_HTTP_PORT"] = str(addresses.page_port)
        if wide:
            environment["QUERY_API_TOKENS_FILE"] = str(data.tokens_file())
    return environment
