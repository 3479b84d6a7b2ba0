"""The director, started where there are virtual servers."""

import selectors
import socket
from collections.abc import Callable

from vrrpd.channel import Apply, BeginDirecting, Holds, Message, TellStatus
from vrrpd.config.model import Config
from vrrpd.ledger import RouterKey
from vrrpd.supervisor.best_effort import BestEffort
from vrrpd.supervisor.requests import Answered


class Directing(BestEffort):
    """The director, seen from the supervisor; arguments as for `BestEffort`."""

    def __init__(
        self, selector: selectors.BaseSelector, let_go: Callable[[], None], said: Callable[[Message], None]
    ) -> None:
        super().__init__("director", selector, let_go, said)
        self._config: Config | None = None
        self._held: frozenset[RouterKey] = frozenset()
        self._news: set[RouterKey] = set()
        """The routers of which the present speaker has said whether they hold their addresses."""

    def work(self, channel: socket.socket) -> int:
        """Part of `BestEffort`."""
        from vrrpd.director import process  # noqa: PLC0415

        return process.run(channel)

    def greeting(self) -> Message:
        """Part of `BestEffort`."""
        assert self._config
        return BeginDirecting(self._config, self._held)

    def configure(self, config: Config, answered: Answered = lambda _: None) -> None:
        """This is the configuration now; a director is started when there is something to direct, or to clear away."""
        self._config = config
        if self.child:
            self.ask(lambda request: Apply(request, config), answered)
            return
        if (config.virtual_servers or config.belongings.exists()) and not self.wanted:
            self.start()
        answered({})

    def status(self, answered: Answered) -> None:
        """Ask for its part of the status."""
        self.ask(TellStatus, answered)

    def hold(self, message: Holds) -> None:
        """A router holds its addresses now, or does not any more."""
        self._news.add(message.router)
        self._held = self._held | {message.router} if message.holds else self._held - {message.router}
        self.tell(message)

    def hear_news(self) -> None:
        """Another speaker begins: of each router that holds its addresses it will say so."""
        self._news.clear()

    def hold_only_news(self) -> None:
        """It has begun: the routers that it said nothing of hold nothing any more."""
        for router in self._held - self._news:
            self.hold(Holds(router, holds=False))

    def hold_nothing(self) -> None:
        """Nobody speaks, so that the addresses are gone."""
        self.hear_news()
        self.hold_only_news()
