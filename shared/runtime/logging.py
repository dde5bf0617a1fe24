"""
Structured logs on standard error: snake_case events, facts as key-values.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, cast

import structlog

from shared.errors import ConfigError

if TYPE_CHECKING:
    from structlog.typing import FilteringBoundLogger, Processor

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def configure(service: str, level: str, form: str) -> FilteringBoundLogger:
    """
    Set up the logs of this process and return its logger.

    Raises:
        ConfigError: the level or the form is unknown.
    """
    if level not in LEVELS:
        raise ConfigError(f"log_level {level!r} is unknown; use one of {', '.join(LEVELS)}")
    if form not in ("json", "console"):
        raise ConfigError(f"log_format {form!r} is unknown; use json or console")
    last: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *last,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    logging.getLogger("nats").setLevel(logging.CRITICAL)
    return cast("FilteringBoundLogger", structlog.get_logger(service=service))
