"""Structured logs on standard error. Records carry ids and numbers; nobody gives them content.

Exceptions are told without their words, which may quote a request.
"""

from __future__ import annotations

import logging
import sys
import time

import msgspec

from nearfar.server import traces
from nearfar.settings.model import Log

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_encode = msgspec.json.Encoder(enc_hook=str).encode


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, logger, event and the record's extra fields."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line.update(_extra(record))
        if record.exc_info and record.exc_info[1]:
            line["exception"] = _exception(record)
        return _encode(line).decode()


class TextFormatter(logging.Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        """Time, level, event, then ``key=value`` pairs."""
        pairs = " ".join(f"{key}={value}" for key, value in _extra(record).items())
        line = f"{_time(record)} {record.levelname.lower():7} {record.getMessage()} {pairs}".rstrip()
        if record.exc_info and record.exc_info[1]:
            line += "\n" + _exception(record)
        return line


def configure(settings: Log) -> None:
    """Send nearfar's records to standard error in the asked format; ``auto`` is text on a terminal."""
    handler = logging.StreamHandler(sys.stderr)
    text = settings.format == "text" or (settings.format == "auto" and sys.stderr.isatty())
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logger = logging.getLogger("nearfar")
    logger.handlers[:] = [handler]
    logger.setLevel(settings.level.upper())
    logger.propagate = False


def _exception(record: logging.LogRecord) -> str:
    assert record.exc_info
    assert record.exc_info[1] is not None
    return traces.told(record.exc_info[1])


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _PLAIN}
