"""
The settings of topology-builder.
"""

from __future__ import annotations

from typing import Final

from shared.runtime.config import Common

NAME: Final = "topology-builder"


class Config(Common, frozen=True, kw_only=True):
    """
    The settings of topology-builder.
    """

    names: str = ""
    """Names by pattern: `pay=arguments:*pay.py;shop=cgroup:/shop/*`, also `executable:` and `container:`."""
    close_after_s: float = 3.0
    """Seconds after its end at which a window is closed; what comes later is added to it all the same."""
    gap_certain_after_s: float = 120.0
    """Seconds after which a batch that was skipped counts as lost; should it come later, the loss is taken back."""
    service_gone_after_s: float = 600.0
    """Seconds without a running instance and without traffic after which a service leaves the map."""
    relation_gone_after_s: float = 3600.0
    """Seconds without traffic after which a relation leaves the map."""
    max_services: int = 2000
    """Services on the map; further ones are counted as `~other`."""
    max_externals: int = 300
    """Services out of scope on the map; further ones are counted as `external:~other`."""
    max_relations: int = 10_000
    """Relations on the map; further ones are counted as `~other->~other`."""
    max_endpoints: int = 500
    """Endpoints of one service; further ones are counted as `~other`."""
    max_instances: int = 10_000
    """Instances kept in memory; further ones are counted as `unknown:<node>`."""
    max_endpoint_names: int = 200_000
    """Names of endpoints kept in memory; further endpoints show their hash."""
    max_held_series: int = 500_000
    """Series of unstored batches kept in memory, about 1 kB each; beyond that NATS keeps the rest."""
    keep_10s_hours: int = 6
    """Hours that figures are kept at 10 s."""
    keep_1m_days: int = 7
    """Days that figures are kept at 1, 5 and 10 minutes."""
    keep_1h_days: int = 90
    """Days that figures are kept at 30 min, 1 h and 6 h, and losses."""
