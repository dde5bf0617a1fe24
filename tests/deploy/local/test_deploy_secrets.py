"""
Secrets are made once and kept to their owner.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from deploy.local import secrets
from services.query_api.security import Role, read_tokens
from shared.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_made_once(tmp_path: Path) -> None:
    """
    The second load returns what the first one made.
    """
    path = tmp_path / "secrets.json"

    assert secrets.load(path) == secrets.load(path)


def test_only_the_owner_reads(tmp_path: Path) -> None:
    """
    The file is private from its first byte on.
    """
    path = tmp_path / "secrets.json"
    secrets.load(path)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_open_file_is_refused(tmp_path: Path) -> None:
    """
    A file that others may read is refused with the remedy.
    """
    path = tmp_path / "secrets.json"
    secrets.load(path)
    path.chmod(0o644)

    with pytest.raises(ConfigError, match="chmod 600"):
        secrets.load(path)


def test_a_damaged_file_is_explained(tmp_path: Path) -> None:
    """
    Damage gives a sentence, not a trace.
    """
    path = tmp_path / "secrets.json"
    secrets.write_private(path, b"{")

    with pytest.raises(ConfigError, match="is damaged"):
        secrets.load(path)


def test_every_role_has_a_password_of_its_own(tmp_path: Path) -> None:
    """
    No two services share a password.
    """
    found = secrets.load(tmp_path / "secrets.json")

    assert len(set(found.postgres_roles.values())) == len(secrets.ROLES)


def test_query_api_takes_the_tokens(tmp_path: Path) -> None:
    """
    The generated tokens are what query-api accepts, one for each role.
    """
    from msgspec import json

    tokens = read_tokens(json.encode(secrets.load(tmp_path / "secrets.json").api_tokens), "tokens.json")

    assert sorted(tokens.values()) == [Role.VIEWER, Role.OPERATOR, Role.ADMIN]
