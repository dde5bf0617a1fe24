"""
How well a recogniser does on the corpus: precision, recall, and who is taken for whom.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import msgspec

from shared.messages.kernel import Protocol
from shared.protocols import protocol_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.recognition.corpus import Example

PRECISION: Final = 0.995
RECALL: Final = 0.99
ALONE: Final = 0.96
"""The recall of requests that nobody has answered yet: a ping or a `version` may be anybody's."""


class Matrix(msgspec.Struct, frozen=True):
    """
    How many examples of a family were taken for which protocol.
    """

    counts: Counter[tuple[str, Protocol, Protocol]]
    """Family, what it is, what it was taken for."""

    @property
    def precision(self) -> float:
        """
        Which share of what was recognised was recognised rightly.
        """
        claimed = sum(count for (_, _, taken), count in self.counts.items() if taken is not Protocol.UNKNOWN)
        return self._right() / claimed if claimed else 0.0

    @property
    def recall(self) -> float:
        """
        Which share of what there was to recognise was recognised rightly.
        """
        there = sum(count for (_, true, _), count in self.counts.items() if true is not Protocol.UNKNOWN)
        return self._right() / there if there else 0.0

    def _right(self) -> int:
        return sum(
            count for (_, true, taken), count in self.counts.items() if true is taken and true is not Protocol.UNKNOWN
        )

    def wrong(self) -> list[str]:
        """
        Return what went wrong, the most frequent first.
        """
        return [
            f"{count} of {family} taken for {called(taken)}"
            for (family, true, taken), count in self.counts.most_common()
            if true is not taken
        ]


def called(protocol: Protocol) -> str:
    """
    Return the protocol's name as the page has it.
    """
    return "none" if protocol is Protocol.UNKNOWN else protocol_name(protocol)


def measure(examples: Iterable[Example], recogniser: Callable[[Example], Protocol]) -> Matrix:
    """
    Return what *recogniser* takes each of the examples for.
    """
    return Matrix(Counter((one.family, one.protocol, recogniser(one)) for one in examples))
