"""
Passwords and tokens: made once, kept in one file of the data directory that only its owner may read.
"""

from __future__ import annotations

import os
import secrets as random_secrets
from typing import TYPE_CHECKING, Final

import msgspec

from shared.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

ROLES: Final = ("protocol-parser", "topology-builder", "anomaly-detector", "alert-manager", "query-api")
"""The services that have a role of their own in PostgreSQL."""


class Secrets(msgspec.Struct, frozen=True, kw_only=True):
    """
    What must not be guessed.
    """

    postgres_owner: str
    postgres_roles: dict[str, str]
    nats_password: str
    api_tokens: dict[str, str]
    """Token to role."""

    def admin_token(self) -> str:
        """
        Return a token with which probes can be switched.
        """
        return next(token for token, role in self.api_tokens.items() if role == "admin")


def load(path: Path) -> Secrets:
    """
    Return the secrets in *path*, which is made when it is not there.

    Raises:
        ConfigError: others may read it, or it is damaged.
    """
    if not path.exists():
        write_private(path, msgspec.json.format(msgspec.json.encode(_fresh())))
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"others may read {path}: chmod 600 {path}, and consider what has been read as known")
    try:
        return msgspec.json.decode(path.read_bytes(), type=Secrets)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is damaged: {error}; restore it, or move the data directory away") from error


def write_private(path: Path, content: bytes) -> None:
    """
    Write *content* to *path* whole or not at all, readable by its owner alone.
    """
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.replace(path)


def _fresh() -> Secrets:
    return Secrets(
        postgres_owner=random_secrets.token_urlsafe(24),
        postgres_roles={service: random_secrets.token_urlsafe(24) for service in ROLES},
        nats_password=random_secrets.token_urlsafe(24),
        api_tokens={random_secrets.token_urlsafe(32): role for role in ("viewer", "operator", "admin")},
    )
