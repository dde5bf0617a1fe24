"""
Recognition in user space: what is claimed is right, and what is known is found.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shared.messages.kernel import Protocol
from shared.protocols import protocols, recognise
from tests.recognition.corpus import corpus
from tests.recognition.measure import ALONE, PRECISION, RECALL, measure
from tests.recognition.neighbours import FAMILIES
from tests.recognition.page import PAGE, page

if TYPE_CHECKING:
    from tests.recognition.corpus import Example
    from tests.recognition.measure import Matrix


@pytest.fixture(scope="module")
def examples() -> list[Example]:
    """
    The whole corpus.
    """
    return corpus()


@pytest.fixture(scope="module")
def matrix(examples: list[Example]) -> Matrix:
    """
    What each example is taken for.
    """
    return measure(examples, lambda one: recognise(*one.heads)[0])


def test_the_corpus_is_wide(examples: list[Example]) -> None:
    """
    It holds every protocol of the folder that can be captured, more neighbours than protocols, and the same each time.
    """
    known = {one.protocol for one in examples} - {Protocol.UNKNOWN}

    assert set(protocols()) == set(known)
    assert len(FAMILIES) >= 40
    assert examples == corpus()


def test_what_is_claimed_is_right(matrix: Matrix) -> None:
    """
    Of a thousand verdicts at most five are wrong.
    """
    assert matrix.precision >= PRECISION, matrix.wrong()


def test_what_is_known_is_found(matrix: Matrix) -> None:
    """
    Of a hundred conversations in a known protocol at most one is missed.
    """
    assert matrix.recall >= RECALL, matrix.wrong()


def test_a_request_alone_is_mostly_enough(examples: list[Example]) -> None:
    """
    Before anybody has answered, hardly a verdict is wrong, and at most one in twenty-five is missing.
    """
    alone = measure(examples, lambda one: recognise(one.heads[0], b"")[0])

    assert alone.precision >= PRECISION, alone.wrong()
    assert alone.recall >= ALONE, alone.wrong()


def test_a_poor_recogniser_fails(examples: list[Example]) -> None:
    """
    One that takes everything for Redis, and one that recognises nothing, do not pass.
    """
    assert measure(examples, lambda _: Protocol.REDIS).precision < PRECISION
    assert measure(examples, lambda _: Protocol.UNKNOWN).recall < RECALL


def test_the_page_is_made_of_measurements(matrix: Matrix) -> None:
    """
    The page names every family with who it was taken for, and the one in the tree was made by this code.
    """
    made = page({"request and answer": matrix})

    assert all(f"| {family} |" in made for family in FAMILIES)
    assert PAGE.read_text(encoding="utf-8").splitlines()[:12] == made.splitlines()[:12]
