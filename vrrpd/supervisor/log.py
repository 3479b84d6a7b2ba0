"""The daemon's log on stderr: one line a record, as text or as JSON."""

import json
import logging
import os
import select
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from vrrpd.channel import LogLine

log = logging.getLogger(__name__)

WAITING_MAX = 1 << 20
"""Bytes that may wait for a reader; lines beyond that are counted."""
RETRY_DELAY = 0.1
_STDERR = 2
LAST_PATIENCE = 0.2
"""Seconds."""
TEXT = "text"
JSON = "json"


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.000Z INFO message`."""

    def format(self, record: logging.LogRecord) -> str:
        """Part of `logging.Formatter`."""
        line = f"{timestamp(record.created)} {record.levelname} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, message."""

    def format(self, record: logging.LogRecord) -> str:
        """Part of `logging.Formatter`."""
        fields = {
            "time": timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


class PatientHandler(logging.Handler):
    """Writes to a descriptor what it takes, and keeps the rest: a daemon must not wait for who reads its log."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._writable = select.poll()
        self._writable.register(descriptor, select.POLLOUT)
        self._waiting = bytearray()
        self._lost = 0
        os.register_at_fork(after_in_child=self._waiting.clear)  # the parent writes it

    @property
    def due(self) -> float | None:
        """When to try again, on `time.monotonic`; None: nothing waits."""
        return time.monotonic() + RETRY_DELAY if self._waiting else None

    def emit(self, record: logging.LogRecord) -> None:
        """Part of `logging.Handler`."""
        if len(self._waiting) > WAITING_MAX:
            self._lost += 1
        else:
            self._waiting += self.format(record).encode(errors="backslashreplace") + b"\n"
        self.write()

    def write(self, patience: float = 0.0) -> None:
        """Write what can be written, waiting so many seconds for each piece."""
        while self._waiting and self._writable.poll(patience * 1e3):
            try:
                written = os.write(self._descriptor, self._waiting[: select.PIPE_BUF])
            except OSError:  # nobody can read it any more
                written = len(self._waiting)
            del self._waiting[:written]
        if self._lost and not self._waiting:
            lost, self._lost = self._lost, 0
            log.warning("%d lines of the log are lost: nobody read them", lost)

    def flush(self) -> None:
        """Part of `logging.Handler`; called at the end."""
        self.write(LAST_PATIENCE)


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as RFC 3339 has it, in UTC with milliseconds."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def hand_on(line: LogLine) -> None:
    """Log what a child has to say as if it had been said here."""
    record = logging.makeLogRecord(
        {
            "name": line.logger,
            "levelno": line.level,
            "levelname": logging.getLevelName(line.level),
            "msg": line.message,
            "created": line.created,
        }
    )
    logging.getLogger().handle(record)


def configure(log_format: str, level: int) -> None:
    """Send every record of `level` and above to stderr; who runs for long calls `write_waiting` now and then."""
    handler = PatientHandler(_STDERR)
    handler.setFormatter(JsonFormatter() if log_format == JSON else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)


def due() -> float | None:
    """When `write_waiting` has something to do, on `time.monotonic`."""
    return min((when for handler in _patient() if (when := handler.due) is not None), default=None)


def write_waiting() -> None:
    """Write lines that nobody wanted to read before."""
    for handler in _patient():
        handler.write()


def _patient() -> Iterator[PatientHandler]:
    return (handler for handler in logging.getLogger().handlers if isinstance(handler, PatientHandler))
