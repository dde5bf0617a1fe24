"""
The settings of alert-manager.
"""

from __future__ import annotations

from shared.runtime.config import Common


class Settings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    `ALERT_MANAGER_*` in the environment.
    """

    objective_ratio: float = 0.99
    """Share of requests that shall succeed: what burn rates are measured against."""
    webhook_url: str = ""
    """Address that alerts are posted to when they fire and when they are over; empty for none."""
    webhook_secret: str = ""
    """Key that signs what is posted; empty for no signature."""
    webhook_timeout_s: float = 5.0
    """Seconds that one attempt may take."""
    delivery_attempts: int = 8
    """Attempts to deliver a message before it is given up until the next window."""
    first_pause_s: float = 1.0
    """Seconds before the second attempt; doubled for each one after it, up to a minute."""
    queue_messages: int = 1000
    """Messages that may wait for a channel; more are counted as lost and tried again later."""
    retention_days: float = 90.0
    """Days for which resolved alerts and their history are kept."""
