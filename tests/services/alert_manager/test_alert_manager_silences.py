"""
Silences match what they should, and refuse what makes no sense.
"""

from __future__ import annotations

import pytest

from services.alert_manager.silences import is_silenced, refusal
from shared.messages.alert import AlertCommand, Silence
from tests.services.alert_manager.making import alert

ALERT = alert("shop[1]", template="high-server-error-ratio")


@pytest.mark.parametrize(
    ("template", "entity", "until_ns", "expected"),
    [
        ("*", "*", 11, True),
        ("*", "*", 10, False),
        ("high-*", "*", 11, True),
        ("low-*", "*", 11, False),
        ("*", "shop[1]", 11, True),
        ("*", "shop?1?", 11, False),
        ("high-server-error-ratio", "shop*", 11, True),
    ],
)
def test_match(template: str, entity: str, until_ns: int, expected: bool) -> None:
    """
    Only the star is special, and a silence ends at its time.
    """
    silence = Silence(id="s", template=template, entity=entity, until_ns=until_ns)

    assert expected == is_silenced(ALERT, [silence], 10)


@pytest.mark.parametrize(
    ("silence", "word"),
    [
        (None, "missing"),
        (Silence(id="s", until_ns=10), "over"),
        (Silence(id="s", until_ns=11, template=""), "empty"),
        (Silence(id="s", until_ns=11, entity="x" * 300), "256"),
        (Silence(id="s", until_ns=11, comment="x" * 1001), "1000"),
    ],
)
def test_refusal(silence: Silence | None, word: str) -> None:
    """
    What makes no sense is refused with a sentence.
    """
    assert word in refusal(AlertCommand(action="silence", silence=silence), 10)


def test_good_silence_is_not_refused() -> None:
    """
    A silence with an end in the future is taken.
    """
    assert refusal(AlertCommand(action="silence", silence=Silence(id="s", until_ns=11)), 10) == ""
