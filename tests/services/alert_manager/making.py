"""
Alerts with few words.
"""

from __future__ import annotations

from typing import Any

from shared.messages.alert import Alert


def alert(entity: str, state: str = "firing", **more: Any) -> Alert:
    """
    Return an odd service's alert.
    """
    return Alert(
        **{
            "id": entity,
            "template": "odd",
            "family": "application",
            "severity": "warning",
            "entity": entity,
            "kind": "service",
            "state": state,
            "title": f"{entity} is odd",
            **more,
        }
    )
