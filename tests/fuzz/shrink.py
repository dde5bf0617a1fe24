"""
Makes what was found small: takes bytes out as long as the same does not hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.fuzz.check import Finding, broken

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.protocols import WireProtocol

SIZES: Final = (256, 64, 16, 4, 1)
ROUNDS: Final = 3
ALIKE: Final = 24
"""So many characters of what does not hold say what kind it is of."""


def shrunk(protocol: WireProtocol, finding: Finding) -> Finding:
    """
    Return a finding of the same kind with as few bytes as possible; costs stay as they are.
    """
    request, response = bytes.fromhex(finding.request), bytes.fromhex(finding.response)
    what = broken(protocol, request, response)
    if not what:
        return finding

    def same(request: bytes, response: bytes) -> bool:
        return broken(protocol, request, response)[:ALIKE] == what[:ALIKE]

    pair = [request, response]
    for _ in range(ROUNDS):
        for side in range(2):
            for size in SIZES:
                _take_out(pair, side, size, same)
    return Finding(finding.protocol, broken(protocol, *pair), pair[0].hex(), pair[1].hex())


def _take_out(pair: list[bytes], side: int, size: int, same: Callable[[bytes, bytes], bool]) -> None:
    at = 0
    while at < len(pair[side]):
        smaller = list(pair)
        smaller[side] = pair[side][:at] + pair[side][at + size :]
        if same(*smaller):
            pair[side] = smaller[side]
        else:
            at += size
