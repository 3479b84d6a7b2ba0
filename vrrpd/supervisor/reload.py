"""What a reload comes to, for those who asked for it and for the log."""

from typing import Any

from vrrpd.config.model import Config


def with_directors(answer: dict[str, Any], directors: dict[str, Any] | None) -> dict[str, Any]:
    """What a reload comes to, if the director says nothing as well."""
    if directors is None and answer["ok"]:
        return {"ok": False, "error": "applied, but the director does not answer: virtual servers are to follow"}
    return answer


def summary(result: dict[str, list[str]]) -> str:
    """What was done, for the log."""
    done = [f"{what} {', '.join(names)}" for what, names in result.items() if names]
    return "; ".join(done) or "nothing changed"


def changes(before: Config, after: Config) -> dict[str, list[str]]:
    """The names of the virtual servers that are new, other than they were, or gone."""
    old = {server.name: server for server in before.virtual_servers}
    new = {server.name: server for server in after.virtual_servers}
    return {
        "virtual servers added": [name for name in new if name not in old],
        "virtual servers changed": [name for name, server in new.items() if name in old and old[name] != server],
        "virtual servers removed": [name for name in old if name not in new],
    }
