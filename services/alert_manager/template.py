"""
Alert templates: what to watch for, told as data, one TOML file each.

`for` is how long the condition must hold before anybody is told, `keep_firing_for` how long it must be gone before the
alert is over. The condition names a signal, the span that it is taken over, a comparison, a threshold, and the least
evidence; `also` adds conditions that must hold as well. `[[example]]`s run as tests.
"""

from __future__ import annotations

import string
from pathlib import Path
from typing import Final, Literal

import msgspec

from services.alert_manager.durations import seconds
from shared.errors import ConfigError

FOLDER: Final = Path(__file__).parent / "templates"
FactValue = float | str
Facts = dict[str, FactValue]
"""What is known of one entity: `error_ratio_5m`, `entity`, ..."""


class Condition(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    A comparison of one signal with a threshold.
    """

    signal: str
    over: str = ""
    """`5m`; empty for signals that are not taken over a span."""
    comparison: Literal["above", "at_least", "below", "at_most"]
    threshold: float
    unit: str = "ratio"
    evidence: dict[str, float] = {}
    """The least that must have been seen in the same span: `{ requests = 50, errors = 10 }`."""

    def fact(self, signal: str = "") -> str:
        """
        Return the name of the fact that holds *signal*, or this condition's own.
        """
        return "_".join(part for part in (signal or self.signal, self.over) if part)

    def holds(self, facts: Facts) -> bool:
        """
        Return whether *facts* have enough evidence and pass the threshold.
        """
        value = facts.get(self.fact())
        if not isinstance(value, int | float):
            return False
        for name, least in self.evidence.items():
            seen = facts.get(self.fact(name))
            if not isinstance(seen, int | float) or seen < least:
                return False
        match self.comparison:
            case "above":
                return value > self.threshold
            case "at_least":
                return value >= self.threshold
            case "below":
                return value < self.threshold
            case "at_most":
                return value <= self.threshold


class Example(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    Facts, and what must come of them.
    """

    facts: dict[str, float | str]
    fires: bool
    title: str = ""


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: str
    family: str
    kind: Literal["service", "relation"]
    severity: Literal["critical", "warning", "info"]
    for_: str = msgspec.field(name="for", default="0s")
    keep_firing_for: str = "5m"
    meaning: str
    next_steps: list[str]
    not_when: list[str] = []
    condition: Condition
    also: list[Condition] = []
    example: list[Example]


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """
    One kind of alert.
    """

    name: str
    """The file's name without its ending."""
    title: str
    """A sentence with `{facts}` in it."""
    family: str
    kind: str
    """`service` or `relation`: what it is evaluated for."""
    severity: str
    for_s: int
    keep_firing_s: int
    meaning: str
    next_steps: list[str]
    not_when: list[str]
    condition: Condition
    also: list[Condition]
    examples: list[Example]


class Evaluation(msgspec.Struct, frozen=True):
    """
    Whether a template's condition holds for an entity, and the alert's words.
    """

    holds: bool
    value: float = 0.0
    title: str = ""


def evaluate(template: Template, facts: Facts) -> Evaluation:
    """
    Return whether *template* holds for *facts*.
    """
    if not all(condition.holds(facts) for condition in (template.condition, *template.also)):
        return Evaluation(False)
    value = facts[template.condition.fact()]
    return Evaluation(
        True,
        float(value),
        template.title.format(**{"value": value, "threshold": template.condition.threshold, **facts}),
    )


def placeholders(text: str) -> set[str]:
    """
    Return the names in braces in *text*.
    """
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def decode(text: str, name: str, family: str) -> Template:
    """
    Return the template in *text*.

    Raises:
        ConfigError: it is not a template; the message says where.
    """
    try:
        file = msgspec.toml.decode(text, type=_File)
    except msgspec.DecodeError as error:
        raise ConfigError(f"alert template {family}/{name}: {error}") from error
    if file.family != family:
        raise ConfigError(f"alert template {family}/{name}: its family is {file.family!r}, its folder {family!r}")
    if not file.example:
        raise ConfigError(f"alert template {family}/{name}: it needs an [[example]] that fires, and one that does not")
    for condition in (file.condition, *file.also):
        if condition.over:
            seconds(condition.over)
    return Template(
        name=name,
        title=file.title,
        family=family,
        kind=file.kind,
        severity=file.severity,
        for_s=seconds(file.for_),
        keep_firing_s=seconds(file.keep_firing_for),
        meaning=" ".join(file.meaning.split()),
        next_steps=file.next_steps,
        not_when=file.not_when,
        condition=file.condition,
        also=file.also,
        examples=file.example,
    )


def load(folder: Path = FOLDER) -> list[Template]:
    """
    Return all templates, by family and name.

    Raises:
        ConfigError: one is not a template, or two have the same name.
    """
    found: dict[str, Template] = {}
    for path in sorted(folder.glob("*/*.toml")):
        template = decode(path.read_text(encoding="utf-8"), path.stem, path.parent.name)
        if template.name in found:
            raise ConfigError(f"two alert templates are named {template.name}: {path} and another family's")
        found[template.name] = template
    return list(found.values())
