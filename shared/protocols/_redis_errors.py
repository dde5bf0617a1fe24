"""
What Redis' error replies mean: the first word tells, and has a number here that `bpf/l7/redis_commands.h` shares.
"""

from __future__ import annotations

import re
from typing import Final

from shared.messages.kernel import Outcome

CALLER: Final = {
    "ERR": 1, "WRONGTYPE": 4, "NOAUTH": 5, "WRONGPASS": 6, "NOPERM": 7, "NOSCRIPT": 8, "EXECABORT": 9, "CROSSSLOT": 10,
    "BUSYGROUP": 11, "BUSYKEY": 12, "NOGROUP": 13, "NOPROTO": 14, "NOTBUSY": 15, "UNKILLABLE": 16,
}  # fmt: skip
"""What the command, its arguments or the one who sends it got wrong."""
SERVER: Final = {
    "OOM": 17, "LOADING": 18, "READONLY": 19, "BUSY": 20, "CLUSTERDOWN": 21, "TRYAGAIN": 22, "MISCONF": 23,
    "MASTERDOWN": 24, "NOREPLICAS": 25, "UNBLOCKED": 26, "MAXCLIENTS": 27, "IOERR": 28,
}  # fmt: skip
"""What a correct command meets when the server cannot serve it now."""
REDIRECTIONS: Final = {"MOVED": 2, "ASK": 3}
"""A cluster says where the key is: nobody's failure."""
OTHER: Final = 99
"""A word of a module or of a script."""

CROWDED: Final = b"ERR max "
"""How "max number of clients reached" begins, which has no word of its own."""

_WORD: Final = re.compile(rb"[A-Z][A-Z0-9_]{1,31}(?=[ \r\n]|\Z)")


def shown(head: bytes, at: int) -> int:
    """
    Return how many bytes of the error that stands at *at* may leave the node.
    """
    if head.startswith(CROWDED, at):
        return len(CROWDED)
    found = _WORD.match(head, at)
    return len(found[0]) if found else 0


def word(head: bytes, at: int) -> str:
    """
    Return the word of the error that stands at *at*.
    """
    if head.startswith(CROWDED, at):
        return "MAXCLIENTS"
    found = _WORD.match(head, at)
    return found[0].decode("ascii") if found else ""


def judged(error: str) -> tuple[Outcome, int]:
    """
    Return who is at fault for *error*, and its number.
    """
    if error in REDIRECTIONS:
        return Outcome.OK, REDIRECTIONS[error]
    if error in CALLER:
        return Outcome.CLIENT_ERROR, CALLER[error]
    return Outcome.SERVER_ERROR, SERVER.get(error, OTHER)
