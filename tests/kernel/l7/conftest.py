"""
The probes on each of their two sets of hooks, and a laboratory for each test.
"""

from __future__ import annotations

import functools
import os
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from services.probe_manager.btf import Btf
from services.probe_manager.kernel import Kernel
from services.probe_manager.loaded import FALLBACK, PREFERRED
from tests.compiled import SharedKernel
from tests.conftest import BTF
from tests.kernel.l7.lab import SCOPE_TREE, Lab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PINS = Path("/sys/fs/bpf")


def chosen_protocols() -> frozenset[str] | None:
    """
    Return the framed protocols to build: those that MESHLENS_TEST_PROTOCOLS names, or all.
    """
    named = os.environ.get("MESHLENS_TEST_PROTOCOLS")
    return None if named is None else frozenset(named.split(","))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Leave the clients of the servers their ways: some forget a socket when they are refused or cut off.
    """
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"))


def sweep() -> None:
    """
    Detach what a run that was killed has left: its hooks would cost everybody.
    """
    for left in PINS.glob("meshlens-test-*"):
        owners = [word for word in left.name.split("-") if word.isdecimal()]
        if owners and not Path("/proc", owners[0]).exists():
            shutil.rmtree(left, ignore_errors=True)


@pytest.fixture(scope="session")
def kernels() -> Iterator[Callable[[str], Kernel]]:
    """
    A function that loads the probes on a set of hooks when it is first asked for, and keeps them: it takes seconds.

    Who is in scope of one of them is not in scope of the other, which then only looks who it is.
    """
    sweep()
    made = dict[str, Kernel]()

    def of(variant: str) -> Kernel:
        if variant not in made:
            pins = PINS / f"meshlens-test-l7-{os.getpid()}-{variant}"
            kernel = made[variant] = SharedKernel(pins, chosen_protocols())
            kernel.load("process_lifetime")
            assert variant == kernel.load("socket_l7", fallback=variant == FALLBACK).variant
            kernel.map("scope_kinds").write(bytes(4), struct.pack("<I", SCOPE_TREE))
        return made[variant]

    yield of
    for kernel in made.values():
        kernel.close(remove=True)


@functools.cache
def lacking(variant: str) -> str:
    """
    Return what this kernel lacks of the set of hooks.
    """
    if variant == FALLBACK or Btf(BTF.read_bytes()).type_id("typedef", "btf_trace_sock_send_length") is not None:
        return ""
    return "optional: needs sock_send_length, Linux 6.3"


@pytest.fixture(scope="session", params=[PREFERRED, FALLBACK])
def loaded(request: pytest.FixtureRequest, kernels: Callable[[str], Kernel]) -> Kernel:
    """
    The probes on each of their two sets of hooks.
    """
    if lack := lacking(request.param):
        pytest.skip(lack)
    return kernels(request.param)


@pytest.fixture(scope="module")
def hooked(loaded: Kernel) -> Iterator[Kernel]:
    """
    The probes with that of plain text.
    """
    loaded.load("tls_l7", fallback=loaded.probes["socket_l7"].variant == FALLBACK)
    yield loaded
    loaded.unload("tls_l7")


@pytest.fixture
def lab(loaded: Kernel) -> Iterator[Lab]:
    """
    A laboratory of one test.
    """
    made = Lab(loaded)
    try:
        yield made
    finally:
        made.close()
