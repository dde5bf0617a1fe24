"""
Who may ask what: tokens and their roles, the addresses that may be called, and the headers of every answer.

On loopback without tokens everybody who can reach the port is admin; what remains to be kept out is a web page of
somebody else in the operator's browser. It cannot forge `Host` or `Origin`, so both are compared.
"""

from __future__ import annotations

import hmac
import ipaddress
from enum import IntEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

MIN_TOKEN: Final = 24
"""Characters: what is shorter could be guessed."""
SAFE_METHODS: Final = ("GET", "HEAD", "OPTIONS")
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")
COOKIE: Final = "meshlens_session"
SESSION_S: Final = 12 * 3600
MAX_SESSIONS: Final = 1000

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'self'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Role(IntEnum):
    """
    What somebody may do; each may do what those before it may.
    """

    NOBODY = 0
    """Sign in."""
    VIEWER = 1
    """Read."""
    OPERATOR = 2
    """Acknowledge and silence alerts."""
    ADMIN = 3
    """Switch probes."""


def is_loopback(host: str) -> bool:
    """
    Return whether only this machine can reach *host*.
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_tokens(text: bytes, path: str) -> dict[str, Role]:
    """
    Return the roles by token in the JSON *text* of the token file at *path*.

    Raises:
        ConfigError: the file is not what it should be.
    """
    words = {role.name.lower(): role for role in Role if role}
    try:
        found = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise ConfigError(f'{path} is no token file, which is {{"<token>": "viewer"}} in JSON: {error}') from error
    if not found:
        raise ConfigError(f"{path} holds no token: add one for the role admin")
    for token, word in found.items():
        if word not in words:
            raise ConfigError(f"{path}: the role {word!r} is unknown; use viewer, operator or admin")
        if len(token) < MIN_TOKEN or not token.isascii():
            raise ConfigError(f"{path}: a token for {word} is shorter than {MIN_TOKEN} ASCII characters")
    return {token: words[word] for token, word in found.items()}


def role_of(token: str, tokens: Mapping[str, Role]) -> Role | None:
    """
    Return the role of *token*, taking the same time wherever it differs.
    """
    role = None
    for known, its_role in tokens.items():
        if hmac.compare_digest(known.encode(), token.encode("utf-8", "replace")):
            role = its_role
    return role


def bearer(header: str) -> str:
    """
    Return the token of an `Authorization` header, or an empty text.
    """
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


class Sessions:
    """
    Who signed in on the page: a cookie's value to role and end.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[Role, int]] = {}

    def add(self, key: str, role: Role, now_s: int) -> None:
        """
        Remember *key*; beyond `MAX_SESSIONS` the oldest is forgotten.
        """
        if len(self._known) >= MAX_SESSIONS:
            del self._known[next(iter(self._known))]
        self._known[key] = (role, now_s + SESSION_S)

    def role(self, key: str, now_s: int) -> Role | None:
        """
        Return the role behind *key* while its session lasts.
        """
        role, ends_s = self._known.get(key, (None, 0))
        if now_s < ends_s:
            return role
        self._known.pop(key, None)
        return None

    def end(self, key: str) -> None:
        """
        Forget *key*.
        """
        self._known.pop(key, None)


def host_of(header: str) -> str:
    """
    Return the name in a `Host` header without its port; empty when it is malformed.
    """
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def host_allowed(header: str, bound: str, more: tuple[str, ...], *, has_tokens: bool) -> bool:
    """
    Return whether a request may call this service by the name in its `Host` header.

    A name that an attacker made point here (DNS rebinding) is refused. With tokens and no list of names every name is
    taken: the token is not known to the attacker's page.
    """
    if has_tokens and not more:
        return True
    return host_of(header) in (*LOCAL_NAMES, bound.strip("[]"), *more)


def origin_allowed(method: str, origin: str | None, fetch_site: str | None, host: str) -> bool:
    """
    Return whether a request that changes something comes from our own page, or from no page at all.
    """
    if method in SAFE_METHODS:
        return True
    if fetch_site is not None and fetch_site not in ("same-origin", "none"):
        return False
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
