"""
The settings of query-api.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from shared.runtime.config import Common


class QueryApi(Common, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """
    What query-api can be told.
    """

    tokens_file: str = ""
    """JSON file of tokens and roles, `{"<token>": "viewer"}`; a must where `MESHLENS_HTTP_HOST` is not loopback."""
    host_names: str = ""
    """Names, separated by commas, by which browsers may call this service besides those of loopback."""
    page_dir: str = ""
    """Folder of the built web page; empty takes the one beside the code."""
    event_clients: Annotated[int, msgspec.Meta(ge=1, le=10_000)] = 100
    """The most clients that may follow live updates at a time."""
    metric_series: Annotated[int, msgspec.Meta(ge=100, le=1_000_000)] = 5000
    """The most series of observed services at `/metrics`; what is beyond is added up as `~other`."""
    database_connections: Annotated[int, msgspec.Meta(ge=1, le=100)] = 4
    """The most connections to PostgreSQL."""
