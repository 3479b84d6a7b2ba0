"""The director, started where there are virtual servers."""

import selectors
import socket
from collections import deque
from collections.abc import Callable

from vrrpd.channel import Direct, Entered, Holds, Message, SetBurdens, TellStatus
from vrrpd.config.sealed import SealedConfig
from vrrpd.ipvs.model import Table
from vrrpd.ledger import RouterKey
from vrrpd.supervisor.best_effort import BestEffort
from vrrpd.supervisor.requests import Answered

UNTOLD_MAX = 4096
"""Transitions that may wait for a director."""


class Directing(BestEffort):
    """The director, seen from the supervisor; arguments as for `BestEffort`."""

    def __init__(
        self, selector: selectors.BaseSelector, let_go: Callable[[], None], said: Callable[[Message], None]
    ) -> None:
        super().__init__("director", selector, let_go, said)
        self.said = SetBurdens({})
        """What burdens the routers, by what one has said last; it holds while there is none."""
        self.proxied: Table = {}
        """What the proxy is to serve, likewise."""
        self._config: SealedConfig | None = None
        self._held: frozenset[RouterKey] = frozenset()
        self._news: set[RouterKey] = set()
        """The routers of which the present speaker has said whether they hold their addresses."""
        self._to_notify: deque[Entered] = deque(maxlen=UNTOLD_MAX)
        """What happened while there was none that could call a program."""

    def work(self, channel: socket.socket) -> int:
        """Part of `BestEffort`."""
        from vrrpd.director import process  # noqa: PLC0415

        assert self._config
        return process.run(channel, self._config, self._held, self.said, self.proxied)

    def configure(self, config: SealedConfig, answered: Answered = lambda _: None) -> None:
        """This is the configuration now; a director is started when there is something to direct, or to clear away."""
        before, self._config = self._config, config
        if self.child:
            assert before
            news = config.since(before)
            self.ask(lambda request: Direct(request, news), answered)
            return
        speakers = config.speakers
        needed = speakers.http or config.servers or any(each.notify or each.track_script for each in speakers.instances)
        if (needed or speakers.belongings.exists()) and not self.wanted:
            self.start()
        answered({})

    def start(self) -> None:
        """Part of `BestEffort`."""
        super().start()
        if self.child:
            while self._to_notify:
                self.tell(self._to_notify.popleft())

    def enter(self, entered: Entered) -> None:
        """A router has entered a state; its program is to be called."""
        if self.child:
            self.tell(entered)
        elif entered.notify:
            self._to_notify.append(entered)

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
