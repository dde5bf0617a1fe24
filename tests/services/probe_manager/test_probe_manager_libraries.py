"""
TLS libraries: where their functions lie, where a function returns, and what is said when one cannot be hooked.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import re
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from services.probe_manager import libraries
from services.probe_manager.elf import Elf
from services.probe_manager.encrypted import Encrypted, mapped
from services.probe_manager.instructions import returns
from shared.errors import Malformed
from shared.messages.kernel import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED: Final = ssl.create_default_context()
"""Makes sure that this process has mapped a TLS library."""


def own(name: str) -> Path:
    """
    Return the path of the library *name* that this process has mapped.
    """
    for file in mapped(Path("/proc/self/maps").read_text(encoding="utf-8")):
        if name in file.path.rsplit("/", 1)[-1]:
            return Path(file.path)
    pytest.skip(f"this Python has no shared {name}")


@pytest.fixture
def library() -> Iterator[int]:
    """
    The TLS library of this process, open.
    """
    descriptor = os.open(own("libssl"), os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


@contextlib.contextmanager
def program(*others: str) -> Iterator[int]:
    """
    Run a program that has mapped a TLS library, and the libraries *others*; yield its pid.
    """
    own("libssl")
    load = "import ctypes, ssl, sys; [ctypes.CDLL(path) for path in sys.argv[1:]]; print(flush=True); sys.stdin.read()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", load, *others], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        assert b"\n" == process.stdout.readline()
        yield process.pid
        process.kill()


def test_functions_lie_where_the_linker_finds_them(library: int) -> None:
    """
    The place in the file is that of the address which the dynamic linker gives, less where the file was mapped.
    """
    path = str(own("libssl"))
    found = Elf(library).functions(["SSL_read", "SSL_write", "SSL_nothing"])
    places = {}
    for name in ("SSL_read", "SSL_write"):
        address = ctypes.cast(getattr(ctypes.CDLL(path), name), ctypes.c_void_p).value or 0
        for line in Path("/proc/self/maps").read_text(encoding="utf-8").splitlines():
            low, high = (int(part, 16) for part in line.split()[0].split("-"))
            if low <= address < high:
                places[name] = address - low + int(line.split()[2], 16)

    assert places == {name: function.offset for name, function in found.items()}


def test_a_library_says_what_it_is(library: int) -> None:
    """
    OpenSSL is hooked where it reads and writes, at both ends of each function, and where it forgets.
    """
    found = libraries.examine(library)

    assert "OpenSSL" == found.kind
    assert {"uprobe__read", "uprobe__write", "uprobe__free", "uretprobe__end"} <= {hook.program for hook in found.hooks}
    assert {hook.program == libraries.END for hook in found.hooks if hook.at_return} == {True}


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"\x7fELF\2\1" + b"\xff" * 200, b"#!/bin/sh\n" * 20])
def test_what_is_no_library_holds_nothing(tmp_path: Path, content: bytes) -> None:
    """
    A file that is not ELF, or whose tables lie, is no error: it holds nothing.
    """
    path = tmp_path / "file"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert libraries.NOTHING == libraries.examine(descriptor)
        with pytest.raises(Malformed):
            Elf(descriptor)
    finally:
        os.close(descriptor)


def test_a_library_cut_anywhere(tmp_path: Path, library: int) -> None:
    """
    However much of a file is missing, reading it ends with what was found or with `Malformed`.
    """
    whole = os.pread(library, 1 << 24, 0)
    path = tmp_path / "cut"
    for length in range(0, len(whole), len(whole) // 37):
        path.write_bytes(whole[:length])
        descriptor = os.open(path, os.O_RDONLY)
        assert libraries.examine(descriptor).kind in ("", "OpenSSL")
        os.close(descriptor)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (b"\xc3", [0]),
        (b"\xb8\xc3\xc3\xc3\xc3\xc3", [5]),
        (b"\x48\xb8" + b"\xc3" * 8 + b"\xc3", [10]),
        (b"\x0f\x84\xc3\xc3\xc3\xc3\xc2\x08\x00\xc3", [6, 9]),
        (b"\xc5\xf8\x10\x44\x24\xc3\xf3\xc3", [6]),
        (b"\x66\x81\x3c\x24\xc3\xc3\xc3", [6]),
        (b"\xf7\x05\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3\xc3", [10]),
        (b"\x0f\x04\xc3", []),
    ],
)
def test_a_byte_within_an_instruction_is_no_return(code: bytes, expected: list[int]) -> None:
    """
    Only whole instructions count, and nothing is found in what cannot be walked.
    """
    assert expected == returns(code)


@pytest.mark.skipif(not shutil.which("objdump"), reason="optional: there is no objdump: apt-get install binutils")
def test_returns_are_those_of_a_disassembler(library: int) -> None:
    """
    In every function of the library that a disassembler can follow, the same RETs are found.
    """
    words = ["objdump", "-d", "--no-show-raw-insn", str(own("libssl"))]
    text = subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout
    compared = 0
    for body in re.split(r"\n\n", text):
        rows = re.findall(r"^ *([0-9a-f]+):\t(\S+)", body, re.MULTILINE)
        offset = Elf(library).offset_of(int(rows[0][0], 16)) if rows and compared < 40 else None
        if offset is None or len(rows) < 20 or "(bad)" in body or ".byte" in body:
            continue
        start, end = int(rows[0][0], 16), int(rows[-1][0], 16)
        expected = [int(at, 16) - start for at, what in rows[:-1] if what in ("ret", "repz")]
        found = [at for at in returns(os.pread(library, end - start, offset)) if at < end - start]
        assert expected == found, body[:80]
        compared += 1

    assert 40 == compared


MAPS: Final = """\
55d0c0a00000-55d0c0a01000 r--p 00000000 fe:01 1234                       /usr/bin/thing
55d0c0a01000-55d0c0a02000 r-xp 00001000 fe:01 1234                       /usr/bin/thing
7f0000000000-7f0000001000 r-xp 00000000 fe:01 99                         /usr/lib/libssl.so.3 (deleted)
7f0000001000-7f0000002000 rw-p 00000000 00:00 0
7ffc00000000-7ffc00002000 r-xp 00000000 00:00 0                          [vdso]
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
"""


def test_what_a_process_has_mapped() -> None:
    """
    Files are known by device and inode; only those that can be executed count.
    """
    found = mapped(MAPS)

    assert ["/usr/bin/thing", "/usr/lib/libssl.so.3"] == [file.path for file in found]
    assert [(os.makedev(0xFE, 1), 1234), (os.makedev(0xFE, 1), 99)] == [file.file for file in found]
    assert "55d0c0a01000-55d0c0a02000" == found[0].at


def test_why_content_cannot_be_seen_is_told() -> None:
    """
    When the kernel refuses, the instance says so, and others say nothing.
    """

    def refused() -> dict[str, int]:
        raise OSError(errno.EPERM, "not allowed")

    encrypted = Encrypted(refused, whole_host=False)
    with program() as pid:
        encrypted.look({pid: 7})
    told = encrypted.told([Instance(i, pid, 0, 0, "/usr/bin/python3") for i in (7, 8)])

    assert "not allowed" in told[0].opaque
    assert "" == told[1].opaque
    assert 1 == len(encrypted.words())
    encrypted.look({})
    assert [] == encrypted.words()


def test_programs_that_are_not_there_yet_are_asked_for_again() -> None:
    """
    While the programs are being loaded, every round asks for them, and nothing is said to stand in the way.
    """
    asked: list[int] = []

    def loading() -> dict[str, int]:
        asked.append(len(asked))
        return {}

    encrypted = Encrypted(loading, whole_host=False)
    with program() as pid:
        for _ in range(7):
            encrypted.look({pid: 7})

    assert list(range(7)) == asked
    assert [] == encrypted.words()


@pytest.mark.skipif(not shutil.which("gcc"), reason="optional: there is no gcc: apt-get install gcc")
@pytest.mark.parametrize(
    ("constant", "expected"),
    [("rustls 0.23", libraries.RUSTLS), ("OpenSSL 3.0.2", libraries.STRIPPED), ("nothing of the kind", "")],
)
def test_a_library_within_the_program_is_named(tmp_path: Path, constant: str, expected: str) -> None:
    """
    A program that carries a TLS library without symbols says why it cannot be looked into.
    """
    (tmp_path / "main.c").write_text(f'#include <stdio.h>\nint main(void) {{ return puts("{constant}") < 0; }}\n')
    subprocess.run(["gcc", "-s", "-o", tmp_path / "main", tmp_path / "main.c"], check=True, timeout=60)
    descriptor = os.open(tmp_path / "main", os.O_RDONLY)
    try:
        assert libraries.Library("", (), expected) == libraries.examine(descriptor)
    finally:
        os.close(descriptor)


@pytest.mark.skipif(not shutil.which("gcc"), reason="there is no gcc: apt-get install gcc")
def test_boringssl_within_a_library_is_told(tmp_path: Path) -> None:
    """
    A process that has loaded BoringSSL without symbols says so, though its other TLS library can be hooked.
    """
    (tmp_path / "main.c").write_text('const char *version(void) { return "BoringSSL"; }\n')
    library = str(tmp_path / "libgrpc.so")
    subprocess.run(["gcc", "-s", "-shared", "-fPIC", "-o", library, str(tmp_path / "main.c")], check=True, timeout=60)
    encrypted = Encrypted(dict, whole_host=False)
    with program(library) as pid:
        encrypted.look({pid: 7})

    assert [f"1 process: {libraries.BORINGSSL}"] == encrypted.words()
