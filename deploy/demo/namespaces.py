"""
Network namespaces without names: they live in file descriptors of this process, so the kernel removes them with it.

One namespace is the switch: it holds a bridge. Every program gets a namespace of its own, joined to the bridge by a
pair of virtual interfaces. The host's own namespace is never changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWNET: Final = 0x40000000
MS_BIND: Final = 4096
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
PREFIX: Final = "mld-"
"""Opens the name of every interface on the bridge."""
NETWORK: Final = "10.77.0"
BRIDGE: Final = "mld-bridge"
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """
    One network namespace, held open by a file descriptor.
    """

    def __init__(self) -> None:
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("unshare", CLONE_NEWNET)
            self.descriptor: Final = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            _call("setns", home, CLONE_NEWNET)
        finally:
            os.close(home)

    @property
    def path(self) -> str:
        """
        Return a path by which another program of ours can enter it.
        """
        return f"/proc/{os.getpid()}/fd/{self.descriptor}"

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """
        Be in it for a while; what is started meanwhile is in it for good.
        """
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _call("setns", self.descriptor, CLONE_NEWNET)
            yield
        finally:
            _call("setns", home, CLONE_NEWNET)
            os.close(home)

    def ip(self, commands: list[str]) -> None:
        """
        Run *commands* of `ip` in it.

        Raises:
            ConfigError: one of them fails.
        """
        with self.entered():
            done = subprocess.run(
                ["ip", "-batch", "-"], input="\n".join(commands) + "\n", capture_output=True, text=True, check=False
            )
        if done.returncode:
            raise ConfigError(f"the demo's network cannot be made: {done.stderr.strip()[-300:]}")

    def close(self) -> None:
        """
        Let it go; the kernel removes it when no program is in it any more.
        """
        os.close(self.descriptor)


class Network:
    """
    The switch and the namespaces joined to it.
    """

    def __init__(self, directory: Path) -> None:
        self.switch: Final = Namespace()
        self.members: Final[dict[str, Namespace]] = {}
        self._resolv: Final = directory / "resolv.conf"
        self.has_names: Final = _root_is_a_mount()
        """False inside a bare chroot, where no program can be given a resolv.conf of its own: addresses are used."""
        self.switch.ip(["link set lo up", f"link add {BRIDGE} type bridge", f"link set {BRIDGE} up"])

    def join(self, name: str, address: str) -> None:
        """
        Make a namespace for *name* with *address*.
        """
        member = Namespace()
        self.members[name] = member
        interface = interface_of(name)
        self.switch.ip(
            [
                f"link add {interface} type veth peer name eth0 netns {member.path}",
                f"link set {interface} master {BRIDGE}",
                f"link set {interface} up",
            ]
        )
        member.ip(["link set lo up", f"address add {address}/24 dev eth0", "link set eth0 up"])

    def name_server(self, address: str) -> None:
        """
        Let every program ask *address* for names.
        """
        self._resolv.write_text(f"nameserver {address}\noptions timeout:1 attempts:3\n", encoding="ascii")

    def entrance(self, name: str) -> Callable[[], None]:
        """
        Return what a child calls before it becomes the program *name*: enter the namespace, see our resolv.conf.
        """
        descriptor = self.members[name].descriptor
        resolv = str(self._resolv).encode()
        target = os.path.realpath("/etc/resolv.conf").encode()
        names = self.has_names and os.path.exists(target)

        def enter() -> None:
            _call("setns", descriptor, CLONE_NEWNET)
            if names:
                _call("unshare", CLONE_NEWNS)
                _call("mount", b"none", b"/", None, MS_REC | MS_PRIVATE, None)
                _call("mount", resolv, target, None, MS_BIND, None)

        return enter

    def close(self) -> None:
        """
        Let all namespaces go.
        """
        for member in (*self.members.values(), self.switch):
            member.close()


def interface_of(name: str) -> str:
    """
    Return the bridge's end of the link of *name*: at most 15 characters.
    """
    return f"{PREFIX}{name}"[:15]


def possible() -> str:
    """
    Return why namespaces cannot be made here, or an empty text.
    """
    if os.geteuid() != 0:
        return "not root: the demo runs on loopback addresses instead of network namespaces of its own"
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("unshare", CLONE_NEWNET)
        _call("setns", home, CLONE_NEWNET)
    except OSError as error:
        return f"no network namespaces ({error.strerror}): the demo runs on loopback addresses"
    finally:
        os.close(home)
    return "" if Path("/sbin/ip").exists() or Path("/usr/sbin/ip").exists() else "iproute2 is not installed"


def _root_is_a_mount() -> bool:
    with open("/proc/self/mountinfo", encoding="utf-8") as mounts:
        return any(line.split()[4] == "/" for line in mounts)


def _call(function: str, *arguments: object) -> None:
    if getattr(_LIBC, function)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{function}: {os.strerror(number)}")
