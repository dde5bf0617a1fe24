"""
The settings of anomaly-detector.
"""

from __future__ import annotations

from shared.runtime.config import Common


class Settings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    `ANOMALY_DETECTOR_*` in the environment.
    """

    learning_s: float = 1800.0
    """Seconds for which a new service or relation is only watched; rules that need no history work from the start."""
    minimum_windows: int = 9
    """Windows with traffic without which nothing is compared with history."""
    objective_ratio: float = 0.99
    """Share of requests that shall succeed: what burn rates are measured against."""
    new_normal_s: float = 21600.0
    """Seconds after which a deviation that lasts is taken for the new normal and learnt anew."""
    snapshot_s: float = 60.0
    """Seconds between two snapshots of the history in the database."""
    retention_days: float = 30.0
    """Days for which episodes and changes of colour are kept."""
