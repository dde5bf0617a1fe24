"""
The pages of what is found by folder: protocols, probes, alert templates.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from deploy.reference.text import page, table
from shared.protocols import protocols

ROOT: Final = Path(__file__).parents[2]
PROBES: Final = ROOT / "bpf"
TEMPLATES: Final = ROOT / "services" / "alert_manager" / "templates"
FACTS: Final = ("hooks", "fallback", "emits", "kernel", "cost", "misses")


def protocols_page() -> str:
    """
    Return the page of the protocols.
    """
    lines = []
    for number, protocol in sorted(protocols().items()):
        module = sys.modules[type(protocol).__module__]
        first = (module.__doc__ or "").strip().split("\n\n")[0]
        kernel_side = sorted((PROBES / "l7").glob(f"{protocol.name}*.h"))
        counted = f"`bpf/l7/{kernel_side[0].name}`" if kernel_side else ""
        lines.append((str(int(number)), protocol.name, first, f"<{protocol.specification}>", counted))
    return page(
        "Protocols",
        "Recognised from the bytes, never from the port.\n"
        "A connection that nobody recognises is still measured, as `tcp`.\n"
        "Which [facts](facts.md) are read from single requests, and what cannot be seen, has a page of its own.",
        table(("number", "name", "what it is", "specification", "kernel side"), lines),
    )


def probe_facts(source: str) -> tuple[str, dict[str, str]]:
    """
    Return the question and the facts in the block that opens the *source* of a probe.
    """
    block = re.search(r"/\*(.*?)\*/", source, re.DOTALL)
    if block is None:
        return "", {}
    question: list[str] = []
    facts: dict[str, str] = {}
    now = ""
    for line in block[1].splitlines():
        text = line.strip().removeprefix("*").strip()
        named = re.match(r"([a-z]+):\s+(.*)", text)
        if named and named[1] in FACTS:
            now = named[1]
            facts[now] = named[2]
        elif now and text:
            facts[now] += f" {text}"
        elif not text:
            now = "" if facts else now
            if question and not facts:
                question.append("")
        else:
            question.append(text)
    return " ".join(question).split("  ")[0].strip(), facts


def probes_page() -> str:
    """
    Return the page of the probes.
    """
    parts = []
    for path in sorted(PROBES.glob("*.c")):
        question, facts = probe_facts(path.read_text(encoding="utf-8"))
        lines = [(name, facts[name]) for name in FACTS if name in facts]
        parts += [f"## {path.stem}", question, table(("what", "is"), lines)]
    return page(
        "Probes",
        "Each answers one question, and can be switched at run time:\n"
        "`meshlens probes`, or `PUT /api/v1/probes/{probe}`.\n"
        "`meshlens doctor` says which of their hooks this kernel has.",
        *parts,
    )


def alerts_page() -> str:
    """
    Return the page of the alert templates.
    """
    parts = []
    for path in sorted(TEMPLATES.glob("*/*.toml")):
        template = tomllib.loads(path.read_text(encoding="utf-8"))
        parts += [f"## {path.stem}", _template(template)]
    return page("Alerts", "Every template works out of the box; each is one file with its own examples.", *parts)


def _template(template: dict[str, Any]) -> str:
    held = f", for {template['for']}" if template.get("for") else ""
    conditions = [template["condition"], *template.get("also", [])] if "condition" in template else []
    text = [
        f"*{template['title']}*",
        f"{template['severity']}, {template['family']}, on a {template.get('kind', 'service')}{held}.",
        template["meaning"].strip(),
    ]
    if conditions:
        text.append("It holds while " + " and ".join(map(_condition, conditions)) + ".")
    text.append("\n".join(f"- {step}" for step in template.get("next_steps", [])))
    if template.get("not_when"):
        text.append("Not when:\n\n" + "\n".join(f"- {case}" for case in template["not_when"]))
    return "\n\n".join(part for part in text if part)


def _condition(condition: dict[str, Any]) -> str:
    over = f" over {condition['over']}" if "over" in condition else ""
    comparison = str(condition.get("comparison", "")).replace("_", " ")
    evidence = ", ".join(f"{name} of {least} at least" for name, least in condition.get("evidence", {}).items())
    return f"`{condition.get('signal', '')}`{over} is {comparison} {condition.get('threshold', '')}" + (
        f" (with {evidence})" if evidence else ""
    )
