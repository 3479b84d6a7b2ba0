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
    director.status(partial(_with_directors, director, watcher, gathered))


def _with_directors(
    director: Directing, watcher: Watching | None, gathered: Callable[[JSON], None], part: JSON | None
) -> None:
    if part is None:
        part = {"virtual_servers": []}
        if director.wanted:
            part["ipvs"] = {"errors": [f"the director {_SILENT}"]}
    if watcher is None:
        gathered(part)
        return
    silent: JSON = {"kubernetes": {"problems": [f"the watcher {_SILENT}"]}}
    watcher.status(lambda watchers: gathered(part | (watchers or silent)))
