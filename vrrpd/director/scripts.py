"""The programs that instances track (`[[vrrp_script]]`): when they run, and what to believe of what they find."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address

from vrrpd.channel import Standing
from vrrpd.config.model import VrrpScript
from vrrpd.config.services import MiscCheck
from vrrpd.director.checks.probe import CheckFailed, probe

log = logging.getLogger(__name__)

_NOBODY = IPv4Address("0.0.0.0")  # noqa: S104 - a program asks whom it likes
_NOT_YET = Standing(works=False, reason="it has not succeeded yet")


class Opinion:
    """What to believe after each run; knows no clock.

    Args:
        script: the program and its `rise` and `fall`.
        before: what was believed of it already.
    """

    def __init__(self, script: VrrpScript, before: Standing | None = None) -> None:
        self.standing = before or (_NOT_YET if script.init_fail else None)
        """None: nothing is known."""
        self._script = script
        self._streak = 0

    def ran(self, failure: str) -> bool:
        """A run failed for that reason, or succeeded if it is empty; whether something else is believed now."""
        works, before = not failure, self.standing
        if before and before.works is works:
            self._streak = 0
            return False
        self._streak += 1
        if before and self._streak < (self._script.rise if works else self._script.fall):
            return False
        self._streak = 0
        self.standing = Standing(works, failure)
        return True


class Scripts:
    """Runs those that are configured, each at its interval.

    Args:
        loop: the one that runs.
        changed: called when something else is believed of one than before.
        believed: by an earlier life, of each by its name.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None], believed: Mapping[str, Standing]
    ) -> None:
        self._loop = loop
        self._changed = changed
        self._believed = believed
        self._running: dict[VrrpScript, tuple[Opinion, asyncio.Task[None]]] = {}

    def apply(self, scripts: Iterable[VrrpScript]) -> None:
        """Run these, and no others; those that are as they were go on, and of a known name the same is believed."""
        believed, self._believed = {**self._believed, **self.standings}, {}
        before, self._running = self._running, {}
        for script in scripts:
            known = before.pop(script, None)
            if known is None:
                opinion = Opinion(script, believed.get(script.name))
                known = opinion, self._loop.create_task(self._run(script, opinion))
            self._running[script] = known
        for _, task in before.values():
            task.cancel()

    @property
    def standings(self) -> Mapping[str, Standing]:
        """What is believed of each, by its name, but for those of which nothing is known."""
        return {script.name: opinion.standing for script, (opinion, _) in self._running.items() if opinion.standing}

    def status(self) -> list[dict[str, object]]:
        """For `vrrpd status --json`."""
        return [
            {
                "name": script.name,
                "works": opinion.standing.works if opinion.standing else None,
                "reason": opinion.standing.reason if opinion.standing else "its first run is not over yet",
            }
            for script, (opinion, _) in self._running.items()
        ]

    def close(self) -> None:
        """Run no more."""
        self.apply(())

    async def _run(self, script: VrrpScript, opinion: Opinion) -> None:
        check = MiscCheck(misc_path=script.script, connect_timeout=script.timeout)
        while True:
            began = self._loop.time()
            failure = await _failure(check)
            if opinion.ran(failure):
                if failure:
                    log.warning("vrrp_script %s fails: %s", script.name, failure)
                else:
                    log.info("vrrp_script %s works", script.name)
                self._changed()
            await asyncio.sleep(max(0.0, began + script.interval - self._loop.time()))


async def _failure(check: MiscCheck) -> str:
    """Why a run failed; empty: it did not."""
    try:
        await probe(check, _NOBODY, 0)
    except CheckFailed as failed:
        return str(failed)
    except Exception as error:
        log.exception("a vrrp_script could not be run; please report this")
        return f"it could not be run: {error!r}"
    return ""
