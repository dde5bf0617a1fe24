"""
Recognition in the kernel, from the first message of a connection: what is claimed is right, and what is known is found.
"""

from __future__ import annotations

import pytest

from tests.recognition.corpus import corpus
from tests.recognition.kernel import kernel_side
from tests.recognition.measure import PRECISION, RECALL

pytestmark = pytest.mark.kernel


def test_first_messages_are_recognised() -> None:
    """
    Of a thousand verdicts at most five are wrong, and of a hundred first messages at most one is missed.
    """
    matrix = kernel_side(corpus())

    assert matrix.precision >= PRECISION, matrix.wrong()
    assert matrix.recall >= RECALL, matrix.wrong()
