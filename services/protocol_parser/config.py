"""
The settings of protocol-parser.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.runtime.config import Common


class Settings(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What protocol-parser can be told.
    """

    retention_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 7
    """Days for which spans are kept; a day that is over goes as a whole."""
    max_endpoints: Annotated[int, msgspec.Meta(ge=100, le=10_000_000)] = 100_000
    """Endpoint names kept in memory; the one not seen for longest makes room and is named anew when it comes back."""
    max_undecided: Annotated[int, msgspec.Meta(ge=10, le=1_000_000)] = 10_000
    """Ports of instances whose protocol is being found out; the one not seen for longest makes room."""
