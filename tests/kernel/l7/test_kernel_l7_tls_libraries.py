"""
TLS libraries that are not where others have theirs: in a mount namespace, loaded late, replaced, and hooked by a
probe-manager that was killed.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from services.probe_manager.encrypted import LOOK_AFTER, LOOK_EVERY
from shared.messages.kernel import Protocol
from tests.kernel.l7.lab import DEADLINE_S, PROGRAM_S, requests_of
from tests.kernel.l7.secure import Secure
from tests.kernel.languages.measure import PROGRAMS, TIMES, Seen, Servers, seen, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Iterator

    from services.probe_manager.kernel import Kernel
    from tests.kernel.l7.lab import Lab

pytestmark = pytest.mark.kernel

ALL: Final = Seen(http=TIMES, redis=TIMES, handshakes=2, turns=0, others=0)
ENTER: Final = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def must(result):
    if result: raise OSError(ctypes.get_errno(), "refused")
root, image, *words = sys.argv[1:]
must(libc.unshare(0x20000))
must(libc.mount(b"none", b"/", None, 0x44000, None))
if image:
    own = os.path.dirname(root)
    must(libc.mount(b"tmpfs", own.encode(), b"tmpfs", 0, None))
    for name in ("root", "up", "work"): os.mkdir(f"{own}/{name}")
    layers = f"lowerdir={image},upperdir={own}/up,workdir={own}/work"
    must(libc.mount(b"overlay", root.encode(), b"overlay", 0, layers.encode()))
else:
    must(libc.mount(root.encode(), root.encode(), None, 0x1000, None))
os.makedirs(f"{root}/before", exist_ok=True)
os.chdir(root)
must(libc.syscall(155, b".", b"before"))
os.chdir("/")
must(libc.umount2(b"/before", 2))
os.execv(words[0], words)
"""
"""Executes words in a root of their own: a folder, or an overlay over an image, as containers have it."""
LATE: Final = """
import sys
print("ready", flush=True)
sys.stdin.readline()
import ssl
print("loaded", flush=True)
{program}
"""
PAUSES: Final = """
import http.client, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
client = http.client.HTTPSConnection("localhost", int(sys.argv[1]), context=context)
client.request("GET", "/x"); client.getresponse().read()
for line in sys.stdin:
    for _ in range(int(line)):
        client.request("GET", "/x"); client.getresponse().read()
    print("did", line.strip(), flush=True)
"""
"""Asks once, and then as often as each line says, over one connection."""


@pytest.fixture(params=["a file for all", "process by process"])
def secure(hooked: Kernel, lab: Lab, request: pytest.FixtureRequest) -> Iterator[Secure]:
    """
    Hooks in private copies of the libraries, kept in bpffs.
    """
    made = Secure(lab, hooked, one_by_one=request.param != "a file for all", kept=True)
    yield made
    made.close()
    assert [] == hooks_of(made)


def hooks_of(secure: Secure) -> list[str]:
    """
    Return what is kept in bpffs, one for each file and owner.
    """
    assert secure.kept is not None
    return sorted(path.name for path in secure.kept.iterdir()) if secure.kept.exists() else []


def look_until_let_go(secure: Secure) -> None:
    """
    Look as often as it takes until what nobody uses is let go.
    """
    for _ in range(LOOK_EVERY):
        secure.look()


def image(secure: Secure) -> Path:
    """
    Return a folder that holds the C program with every library that it needs, and what these read.
    """
    if not shutil.which("gcc") or not Path("/usr/include/openssl/ssl.h").exists():
        pytest.skip("optional: there is no gcc with OpenSSL's headers: apt-get install gcc libssl-dev")
    root = secure.lab.folder / "image"
    (root / "etc").mkdir(parents=True)
    subprocess.run(["gcc", "-o", root / "ask", PROGRAMS / "ask.c", "-lssl", "-lcrypto"], check=True, timeout=PROGRAM_S)
    needed = subprocess.run(["ldd", root / "ask"], check=True, capture_output=True, text=True, timeout=PROGRAM_S).stdout
    for path in re.findall(r"(/\S+) \(", needed):
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path[1:])
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    shutil.copy(secure.certificate, root / "cert.pem")
    return root


def start(secure: Secure, servers: Servers, *enter: object) -> subprocess.Popen[bytes]:
    """
    Start the C program in a root of its own, and return when it waits for its line.
    """
    words = ["/ask", f"https://localhost:{servers.secure[0]}/x", TIMES, servers.secure[1], "/cert.pem"]
    program = secure.lab.run(sys.executable, "-c", ENTER, *enter, *words)
    wait_until_ready(secure.lab, program)
    return program


def go_on(program: subprocess.Popen[bytes], line: str = "") -> None:
    """
    Give the program its line.
    """
    assert program.stdin is not None
    program.stdin.write(f"{line}\n".encode())
    program.stdin.flush()


