"""
Which functions of which files move plain text, found in the file itself.

A file is asked once; what it is called only decides whether it is worth opening.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec

from services.probe_manager import golang
from services.probe_manager.elf import Elf
from shared.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Sequence


class Hook(msgspec.Struct, frozen=True):
    """
    A place in a file, and the program of `bpf/tls_l7.c` that belongs there.
    """

    program: str
    offset: int
    at_return: bool = False


class Library(msgspec.Struct, frozen=True):
    """
    What one file holds.
    """

    kind: str
    """`OpenSSL`, `GnuTLS`, `Go`; `BoringSSL` where that cannot be hooked; else empty."""
    hooks: tuple[Hook, ...] = ()
    obstacle: str = ""
    """Why its plain text cannot be seen, for the reader; empty when it can or when there is none."""


NOTHING: Final = Library("")
OPENSSL: Final = {
    "SSL_read": "uprobe__read",
    "SSL_write": "uprobe__write",
    "SSL_read_ex": "uprobe__read_ex",
    "SSL_write_ex": "uprobe__write_ex",
    "SSL_do_handshake": "uprobe__handshake",
    "SSL_free": "uprobe__free",
}
"""BoringSSL has those without `_ex` under the same names."""
GNUTLS: Final = {
    "gnutls_record_recv": "uprobe__read",
    "gnutls_record_send": "uprobe__write",
    "gnutls_handshake": "uprobe__handshake",
    "gnutls_deinit": "uprobe__free",
}
END: Final = "uretprobe__end"
_WITHOUT_END: Final = "uprobe__free"
_X86_64: Final = 62
_WORTH: Final = re.compile(r"(?:ssl|tls|crypto|node|netty_tcnative|conscrypt|grpc)", re.IGNORECASE)
_JAVA: Final = re.compile(r"/libjvm\.so$")
JAVA: Final = "Java encrypts in compiled bytecode, which has no function to attach to"
STRIPPED: Final = "its TLS library is part of the program and has no symbols"
RUSTLS: Final = (
    "rustls moves its bytes apart from the calls that are handed plain text, so their connection is not known"
)
BORINGSSL: Final = "a library has BoringSSL built in, without symbols"
BUILT_IN: Final = {b"rustls": RUSTLS, b"BoringSSL": STRIPPED, b"OpenSSL 1.": STRIPPED, b"OpenSSL 3.": STRIPPED}
"""Words among a program's constants that tell of a library in it."""
NOT_HOOKED: Final = frozenset({JAVA, STRIPPED, RUSTLS})
"""These hold for a process only while nothing of it is hooked: a program may mention a library that it loads."""
_MOST_CONSTANTS: Final = 64 << 20


def worth_opening(paths: Sequence[str]) -> list[str]:
    """
    Return those of the mapped *paths* that may hold a TLS library; the program itself is always asked.
    """
    return [path for path in paths if _WORTH.search(path.rsplit("/", 1)[-1])]


def is_java(paths: Sequence[str]) -> bool:
    """
    Return whether a Java virtual machine is among the mapped *paths*.
    """
    return any(_JAVA.search(path) for path in paths)


def examine(descriptor: int) -> Library:
    """
    Return what the open file holds, the obstacle that of a program; a file that is no ELF file holds nothing.
    """
    try:
        elf = Elf(descriptor)
        if elf.machine != _X86_64:
            return NOTHING
        found = elf.functions([*OPENSSL, *GNUTLS])
        for kind, names in (("OpenSSL", OPENSSL), ("GnuTLS", GNUTLS)):
            hooks: list[Hook] = []
            for name in [name for name in names if name in found]:
                hooks.append(Hook(names[name], found[name].offset))
                if names[name] != _WITHOUT_END:
                    hooks.append(Hook(END, found[name].offset, at_return=True))
            if len(hooks) >= 4:  # to read and to write, each with its end
                return Library(kind, tuple(hooks))
        return _go(elf) if golang.is_go(elf) else _built_in(elf)
    except Malformed:
        return NOTHING


def _built_in(elf: Elf) -> Library:
    constants = elf.section(".rodata")
    if constants is None or constants.size > _MOST_CONSTANTS:
        return NOTHING
    text = elf.read(constants.offset, constants.size)
    why = next((why for word, why in BUILT_IN.items() if word in text), "")
    return Library("BoringSSL" if b"BoringSSL" in text else "", (), why)


def _go(elf: Elf) -> Library:
    places, obstacle = golang.places(elf)
    return Library("Go", tuple(Hook(program, offset) for program, offset in places), obstacle)
