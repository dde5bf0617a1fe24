"""
Which alerts nobody wants to hear of for a while.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shared.messages.alert import Alert, AlertCommand, Silence

LONGEST_PATTERN: Final = 256
LONGEST_COMMENT: Final = 1000


def is_silenced(alert: Alert, silences: Iterable[Silence], now_ns: int) -> bool:
    """
    Return whether a silence that still lasts matches *alert*.
    """
    return any(
        silence.until_ns > now_ns
        and fnmatch.fnmatchcase(alert.template, _literal(silence.template))
        and fnmatch.fnmatchcase(alert.entity, _literal(silence.entity))
        for silence in silences
    )


def _literal(pattern: str) -> str:
    """
    Return *pattern* with `*` as its only special sign.
    """
    return pattern.replace("[", "[[]").replace("?", "[?]")


def refusal(command: AlertCommand, now_ns: int) -> str:
    """
    Return a sentence that says what is wrong with a silence, or an empty text.
    """
    silence = command.silence
    if silence is None:
        return "a silence is missing: give template, entity and until"
    if silence.until_ns <= now_ns:
        return "the silence would already be over: give an end in the future"
    if max(len(silence.template), len(silence.entity), len(silence.id)) > LONGEST_PATTERN:
        return f"a pattern may have {LONGEST_PATTERN} characters at most"
    if len(silence.comment) > LONGEST_COMMENT:
        return f"a comment may have {LONGEST_COMMENT} characters at most"
    if not silence.template or not silence.entity:
        return "an empty pattern matches nothing: use * for everything"
    return ""
