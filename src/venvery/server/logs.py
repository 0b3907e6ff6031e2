"""The server's log: one line an event on stderr, after its traceback where there is one."""

from __future__ import annotations

import sys

import structlog

__all__ = ["set_up_logs"]


def set_up_logs() -> None:
    """Write every event as one line of key=value, after its traceback where it has one.

    A traceback is plain: structlog's own shows the values of local variables, tokens among them.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _print_traceback,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def _print_traceback(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
    trace = event.pop("exception", None)
    if trace:
        print(trace, file=sys.stderr)  # noqa: T201
    return event
