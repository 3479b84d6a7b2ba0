"""A reload, and what it comes to, for those who asked for it and for the log."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vrrpd.agent.settings import Settings
from vrrpd.config.load import load
from vrrpd.config.model import Config
from vrrpd.config.problems import ConfigError

log = logging.getLogger(__name__)

Reply = Callable[[dict[str, Any]], None]
"""Takes an answer, as a client of the control socket gets it."""

GLOBAL_SETTINGS = ("http", "vip_lease", "realtime_priority", "memory_lock", "node_settings", "resync_interval")
"""Keys that concern the whole host, and that a reload changes."""
UNTOUCHED: Mapping[str, list[str]] = {"added": [], "changed": [], "removed": []}
"""What the speaker would answer if nothing of its part is other than it was."""
_NAMES_MAX = 20
"""That the log has of each kind."""


def reload(origin: Path | Settings, apply: Callable[[Config, Reply], None], reply: Reply) -> None:
    """Read the file again and apply it; one with errors changes nothing, and what is followed needs no reload."""
    if isinstance(origin, Settings):
        error = f"there is no file to reload: the configuration is what {origin} says, and follows it by itself"
        reply({"ok": False, "error": error})
        return
    try:
        config = load(origin)
    except ConfigError as error:
        log.error("reload refused, nothing changed:\n%s", error)  # noqa: TRY400
        problems = [str(problem) for problem in error.problems]
        reply({"ok": False, "error": "the configuration has errors; nothing changed", "problems": problems})
        return

    def applied(answer: dict[str, Any]) -> None:
        if answer["ok"]:
            log.info("reloaded %s: %s", origin, summary(answer["result"]))
        reply(answer)

    apply(config, applied)


def tell_in_log(answer: dict[str, Any]) -> None:
    """For a reload that nobody waits for: why it was not done, unless the log has its problems already."""
    if not answer["ok"] and "problems" not in answer:
        log.error("reload: %s", answer["error"])


def with_directors(answer: dict[str, Any], directors: dict[str, Any] | None) -> dict[str, Any]:
    """What a reload comes to, if the director says nothing as well."""
    if directors is None and answer["ok"]:
        return {"ok": False, "error": "applied, but the director does not answer: virtual servers are to follow"}
    return answer


def summary(result: dict[str, list[str]]) -> str:
    """What was done, for the log."""
    done = [f"{what} {_listed(names)}" for what, names in result.items() if names]
    return "; ".join(done) or "nothing changed"


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES_MAX
    return ", ".join(names[:_NAMES_MAX]) + (f" and {more} more" if more > 0 else "")


def changes(before: Config, after: Config) -> dict[str, list[str]]:
    """What is other than it was, but for the virtual routers: settings, and virtual servers by what becomes of them."""
    old = {server.name: server for server in before.virtual_servers}
    new = {server.name: server for server in after.virtual_servers}
    return {
        "settings": [key for key in GLOBAL_SETTINGS if getattr(after, key) != getattr(before, key)],
        "at the next start": ["control_socket"] if after.control_socket != before.control_socket else [],
        "virtual servers added": [name for name in new if name not in old],
        "virtual servers changed": [name for name, server in new.items() if name in old and old[name] != server],
        "virtual servers removed": [name for name in old if name not in new],
    }