def test_a_root_of_its_own(secure: Secure) -> None:
    """
    A program in its own mount namespace, whose libraries have no path outside, is seen whole; its hooks end with it.
    """
    servers, root = Servers(secure), image(secure)
    program = start(secure, servers, root, "")
    assert "/lib/x86_64-linux-gnu/libssl.so.3" in Path(f"/proc/{program.pid}/maps").read_text(encoding="utf-8")
    assert Path(f"/proc/{program.pid}/ns/mnt").readlink() != Path("/proc/self/ns/mnt").readlink()
    secure.look()
    assert 1 == len(hooks_of(secure))
    go_on(program)
    assert 0 == program.wait(PROGRAM_S)

    assert seen(secure, servers.secure) == ALL
    assert {} == secure.lab.lost()
    secure.lab.ignore(program.pid)
    look_until_let_go(secure)
    assert [] == hooks_of(secure)


def test_two_containers_of_one_image(secure: Secure) -> None:
    """
    Programs that share a library below different overlays are counted once each; the hooks stay until the last ends.
    """
    servers, below = Servers(secure), image(secure)
    programs = []
    for name in ("first", "second"):
        (secure.lab.folder / name).mkdir()
        programs.append(start(secure, servers, secure.lab.folder / name / "root", below))
    secure.look()
    for times, program in enumerate(programs, 1):
        assert hooks_of(secure)
        go_on(program)
        assert 0 == program.wait(PROGRAM_S)
        assert Seen(*(times * count for count in ALL)) == seen(secure, servers.secure)
        secure.lab.ignore(program.pid)
        look_until_let_go(secure)

    assert [] == hooks_of(secure)
    assert {} == secure.lab.lost()


def test_a_library_that_is_loaded_late(secure: Secure) -> None:
    """
    One look after a program has loaded its library it is hooked, however long the program has run.
    """
    servers = Servers(secure)
    code = (PROGRAMS / "ask.py").read_text().replace('print("ready", flush=True)', "")
    words = [f"https://localhost:{servers.secure[0]}/x", TIMES, servers.secure[1], secure.certificate]
    program = secure.run(sys.executable, "-c", LATE.format(program=code), *words)
    wait_until_ready(secure.lab, program)
    for _ in range(LOOK_AFTER[-1] + 2):
        secure.look()
    assert [] == hooks_of(secure)
    go_on(program)
    wait_until_ready(secure.lab, program, "loaded")
    secure.look()
    go_on(program)
    assert 0 == program.wait(PROGRAM_S)

    assert seen(secure, servers.secure) == ALL


def test_a_library_that_is_replaced(secure: Secure) -> None:
    """
    A program keeps the file it has mapped, though the name is another file's by then; both are hooked.
    """
    servers = Servers(secure)
    words = [f"https://localhost:{servers.secure[0]}/x", TIMES, servers.secure[1], secure.certificate]
    programs = []
    for number in range(2):
        programs.append(secure.run(sys.executable, PROGRAMS / "ask.py", *words))
        wait_until_ready(secure.lab, programs[-1])
        for path in list(secure.libraries.iterdir()):
            shutil.copy(path, secure.lab.folder / "new")
            (secure.lab.folder / "new").rename(path)
        gone = f"{secure.libraries}/libssl.so.3 (deleted)"
        assert gone in Path(f"/proc/{programs[number].pid}/maps").read_text(encoding="utf-8")
    secure.look()
    assert 2 == len({tuple(name.split(":")[2:]) for name in hooks_of(secure)})
    for program in programs:
        go_on(program)
        assert 0 == program.wait(PROGRAM_S)

    assert Seen(*(2 * count for count in ALL)) == seen(secure, servers.secure)


def test_hooks_outlive_who_made_them(secure: Secure) -> None:
    """
    When the process that hooks is killed, nothing is missed until its successor comes; that one ends what it finds.
    """
    servers = Servers(secure)
    client = secure.run(sys.executable, "-c", PAUSES, servers.secure[0], secure.certificate)
    secure.lab.until(lambda: "libssl" in Path(f"/proc/{client.pid}/maps").read_text(encoding="utf-8"), "the library")
    secure.lab.until(lambda: requests_of(secure.lab.called(servers.secure[0], Protocol.TLS)) >= 1, "its handshake")
    hooking = os.fork()
    if not hooking:
        try:
            secure.look()
        finally:
            os.kill(os.getpid(), signal.SIGKILL)
    assert -signal.SIGKILL == os.waitstatus_to_exitcode(os.waitpid(hooking, 0)[1])
    kept = hooks_of(secure)
    assert 1 == len(kept)
    go_on(client, "53")
    wait_until_ready(secure.lab, client, "did 53")
    secure.encrypted = secure.begin()
    secure.look()
    assert kept == hooks_of(secure)
    go_on(client, "47")
    wait_until_ready(secure.lab, client, "did 47")
    client.terminate()
    client.wait(DEADLINE_S)

    assert 100 == requests_of(secure.lab.called(servers.secure[0], Protocol.HTTP1))
    secure.lab.ignore(client.pid)
    look_until_let_go(secure)
    assert [] == hooks_of(secure)
