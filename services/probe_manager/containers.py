"""
Which container a process runs in, told by the path of its cgroup.
"""

from __future__ import annotations

import re
from typing import Final

_ID: Final = re.compile(r"(?<![0-9a-f])([0-9a-f]{64})(?![0-9a-f])")


def container_of(cgroup: str) -> str:
    """
    Return the container id in the path *cgroup*, or an empty string.

    The runtimes write it differently, but all of them end a component with 64 hexadecimal digits:
    `/docker/<id>`, `/system.slice/docker-<id>.scope`, `/machine.slice/libpod-<id>.scope/container`,
    `/kubepods.slice/.../cri-containerd-<id>.scope`, `/kubepods/burstable/pod<uid>/<id>`,
    `/kubepods.slice/.../crio-<id>.scope`. The innermost one counts: a container may run in a container.
    """
    for component in reversed(cgroup.split("/")):
        if "conmon" in component:  # the monitor of a container is not inside it
            return ""
        found = _ID.findall(component)
        if found:
            return str(found[-1])
    return ""


def cgroup_of(text: str) -> tuple[str, str]:
    """
    Return the cgroup v2 path and the container id from *text*, the content of `/proc/<pid>/cgroup`.

    On a host with both hierarchies the runtimes use the older one, so the id is looked for in all lines.
    """
    unified, container = "", ""
    for line in text.splitlines():
        hierarchy, _, rest = line.partition(":")
        path = rest.partition(":")[2].removesuffix(" (deleted)")
        if hierarchy == "0":
            unified = path
        container = container or container_of(path)
    return unified, container
