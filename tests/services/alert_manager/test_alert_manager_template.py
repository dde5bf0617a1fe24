"""
Every template of the folder, and how templates are read and evaluated.
"""

from __future__ import annotations

import pytest

from services.alert_manager.facts import POINT_SIGNALS, SIGNALS, WORST_SIGNALS
from services.alert_manager.template import Condition, Example, Template, decode, evaluate, load, placeholders
from shared.errors import ConfigError

TEMPLATES = {template.name: template for template in load()}
EXAMPLES = [
    pytest.param(template, example, id=f"{template.name}-{number}")
    for template in TEMPLATES.values()
    for number, example in enumerate(template.examples)
]
WORDS = {"entity", "value", "threshold", "source", "target", "worst_endpoint", "worst_instance"}
EXTRA_WORDS = {"latency_times", "traffic_share"}

MINIMAL = """
title = "{entity} is odd"
family = "application"
kind = "service"
severity = "warning"
meaning = "It is odd."
next_steps = ["Look."]

[condition]
signal = "error_ratio"
over = "1m"
comparison = "above"
threshold = 0.5

[[example]]
facts = { entity = "a", error_ratio_1m = 0.6 }
fires = true
"""


@pytest.mark.parametrize(("template", "example"), EXAMPLES)
def test_example(template: Template, example: Example) -> None:
    """
    Each example fires or not as it says, with the title that it says.
    """
    found = evaluate(template, example.facts)

    assert example.fires == found.holds
    assert example.title == found.title


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_template_is_complete(template: Template) -> None:
    """
    A template has an example that fires and one that does not, steps, a meaning, and only signals that there are.
    """
    assert {True, False} == {example.fires for example in template.examples}
    assert template.next_steps
    assert template.meaning.endswith(".")
    assert all(step.endswith((".", "?")) for step in (*template.next_steps, *template.not_when))
    for condition in (template.condition, *template.also):
        known = SIGNALS.keys() | WORST_SIGNALS if condition.over else POINT_SIGNALS
        evidence = SIGNALS.keys() | WORST_SIGNALS | {"other_endpoints_requests"}
        assert condition.signal in known
        assert condition.evidence.keys() <= evidence


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_title_names_only_facts_that_hold(template: Template) -> None:
    """
    Every name in a title is known whenever the template fires.
    """
    promised = {condition.fact() for condition in (template.condition, *template.also)}
    promised |= {c.fact(name) for c in (template.condition, *template.also) for name in c.evidence}
    promised |= {name for name in EXTRA_WORDS if template.condition.signal.startswith("deviation_")}
    if template.condition.signal.startswith("instance_"):
        promised.add("worst_instance_error_ratio_2m")

    assert placeholders(template.title) <= WORDS | promised


def test_the_first_templates_are_there() -> None:
    """
    Ten of application and five of network.
    """
    families = [template.family for template in TEMPLATES.values()]

    assert families.count("application") == 10
    assert families.count("network") == 5


@pytest.mark.parametrize(
    ("comparison", "holds"),
    [("above", (False, False, True)), ("at_least", (False, True, True)),
     ("below", (True, False, False)), ("at_most", (True, True, False))],
)  # fmt: skip
def test_comparison(comparison: str, holds: tuple[bool, bool, bool]) -> None:
    """
    Below, at and above the threshold.
    """
    condition = Condition(signal="x", comparison=comparison, threshold=2.0)  # type: ignore[arg-type]  # parametrised

    assert holds == tuple(condition.holds({"x": value}) for value in (1.0, 2.0, 3.0))


def test_missing_facts_never_hold() -> None:
    """
    What is not known does not fire, nor does it fire without its evidence.
    """
    condition = Condition(signal="x", over="5m", comparison="above", threshold=0, evidence={"requests": 10})

    assert not condition.holds({})
    assert not condition.holds({"x_5m": 1.0})
    assert not condition.holds({"x_5m": 1.0, "requests_5m": 9})
    assert condition.holds({"x_5m": 1.0, "requests_5m": 10})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (MINIMAL + "\nthreshhold = 1\n", "unknown field `threshhold`"),
        (MINIMAL.replace('severity = "warning"', 'severity = "awful"'), "severity"),
        (MINIMAL.replace('over = "1m"', 'over = "1 minute"'), "is not a span of time"),
        (MINIMAL.replace("threshold = 0.5", 'threshold = "much"'), "`float`"),
        (MINIMAL.split("[[example]]")[0] + "example = []", "unknown field `example`"),
        (MINIMAL.replace('"application"', '"network"'), "its family is 'network', its folder 'application'"),
        ("title =", "Invalid"),
    ],
)
def test_bad_templates_are_refused_with_a_sentence(text: str, sentence: str) -> None:
    """
    A misspelt field, a bad value or a wrong folder says where and what.
    """
    with pytest.raises(ConfigError) as refusal:
        decode(text, "odd", "application")

    assert "application/odd" in str(refusal.value) or "span of time" in str(refusal.value)
    assert sentence in str(refusal.value)


def test_minimal_template_has_defaults() -> None:
    """
    Without `for` it fires at once, and it stays for five minutes.
    """
    template = decode(MINIMAL, "odd", "application")

    assert (template.for_s, template.keep_firing_s) == (0, 300)
