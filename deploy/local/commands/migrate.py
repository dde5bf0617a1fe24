"""
Bring a database's schema up to date.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import asyncpg

from deploy.local import schema
from deploy.local.data_directory import DataDirectory, default_path
from shared.errors import ConfigError
from shared.runtime.postgres import without_password

if TYPE_CHECKING:
    import argparse

SAYS = "bring the schema of a database up to date, and print the services' addresses of it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """
    Declare its arguments.
    """
    parser.add_argument("--postgres", required=True, metavar="DSN", help="address of the database, as its owner")
    parser.add_argument("--show-passwords", action="store_true", help="print each service's address with its password")


def run(arguments: argparse.Namespace) -> int:
    """
    Migrate, and print what a service's MESHLENS_POSTGRES_DSN is.
    """
    data = DataDirectory(arguments.data_dir or default_path())
    data.path.mkdir(parents=True, exist_ok=True)
    passwords = data.secrets().postgres_roles
    try:
        version = asyncio.run(schema.migrate(arguments.postgres, passwords))
    except asyncpg.PostgresError as error:
        raise ConfigError(
            f"the schema cannot be brought up to date at {without_password(arguments.postgres)}: {error}"
        ) from error
    print(f"schema version {version}")
    for service, password in passwords.items():
        dsn = schema.with_role(arguments.postgres, service, password)
        print(f"{service:18} {dsn if arguments.show_passwords else without_password(dsn)}")
    return 0
