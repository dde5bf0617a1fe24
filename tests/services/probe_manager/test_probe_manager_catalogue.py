"""
What the probes say of themselves.
"""

from __future__ import annotations

import pytest

from services.probe_manager.catalogue import FIRST, REQUIRED, catalogue, read
from services.probe_manager.node import read_catalogue
from shared.errors import ConfigError

BLOCK = """\
// SPDX-License-Identifier: GPL-2.0
/*
 * What happens, and
 * to whom?
 *
 * hooks:   one, and
 *          another
 * emits:   nothing
 * kernel:  5.8
 * cost:    none
 * misses:  the rest
 */
"""


def test_the_block_is_read_field_by_field() -> None:
    """
    The question comes first; what goes on in the next line belongs to its field.
    """
    found = read("some", BLOCK)

    assert ("What happens, and to whom?", "one, and another", "the rest", "") == (
        found.question, found.hooks, found.misses, found.fallback,
    )  # fmt: skip


@pytest.mark.parametrize("line", [" * cost:    none\n", " * What happens, and\n * to whom?\n", "/*\n"])
def test_a_block_that_lacks_something_is_refused(line: str) -> None:
    """
    A probe that does not say what it costs or asks is not accepted, and the text says what is missing.
    """
    with pytest.raises(ConfigError, match="some"):
        read("some", BLOCK.replace(line, ""))


def test_the_order_is_that_of_loading() -> None:
    """
    Those that the others stand on come first, the rest by name.
    """
    sources = dict.fromkeys([*reversed(FIRST), "zebra", "apple"], BLOCK)

    assert [*FIRST, "apple", "zebra"] == [probe.name for probe in catalogue(sources)]


def test_every_probe_of_the_tree_says_what_it_is_for() -> None:
    """
    All files of bpf/ have the block, and the required ones are among them.
    """
    names = {probe.name for probe in read_catalogue()}

    assert names >= REQUIRED | {"socket_l7"}
