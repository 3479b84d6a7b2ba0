"""What a reload comes to, for those who asked for it and for the log."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from vrrpd.config.problems import ConfigError
from vrrpd.config.sealed import SealedConfig
from vrrpd.supervisor.apart import ApartError

log = logging.getLogger(__name__)

GLOBAL_SETTINGS = ("http", "vip_lease", "realtime_priority", "memory_lock", "node_settings", "resync_interval")
"""Keys that concern the whole host, and that a reload changes."""
UNTOUCHED: Mapping[str, list[str]] = {"added": [], "changed": [], "removed": []}
"""What the speaker would answer if nothing of its part is other than it was."""
_NAMES_MAX = 20
"""That the log has of each kind."""


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


def changes(before: SealedConfig, after: SealedConfig) -> dict[str, list[str]]:
    """What is other than it was, but for the virtual routers: settings, programs, and virtual servers."""
    old, new = before.digests, after.digests
    was, will = before.speakers, after.speakers
    scripts, programs = ({each.name: each for each in config.scripts} for config in (was, will))
    return {
        "settings": [key for key in GLOBAL_SETTINGS if getattr(will, key) != getattr(was, key)],
        "at the next start": ["control_socket"] if will.control_socket != was.control_socket else [],
        "scripts": [name for name in scripts | programs if scripts.get(name) != programs.get(name)],
        "virtual servers added": [name for name in new if name not in old],
        "virtual servers changed": [name for name, known in new.items() if old.get(name, known) != known],
        "virtual servers removed": [name for name in old if name not in new],
    }


def refusal(error: ConfigError | ApartError) -> dict[str, Any]:
    """The answer where the file could not be used."""
    if isinstance(error, ApartError):
        return {"ok": False, "error": f"the file could not be read; nothing changed: {error}"}
    problems = [str(problem) for problem in error.problems]
    return {"ok": False, "error": "the configuration has errors; nothing changed", "problems": problems}


def told_already(answer: dict[str, Any]) -> None:
    """A signal wants no answer; what is wrong with the file is in the log."""
    if not answer["ok"] and "problems" not in answer:
        log.error("reload: %s", answer["error"])
