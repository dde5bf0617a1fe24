"""
Settings come from the environment, once, at start; each has a unit, a default and one sentence, in one place.

A service declares a frozen struct that derives from `Common`. `Common`'s fields are read from `MESHLENS_*`, the
service's own from `<SERVICE>_*`: `TOPOLOGY_BUILDER_RETENTION_DAYS`. Unknown names stop the process with a sentence.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import socket
import textwrap
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

COMMON_PREFIX = "MESHLENS_"


class Common(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    The settings that every service has.
    """

    nats_url: str = "nats://127.0.0.1:4222"
    """Address of NATS."""
    nats_user: str = ""
    """User name for NATS; empty when it asks for none."""
    nats_password: str = ""
    """Password for NATS."""
    postgres_dsn: str = "postgresql://127.0.0.1:5432/meshlens"
    """Address of PostgreSQL, with this service's own role."""
    http_host: str = "127.0.0.1"
    """Address that this service's HTTP endpoints listen on; loopback unless told otherwise."""
    http_port: int = 0
    """Port of this service's HTTP endpoints; 0 takes a free one."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""
    log_format: str = "json"
    """`json`, one object a line, or `console` for people."""
    node: str = ""
    """Name of this machine on the map; empty takes the host name."""

    def node_name(self) -> str:
        """
        Return the name of this machine on the map.
        """
        return self.node or socket.gethostname()


C = TypeVar("C", bound=Common)


class Setting(msgspec.Struct, frozen=True):
    """
    One setting as the reference shows it.
    """

    variable: str
    type: str
    default: str
    says: str


def load(kind: type[C], service: str, environment: Mapping[str, str]) -> C:
    """
    Return the settings of *service* (`topology-builder`) found in *environment*.

    Raises:
        ConfigError: a setting is unknown or has a bad value.
    """
    own_prefix = service.upper().replace("-", "_") + "_"
    common = set(Common.__struct_fields__)
    found: dict[str, str] = {}
    for variable, value in environment.items():
        for prefix in (own_prefix, COMMON_PREFIX):
            if not variable.startswith(prefix):
                continue
            name = variable.removeprefix(prefix).lower()
            allowed = common if prefix == COMMON_PREFIX else set(kind.__struct_fields__) - common
            if name not in allowed:
                raise ConfigError(_unknown(variable, prefix, allowed))
            found[name] = value
            break
    try:
        return msgspec.convert(found, kind, strict=False)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{service}: a setting has a bad value: {error}") from error


def _unknown(variable: str, prefix: str, allowed: set[str]) -> str:
    names = [prefix + name.upper() for name in sorted(allowed)]
    near = difflib.get_close_matches(variable, names, n=1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(names) or 'none'}"
    return f"{variable} is not a setting; {hint}"


def describe(kind: type[Common], service: str) -> list[Setting]:
    """
    Return every setting of *kind* with its default and the sentence beneath it, for the reference.
    """
    own_prefix = service.upper().replace("-", "_") + "_"
    common = set(Common.__struct_fields__)
    sentences = {**_sentences(Common), **_sentences(kind)}
    settings = []
    for field in msgspec.structs.fields(kind):
        prefix = COMMON_PREFIX if field.name in common else own_prefix
        settings.append(
            Setting(
                prefix + field.name.upper(),
                _type_name(field.type),
                repr(field.default),
                sentences[field.name],
            )
        )
    return settings


def _type_name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))


def _sentences(kind: type[Common]) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    sentences: dict[str, str] = {}
    for field, sentence in itertools.pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(sentence, ast.Expr)
            and isinstance(sentence.value, ast.Constant)
        ):
            sentences[field.target.id] = " ".join(str(sentence.value.value).split())
    return sentences
