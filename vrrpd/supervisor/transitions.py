"""The states of the routers, for those that are to be told when they change."""

from collections.abc import Callable, Collection

from msgspec.structs import replace

from vrrpd.channel import Entered
from vrrpd.protocol.effects import State


class Transitions:
    """Tells of each state once: a speaker that goes on where another has died enters nothing new.

    Args:
        tell: takes what is news.
    """

    def __init__(self, tell: Callable[[Entered], None]) -> None:
        self._tell = tell
        self._known: dict[str, Entered] = {}

    def enter(self, entered: Entered) -> None:
        """A speaker says so."""
        before = self._known.get(entered.instance)
        if before and before.state == entered.state:
            return
        self._known[entered.instance] = entered
        if entered.state == State.INIT:
            del self._known[entered.instance]
        self._tell(entered)

    def fail(self, reason: str, instances: Collection[str]) -> None:
        """Nobody speaks for these, so that all are in FAULT; what else was known is configured no more."""
        for name, entered in [*self._known.items()]:
            if name not in instances:
                del self._known[name]
                continue
            self.enter(replace(entered, state=str(State.FAULT), reason=reason))
