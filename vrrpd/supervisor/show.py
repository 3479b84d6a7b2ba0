"""The configuration in force, as a file."""

from functools import partial

from vrrpd.config.sealed import SealedConfig
from vrrpd.supervisor.apart import Apart, ApartError
from vrrpd.supervisor.control import Connection

FORMATS = ("toml", "keepalived")


def show(connection: Connection, config: SealedConfig, children: Apart) -> None:
    """Answer with the configuration in the format that was asked for; a child writes it."""
    wanted = connection.request.get("format", FORMATS[0])
    if wanted not in FORMATS:
        connection.answer({"ok": False, "error": f"unknown format {wanted!r}; known: {', '.join(FORMATS)}"})
        return

    def answer(text: str | ApartError) -> None:
        failed = isinstance(text, ApartError)
        connection.answer({"ok": False, "error": str(text)} if failed else {"ok": True, "result": {"text": text}})

    children.run(partial(_written, config, wanted), answer)


def _written(config: SealedConfig, wanted: str) -> str:
    if wanted == "toml":
        from vrrpd.config.toml import as_toml as written  # noqa: PLC0415
    else:
        from vrrpd.config.keepalived import as_keepalived as written  # noqa: PLC0415
    return written(config.opened())
