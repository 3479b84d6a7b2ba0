"""The configuration in force, as a file."""

from vrrpd.config.model import Config
from vrrpd.supervisor.control import Connection

FORMATS = ("toml", "keepalived")


def show(connection: Connection, config: Config) -> None:
    """Answer with the configuration in the format that was asked for."""
    wanted = connection.request.get("format", FORMATS[0])
    if wanted not in FORMATS:
        connection.answer({"ok": False, "error": f"unknown format {wanted!r}; known: {', '.join(FORMATS)}"})
        return
    # What few ask for need not be in every process.
    if wanted == "toml":
        from vrrpd.config.toml import as_toml as written  # noqa: PLC0415
    else:
        from vrrpd.config.keepalived import as_keepalived as written  # noqa: PLC0415
    connection.answer({"ok": True, "result": {"text": written(config)}})
