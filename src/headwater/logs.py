"""Logging: standard library loggers, rendered by structlog as text for people or JSON for machines.

A line that concerns a session or a livestream carries `session_id` and `livestream_id`: whoever logs it gives them as
`extra`, mostly through a `LoggerAdapter` that is made once a session. Nobody logs secrets; what a library puts into an
error all the same is masked here, as the last thing before a line is written.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import Any

import structlog

LIBRARIES = (
    *("uvicorn", "uvicorn.access", "uvicorn.error", "granian", "_granian", "httpx", "httpcore", "urllib3"),
    *("aiosqlite", "sqlalchemy", "alembic", "asyncio", "opentelemetry", "PIL"),
)
"""Loggers of libraries, which speak from warnings on only: a request is no event."""

FIELDS = ("session_id", "livestream_id")
"""What lines may be about, as fields of their own."""

_SECRETS = re.compile(
    r"(?P<key>(?<![0-9a-fA-F])[0-9a-f]{64}(?![0-9a-fA-F]))"  # stream keys
    r"|(?P<token>hw_[A-Za-z0-9_-]{43}|(?i:(?<=bearer ))[^\s\"']+)"
    r"|(?P<password>(?<=://)(?P<user>[^\s/:@]*):[^\s@]*@)"  # slashes too: SQLAlchemy takes them
)


def configure_logging(log_format: str, log_level: str) -> None:
    """Send every record to standard error.

    Args:
        log_format: `text`, `json` (one object a line), or `auto`: text on a terminal, else JSON.
        log_level: `debug`, `info`, `warning` or `error`.
    """
    shared: list[structlog.types.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(FIELDS),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    machine = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
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
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last, _mask],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(log_level.upper())
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers, library.propagate = [], True
        library.setLevel(max(logging.WARNING, root.level))


def masked(text: str) -> str:
    """Text without stream keys, API tokens and passwords of URLs, as far as they can be told by their look."""
    return _SECRETS.sub(_stand_in, text)


def _stand_in(found: re.Match[str]) -> str:
    if found["password"] is not None:
        return f"{found['user']}:(password)@"
    return "(stream key)" if found["key"] is not None else "(token)"


def _mask(_logger: Any, _method: str, line: Any) -> str:
    return masked(line)
