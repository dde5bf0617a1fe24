"""
Alerts, and what operators do with them.
"""

from __future__ import annotations

import msgspec


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """
    One template that fires for one entity.
    """

    id: str
    """Hash of template and entity: the same fault has the same id."""
    template: str
    family: str
    severity: str
    """`critical`, `warning` or `info`"""
    entity: str
    kind: str
    state: str
    """`pending`, `firing`, `resolved`"""
    title: str
    meaning: str = ""
    next_steps: list[str] = []
    value: float = 0.0
    threshold: float = 0.0
    unit: str = ""
    started_ns: int = 0
    """First window in which the condition held."""
    fired_ns: int = 0
    resolved_ns: int = 0
    updated_ns: int = 0
    acknowledged_by: str = ""
    acknowledged_ns: int = 0
    silenced: bool = False
    occurrences: int = 1


class AlertChanged(msgspec.Struct, frozen=True, kw_only=True):
    """
    An alert entered another state.
    """

    alert: Alert
    was: str
    """The state before; empty for a new alert."""


class Silence(msgspec.Struct, frozen=True, kw_only=True):
    """
    For a time, alerts that match are kept but not notified.
    """

    id: str
    template: str = "*"
    """Template name or pattern with `*`."""
    entity: str = "*"
    until_ns: int = 0
    by: str = ""
    comment: str = ""


class AlertCommand(msgspec.Struct, frozen=True, kw_only=True):
    """
    What an operator asks of alert-manager.
    """

    action: str
    """`acknowledge`, `silence`, `unsilence`"""
    alert: str = ""
    silence: Silence | None = None
    by: str = ""


class CommandReply(msgspec.Struct, frozen=True, kw_only=True):
    """
    The answer to a command: done, or a sentence that says why not.
    """

    ok: bool
    error: str = ""
