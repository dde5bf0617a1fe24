"""
Measures every language and writes the table: `python -m tests.kernel.languages`.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Final

from services.probe_manager.kernel import Kernel
from tests.compiled import DEFINES
from tests.kernel.l7.lab import SCOPE_TREE, Lab
from tests.kernel.l7.secure import Secure
from tests.kernel.languages.measure import LANGUAGES, TIMES, Language, Seen, Servers, UnavailableError, measure, missing

PAGE: Final = Path(__file__).parents[3] / "docs" / "reference" / "languages.md"
HEAD: Final = f"""\
# Languages

Written by `python -m tests.kernel.languages`, which runs the same program in every language that is installed.
Each asks a web server {TIMES} times over one connection, and Redis for {TIMES} PINGs, in plain and then inside TLS.
The figures are what was counted at the program's own side; {TIMES} and {TIMES} is all of it.
Where a TLS library cannot be hooked, handshakes are counted, and the turns of what is encrypted.

| language | TLS library | plain: HTTP, Redis | TLS: HTTP, Redis | TLS: handshakes, turns | lost |
|---|---|---|---|---|---|
"""
TAIL: Final = """
Java's JSSE is compiled while it runs and has no function to hook.
rustls has functions that are handed plain text, but they move no bytes of a socket and the connection moves about in
memory: which socket it belongs to cannot be told for sure, and meshlens does not guess.
Of both the field `opaque` of the instance says so.
"""


def row(language: Language, plain: Seen, encrypted: Seen, lost: int) -> str:
    """
    Return a line of the table.
    """
    cells = [language.name, language.library, f"{plain.http}, {plain.redis}", f"{encrypted.http}, {encrypted.redis}"]
    return f"| {' | '.join([*cells, f'{encrypted.handshakes}, {encrypted.turns}', str(lost)])} |\n"


def table(kernel: Kernel) -> str:
    """
    Return the table, measured now.
    """
    lines = ""
    for language in LANGUAGES:
        lacking = missing(language)
        if lacking:
            lines += f"| {language.name} | {language.library} | not run: no {', '.join(lacking)} | | | |\n"
            continue
        lab = Lab(kernel)
        secure = Secure(lab, kernel, one_by_one=True)
        try:
            servers, folder = Servers(secure), lab.folder / "build"
            folder.mkdir()
            try:
                command = language.build(folder)
            except UnavailableError as lack:
                lines += f"| {language.name} | {language.library} | not run: no {lack} | | | |\n"
                continue
            plain = measure(secure, servers, command, encrypted=False)
            encrypted = measure(secure, servers, command, encrypted=True)
            lines += row(language, plain, encrypted, sum(lab.lost().values()))
        finally:
            secure.close()
            lab.close()
    return lines


def main() -> None:
    """
    Load the probes, measure, and write the page.
    """
    named = os.environ.get("MESHLENS_TEST_PROTOCOLS")
    protocols = None if named is None else frozenset(named.split(","))
    kernel = Kernel(Path(f"/sys/fs/bpf/meshlens-languages-{os.getpid()}"), DEFINES, {}, protocols=protocols)
    try:
        for probe in ("process_lifetime", "socket_l7", "tls_l7"):
            kernel.load(probe)
        kernel.map("scope_kinds").write(bytes(4), struct.pack("<I", SCOPE_TREE))
        PAGE.write_text(HEAD + table(kernel) + TAIL, encoding="utf-8")
    finally:
        kernel.close(remove=True)


if __name__ == "__main__":
    main()
