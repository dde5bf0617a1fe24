"""
Spans of time as templates write them: `30s`, `5m`, `1h`.
"""

from __future__ import annotations

import re
from typing import Final

from shared.errors import ConfigError

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds(words: str) -> int:
    """
    Return how many seconds *words* are.

    Raises:
        ConfigError: it is not such a span.
    """
    found = re.fullmatch(r"(\d+)([smhd])", words)
    if found is None:
        raise ConfigError(f"{words!r} is not a span of time; write for example 30s, 5m or 1h")
    return int(found[1]) * SECONDS[found[2]]
