"""
The container id in cgroup paths of each runtime.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.probe_manager.containers import cgroup_of, container_of

ID = "0123456789abcdef" * 4
POD = "pod8c2f3c1e_5d0a_4b6e_9b1f_2f6f1f0a7c11"


@pytest.mark.parametrize(
    "path",
    [
        f"/docker/{ID}",
        f"/system.slice/docker-{ID}.scope",
        f"/system.slice/containerd.service/kubepods-burstable-{POD}.slice:cri-containerd:{ID}",
        f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-{POD}.slice/cri-containerd-{ID}.scope",
        f"/kubepods.slice/kubepods-{POD}.slice/crio-{ID}.scope",
        f"/kubepods/burstable/{POD}/{ID}",
        f"/machine.slice/libpod-{ID}.scope/container",
        f"/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope",
        f"/libpod_parent/libpod-{ID}",
        f"/default/{ID}",
        f"/docker/{'f' * 64}/docker/{ID}/init.scope",
    ],
)
def test_every_runtime_is_understood(path: str) -> None:
    """
    The id is found in the path forms of docker, containerd, podman, cri-o and Kubernetes; the innermost counts.
    """
    assert ID == container_of(path)


@pytest.mark.parametrize(
    "path",
    ["/", "", "/user.slice/session-3.scope", f"/system.slice/{ID[:63]}", f"/x/{ID}0", f"/libpod-conmon-{ID}.scope"],
)
def test_what_is_no_container_has_no_id(path: str) -> None:
    """
    Ordinary groups, digests of another length and a container's monitor are no containers.
    """
    assert "" == container_of(path)


def test_both_hierarchies_are_read() -> None:
    """
    The path comes from the unified hierarchy, the id from whichever line has one.
    """
    text = f"12:cpu,cpuacct:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice/x.service\n"

    assert ("/system.slice/x.service", ID) == cgroup_of(text)


def test_a_removed_group_keeps_its_path() -> None:
    """
    The kernel's remark that a group is gone is not a part of its path.
    """
    assert (f"/docker/{ID}", ID) == cgroup_of(f"0::/docker/{ID} (deleted)\n")


@given(st.text())
def test_any_text_is_survived(text: str) -> None:
    """
    Whatever the file holds, the answer is a path and an id or nothing.
    """
    _, container = cgroup_of(text)

    assert len(container) in (0, 64)
