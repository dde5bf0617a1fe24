"""
A link that loses packets: a fault for the demonstration, and for tests of retransmissions and drops.

`python -m deploy.demo.lossy_link --netns shop-cart --interface eth0 --drop 0.05` drops one in twenty IP packets, each
way; `--count` says how many it has dropped, `--remove` heals it. Needs root, `tc` and `nsenter`.

It works where netem is not built in: a classifier of a few instructions on the interface's clsact draws a random number
for each packet. Only IP is dropped, so that neighbours still find each other. What is lost on the way in looks to TCP
like a loss in the network: the sender retransmits. What is lost on the way out is known to the sending host, which
sends it again by itself and names the drop.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from services.probe_manager import bpf
from shared.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

PINS: Final = Path("/sys/fs/bpf/meshlens-lossy-link")
_SCHED_CLS, _ARRAY = 3, 2
_PROTOCOL: Final = 16
"""Offset of the protocol in `struct __sk_buff`, in network order."""
_IPV4, _IPV6 = int.from_bytes(b"\x08\x00", sys.byteorder), int.from_bytes(b"\x86\xdd", sys.byteorder)
_TC_OK, _TC_SHOT = 0, 2
_LOOKUP, _RANDOM = 1, 7


def _instruction(code: int, to: int = 0, source: int = 0, jump: int = 0, value: int = 0) -> bytes:
    return struct.pack("<BBhI", code, source << 4 | to, jump, value & 0xFFFFFFFF)


def program(drop_ratio: float, counter_fd: int) -> bytes:
    """
    Return a classifier that drops *drop_ratio* of the IP packets and counts these in the map *counter_fd*.
    """
    threshold = min(round(drop_ratio * (1 << 32)), (1 << 32) - 1)
    return b"".join(
        [
            _instruction(0x61, to=2, source=1, jump=_PROTOCOL),  # r2 = skb->protocol
            _instruction(0x15, to=2, jump=1, value=_IPV4),  # if r2 == IPv4 skip one
            _instruction(0x55, to=2, jump=13, value=_IPV6),  # if r2 != IPv6 goto pass
            _instruction(0x85, value=_RANDOM),  # r0 = random u32
            _instruction(0xB4, to=1, value=threshold),  # r1 = threshold
            _instruction(0x3D, to=0, source=1, jump=10),  # if r0 >= r1 goto pass
            _instruction(0x62, to=10, jump=-4),  # key on the stack = 0
            _instruction(0xBF, to=2, source=10),  # r2 = stack
            _instruction(0x07, to=2, value=-4),  # r2 -= 4
            _instruction(0x18, to=1, source=1, value=counter_fd) + _instruction(0),  # r1 = map
            _instruction(0x85, value=_LOOKUP),  # r0 = look-up
            _instruction(0x15, to=0, jump=2),  # if r0 == 0 skip two
            _instruction(0xB7, to=1, value=1),  # r1 = 1
            _instruction(0xDB, to=0, source=1),  # atomic *r0 += 1
            _instruction(0x05, jump=2),  # goto drop
            _instruction(0xB7, to=0, value=_TC_OK),  # pass:
            _instruction(0x95),
            _instruction(0xB7, to=0, value=_TC_SHOT),  # drop:
            _instruction(0x95),
        ]
    )


def install(netns: str, interface: str, drop_ratio: float, directions: Sequence[str] = ("ingress", "egress")) -> None:
    """
    Drop *drop_ratio* (0 to 1) of the IP packets that cross *interface* of the network namespace *netns*.

    Args:
        netns: its name; empty for the namespace of the caller.
        interface: such as `eth0`.
        drop_ratio: replaces an earlier one on the same interface.
        directions: `ingress` for what arrives, `egress` for what leaves.

    Raises:
        ConfigError: the ratio is out of range, or the interface is not there.
    """
    if not 0.0 <= drop_ratio <= 1.0:
        raise ConfigError(f"the share of packets to drop is from 0 to 1, not {drop_ratio}")
    remove(netns, interface)
    folder = _folder(netns, interface)
    folder.mkdir(parents=True)
    counter = bpf.create_map("dropped", bpf.Shape(_ARRAY, 4, 8, 1))
    loaded = bpf.load_program("lossy_link", program(drop_ratio, counter.fd), _SCHED_CLS)
    try:
        bpf.pin(counter.fd, folder / "dropped")
        bpf.pin(loaded, folder / "program")
        _tc(netns, "qdisc", "add", "dev", interface, "clsact")
        for direction in directions:
            chosen = ("bpf", "direct-action", "object-pinned", str(folder / "program"))
            _tc(netns, "filter", "add", "dev", interface, direction, *chosen)
    except BaseException:
        remove(netns, interface)
        raise
    finally:
        counter.close()
        os.close(loaded)


def remove(netns: str, interface: str) -> None:
    """
    Let all packets through again; does nothing where nothing is installed.
    """
    folder = _folder(netns, interface)
    if not folder.exists():
        return
    with contextlib.suppress(ConfigError):  # the interface may be gone, and the program with it
        _tc(netns, "qdisc", "del", "dev", interface, "clsact")
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    with contextlib.suppress(OSError):  # other links are lossy too
        PINS.rmdir()


def dropped(netns: str, interface: str) -> int:
    """
    Return how many packets were dropped since `install`; 0 where nothing is installed.
    """
    path = _folder(netns, interface) / "dropped"
    if not path.exists():
        return 0
    counter = bpf.Map(bpf.pinned(path), "dropped")
    try:
        return int.from_bytes(counter.read(bytes(4)) or b"", "little")
    finally:
        counter.close()


def _folder(netns: str, interface: str) -> Path:
    # Two demos have interfaces of the same name: the namespace's inode tells them apart.
    namespace = Path("/run/netns", netns) if netns else Path("/proc/self/ns/net")
    identity = namespace.stat().st_ino if namespace.exists() else netns
    return PINS / f"{identity}:{interface}".replace("/", "_").replace(".", "_")


def _tc(netns: str, *arguments: str) -> None:
    enter = ["nsenter", f"--net=/run/netns/{netns}"] if netns else []
    done = subprocess.run([*enter, "tc", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"tc {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command; return its exit status.
    """
    parser = argparse.ArgumentParser(prog="lossy_link", description="Make a link lose packets, and heal it.")
    parser.add_argument("--netns", default="", help="name of the network namespace; without it the caller's")
    parser.add_argument("--interface", required=True)
    parser.add_argument("--direction", choices=("ingress", "egress", "both"), default="both")
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--drop", type=float, metavar="RATIO", help="share of the packets to drop, 0 to 1")
    action.add_argument("--count", action="store_true", help="print how many were dropped")
    action.add_argument("--remove", action="store_true", help="let all packets through again")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.drop is not None:
            directions = ("ingress", "egress") if chosen.direction == "both" else (chosen.direction,)
            install(chosen.netns, chosen.interface, chosen.drop, directions)
        elif chosen.remove:
            remove(chosen.netns, chosen.interface)
        else:
            print(dropped(chosen.netns, chosen.interface))
    except (ConfigError, OSError) as error:
        print(f"lossy_link: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
