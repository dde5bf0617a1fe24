"""
What must not leave a node, in the shapes in which applications have it.
"""

from __future__ import annotations

from typing import Final

SECRETS: Final[dict[str, bytes]] = {
    "card": b"4012888888881881",
    "card, grouped": b"4012-8888-8888-1881",
    "e-mail address": b"bobby.tables@example.org",
    "password": b"Tr0ub4dor&3",
    "pass phrase": b"correct-horse-battery-staple",
    "password of letters": b"hunter2hunter2",
    "JSON web token": b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLW9mLWl0",
    "access key": b"AKIAIOSFODNN7EXAMPLE",
    "secret key": b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "personal token": b"ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "session": b"9f86d081884c7d659a2feaa0c55ad015",
    "private key": b"MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ",
    "account": b"DE89370400440532013000",
}

PLANTED: Final = (b"s3cr3t", b"4111111111111111", b"alice@")
"""What the golden captures hold in the places of secrets."""

INSTEAD: Final[tuple[tuple[bytes, bytes, bytes], ...]] = (
    (b"Zq7Xk9", b"4012888888881881", b"bobby@"),
    (b"hunter", b"5500005555555559", b"carol@"),
    (b"9f86d0", b"6011000990139424", b"d4ve1@"),
    (b"pa$$wd", b"3530111333300000", b"erin7@"),
    (b"eyJhbG", b"0000111122223333", b"frank@"),
)
"""What is put there in turn, each as long as what it replaces: so lengths and frames stay right."""
PIECE: Final = 6
"""So many bytes of a secret in a row are a leak."""
