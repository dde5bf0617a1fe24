"""
What the compiler is given for a probe, and what makes it another probe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import pytest

from services.probe_manager.recipe import FOR_FALLBACK, Recipe, has_fallback

if TYPE_CHECKING:
    from services.probe_manager.btf import Btf

PROBE: Final = "socket_l7"


class Types:
    """
    The types of a kernel that has each field that is asked for at one place.
    """

    def defines(self, source: str) -> dict[str, int]:
        """
        Return one offset, and the limit of endpoints, which settings name too.
        """
        return {"OFFSET_OF_ALL": 8, "ENDPOINT_LIMIT": len(source)}


def recipe(
    *,
    release: str = "6.1.0",
    limit: int = 101,
    entries: int = 7,
    protocols: frozenset[str] | None = frozenset(),
) -> Recipe:
    """
    Return a recipe that differs from the usual one in what is named.
    """
    types = cast("Btf", Types())
    return Recipe(types, release, {"ENDPOINT_LIMIT": limit}, {"instances": entries}, protocols)


def test_numbers_come_from_the_kernel_and_settings_go_before() -> None:
    """
    What the kernel's types say and what settings say reach the compiler, settings last.
    """
    unit = recipe().unit(PROBE, "text", fallback=False)

    assert (PROBE, "text") == (unit.name, unit.text)
    assert ["-fno-unroll-loops", "-DENDPOINT_LIMIT=101", "-DOFFSET_OF_ALL=8"] == unit.flags
    assert FOR_FALLBACK in recipe().unit(PROBE, "text", fallback=True).flags


@pytest.mark.parametrize(
    "other",
    [recipe(release="6.12.0"), recipe(limit=102), recipe(entries=8), recipe(protocols=frozenset({"dns_tcp"})),
     recipe(protocols=None)],
)  # fmt: skip
def test_whatever_takes_part_is_in_the_fingerprint(other: Recipe) -> None:
    """
    Another kernel, number, size or choice of protocols is another recipe; the same is the same.
    """
    assert recipe().fingerprint == recipe().fingerprint
    assert recipe().fingerprint != other.fingerprint


def test_framed_protocols_are_a_part_of_their_own() -> None:
    """
    A probe with framed protocols has two parts, and the second one can do without some of them.
    """
    both = recipe(protocols=frozenset({"dns_tcp", "nats"}))
    first, second = both.units(PROBE, fallback=False)
    less = both.later_without(PROBE, {"nats"})

    assert "match = nats_match" not in first.text
    assert "match = nats_match" in second.text
    assert "match = nats_match" not in less
    assert "match = dns_tcp_match" in less
    assert 1 == len(recipe().units("process_lifetime", fallback=False))


def test_who_has_a_fall_back() -> None:
    """
    A probe has one when its source asks for `FALLBACK`.
    """
    assert has_fallback(recipe().text(PROBE))
    assert not has_fallback(recipe().text("process_lifetime"))
    assert not has_fallback("/* no FALLBACK here */\n#if 1\n#endif\n")
