"""The parts of the status that those know for whom nobody waits long."""

from collections.abc import Callable
from functools import partial
from typing import Any

from vrrpd.supervisor.director import Directing
from vrrpd.supervisor.watcher import Watching

JSON = dict[str, Any]
_SILENT = "does not answer: it is busy, hangs, or starts"


def gather(director: Directing, watcher: Watching | None, gathered: Callable[[JSON], None]) -> None:
    """Ask the director, and the watcher if there is one; `gathered` takes what they say, or that they do not."""
    parts: list[JSON] = []

    def take(silent: JSON, part: JSON | None) -> None:
        parts.append(silent if part is None else part)
        if len(parts) == expected:
            gathered({key: value for each in parts for key, value in each.items()})

    expected = 1 + (watcher is not None)
    silent: JSON = {"virtual_servers": []}
    if director.wanted:
        silent["ipvs"] = {"errors": [f"the director {_SILENT}"]}
    director.status(partial(take, silent))
    if watcher:
        watcher.status(partial(take, {"kubernetes": {"problems": [f"the watcher {_SILENT}"]}}))
