"""Logging: standard library loggers, rendered by structlog as text for people or JSON for machines."""

from __future__ import annotations

import logging
import sys

import structlog

LIBRARIES = ("uvicorn", "uvicorn.access", "uvicorn.error", "granian", "_granian", "httpx", "aiosqlite", "alembic")
"""Loggers of libraries, which speak from warnings on only: a request is no event."""


def configure_logging(log_format: str, log_level: str) -> None:
    """Send every record to standard error.

    Args:
        log_format: `text` or `json` (one object a line).
        log_level: `debug`, `info`, `warning` or `error`.
    """
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    machine = log_format == "json"
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if machine
        # A plain traceback: the default one prints local variables, and they may hold stream keys and tokens.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    last = [structlog.processors.format_exc_info, renderer] if machine else [renderer]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(log_level.upper())
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True
        library.setLevel(max(logging.WARNING, root.level))
