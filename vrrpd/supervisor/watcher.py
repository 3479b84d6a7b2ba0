"""The watcher of a cluster, which says what the configuration is."""

import logging
import selectors
import socket
from collections.abc import Callable
from typing import Any

from vrrpd.agent.settings import Settings
from vrrpd.channel import Configured, LogLine, Message, TellStatus
from vrrpd.config.sealed import SealedConfig
from vrrpd.supervisor.best_effort import BestEffort
from vrrpd.supervisor.log import hand_on
from vrrpd.supervisor.reload import summary
from vrrpd.supervisor.requests import Answered

log = logging.getLogger(__name__)

Reply = Callable[[dict[str, Any]], None]


class Watching(BestEffort):
    """The watcher, seen from the supervisor.

    Args:
        settings: what is watched.
        config: the configuration to begin with.
        selector: as for `BestEffort`, and so is `let_go`.
        let_go: closes in a child what is the parent's.
        apply: makes a configuration the one in force, and replies what that came to.
    """

    def __init__(
        self,
        settings: Settings,
        config: SealedConfig,
        selector: selectors.BaseSelector,
        let_go: Callable[[], None],
        apply: Callable[[SealedConfig, Reply], None],
    ) -> None:
        super().__init__("watcher", selector, let_go, self._says_news)
        self.settings = settings
        self._last = config
        self._apply = apply
        self._applying = False

    def work(self, channel: socket.socket) -> int:
        """Part of `BestEffort`."""
        from vrrpd.agent import process  # noqa: PLC0415

        return process.run(channel, self.settings, self._last)

    def status(self, answered: Answered) -> None:
        """Ask for its part of the status."""
        self.ask(TellStatus, answered)

    def _says_news(self, message: Message) -> None:
        if isinstance(message, LogLine):
            hand_on(message)
        elif isinstance(message, Configured):
            self._last = message.config
            if not self._applying:
                self._apply_last()

    def _apply_last(self) -> None:
        """One after another, and of those that come meanwhile the last."""
        self._applying = True
        config = self._last

        def applied(answer: dict[str, Any]) -> None:
            self._applying = False
            if not answer["ok"]:
                log.error("%s: %s", self.settings, answer["error"])
            elif any(answer["result"].values()):
                log.info("%s: %s", self.settings, summary(answer["result"]))
            if self._last is not config:
                self._apply_last()

        self._apply(config, applied)
