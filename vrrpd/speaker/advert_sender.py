"""Sends the adverts of one router, which are encoded before they are needed."""

import logging
import time

from vrrpd.config.model import VrrpInstance
from vrrpd.protocol.advert import IPAddress
from vrrpd.speaker.counters import Counters
from vrrpd.speaker.outgoing import Outgoing, outgoing
from vrrpd.speaker.port import Port
from vrrpd.speaker.rate_limit import RateLimit

log = logging.getLogger(__name__)


class AdvertSender:
    """The way out of one router.

    Args:
        instance: its configuration.
        port: where it sends.
        counters: take what was sent, and what was not.
        rate_limit: of the log.
    """

    def __init__(self, instance: VrrpInstance, port: Port, counters: Counters, rate_limit: RateLimit) -> None:
        self.instance = instance
        self.failure = ""
        """Why the last advert could not be sent; empty: it could, or there was no address to send it from."""
        self._port = port
        self._counters = counters
        self._rate_limit = rate_limit
        self._encoded: dict[int, Outgoing] = {}
        """By priority."""

    def forget(self) -> None:
        """What was encoded is not what is to be sent any more."""
        self._encoded.clear()

    def encode(self, priority: int, source: IPAddress | None) -> Outgoing:
        """Make ready what is to be sent with that priority; nothing without an address to send it from."""
        if source is None:  # the link has just gone, which the router is told of next
            return ()
        messages = self._encoded[priority] = outgoing(self.instance, priority, source)
        return messages

    def send(self, priority: int, source: IPAddress | None) -> bool:
        """Send an advert, to the group or to each peer; whether it could be sent to anybody."""
        sent, failure = False, ""
        for message, way in self._encoded.get(priority) or self.encode(priority, source):
            try:
                self._port.send(message, way)
                self._counters.adverts_sent += 1
                sent = True
            except OSError as error:
                self._counters.adverts_failed += 1
                failure = error.strerror or str(error)
                where, name = f" to {way.peer}" if way else "", self.instance.name
                if self._rate_limit.allows((name, f"send{where}", error.errno), time.monotonic()):
                    log.warning("(%s) cannot send an advert%s: %s", name, where, error.strerror)
        self.failure = "" if sent else failure
        return sent
