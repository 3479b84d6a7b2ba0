"""The daemon's log on stderr: one line a record, as text or as JSON."""

import json
import logging
import sys
from datetime import UTC, datetime

from vrrpd.channel import LogLine

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
    """Send every record of `level` and above to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == JSON else TextFormatter())
    logging.basicConfig(handlers=[handler], level=level, force=True)
