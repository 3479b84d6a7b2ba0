"""What the supervisor and its children tell each other over socket pairs: small typed messages, each with its length.

Both ends are forked from one process image, so the messages are pickled as they are.
"""

import logging
import pickle
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field

from vrrpd.config.model import Config
from vrrpd.config.sealed import SealedConfig
from vrrpd.config.services import Command
from vrrpd.ipvs.model import ServiceActivity, Table, VirtualServerKey
from vrrpd.ledger import RouterKey

_LENGTH = struct.Struct("!I")
JSON = dict[str, Any]


class Burden(Struct, frozen=True):
    """What health checks and programs come to, for one router."""

    weight: int = 0
    """Added to its priority."""
    lacking: str = ""
    """What fails, without which it is in FAULT; empty: nothing."""


class Begin(Struct, frozen=True):
    """To the speaker, first of all: the configuration to speak by."""

    config: Config
    drained: bool
    burdens: Mapping[RouterKey, Burden]
    """As `SetBurdens` has them."""


class Apply(Struct, frozen=True):
    """To the speaker: this is the configuration now."""

    request: int
    config: Config


class Direct(Struct, frozen=True):
    """To the director: this is the configuration now."""

    request: int
    config: SealedConfig
    """What of it is other than it was told last."""


class Configured(Struct, frozen=True):
    """From the watcher: this is what the cluster comes to."""

    config: SealedConfig


class TellStatus(Struct, frozen=True):
    """To any of them: say how things are."""

    request: int


class Ping(Struct, frozen=True):
    """To any of them: say that you are alive."""

    request: int


class SetDrained(Struct, frozen=True):
    """To the speaker: hand every address over and stay BACKUP, or compete again."""

    request: int
    drained: bool


class Standing(Struct, frozen=True):
    """What is believed of a program that instances track."""

    works: bool
    reason: str = ""
    """Why it does not, or did not when it began to be believed."""


class SetBurdens(Struct, frozen=True):
    """From the director, for the speaker: what burdens the routers; nothing those not named."""

    burdens: Mapping[RouterKey, Burden]
    standings: Mapping[str, Standing] = {}
    """By the names of programs; for the next director, should this one die."""


class SetProxied(Struct, frozen=True):
    """From the director, for the proxy: what it is to serve, all of it."""

    table: Table


class Proxied(Struct, frozen=True):
    """From the proxy, for the director: how that goes."""

    activity: Mapping[VirtualServerKey, ServiceActivity]
    """What is other than it said last, and after a `SetProxied` all."""
    errors: Mapping[VirtualServerKey, str]
    """Where it cannot listen, and why."""


class Stop(Struct, frozen=True):
    """To the speaker: resign, hand the addresses over, exit. Said twice: at once. To the others: clear away, exit."""


class Started(Struct, frozen=True):
    """From the speaker: sockets are open and the routers have started."""


class Holds(Struct, frozen=True):
    """From the speaker, for the director: a router holds its addresses now, or does not any more."""

    router: RouterKey
    holds: bool


class Entered(Struct, frozen=True):
    """From the speaker, for those who are to be told: a router has entered a state."""

    instance: str
    """Its name."""
    state: str
    """INIT (it takes part no longer), BACKUP, MASTER or FAULT."""
    priority: int
    reason: str
    notify: Command | None
    """The program that is to be told."""


class Anomalous(Struct, frozen=True):
    """From the speaker, for the watcher, now and then: other routers do what they should not."""

    instance: str
    what: str


class Answer(Struct, frozen=True):
    """From any of them: what a request led to."""

    request: int
    result: JSON = field(default_factory=dict)


class LogLine(Struct, frozen=True):
    """From any of them; the speaker must never wait for a terminal, a pipe or a disk."""

    level: int
    logger: str
    created: float
    """Seconds since 1970."""
    message: str

    @classmethod
    def of(cls, record: logging.LogRecord) -> "LogLine":
        """What `record` says, with a traceback if it has one."""
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + logging.Formatter().formatException(record.exc_info)
        return cls(record.levelno, record.name, record.created, message)


Message = (
    Begin
    | Configured
    | Apply
    | Direct
    | TellStatus
    | Ping
    | SetDrained
    | SetBurdens
    | SetProxied
    | Proxied
    | Stop
    | Started
    | Holds
    | Entered
    | Anomalous
    | Answer
    | LogLine
)


def pack(message: Message) -> bytes:
    """The message as it goes over the socket pair."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


class Inbox:
    """Puts messages together from the pieces that a stream delivers."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Message]:
        """The messages that `data` completes."""
        self._pending += data
        while len(self._pending) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._pending)
            end = _LENGTH.size + length
            if len(self._pending) < end:
                return
            with memoryview(self._pending)[_LENGTH.size : end] as body:  # a status may have 20 MB: no copy of it
                message = pickle.loads(body)  # noqa: S301 - from our own process, over a socket pair nobody else has
            del self._pending[:end]
            yield message


def first_message(channel: socket.socket, inbox: Inbox) -> Message | None:
    """Wait for it; None: the other end is gone."""
    while data := channel.recv(1 << 16):
        for message in inbox.feed(data):
            return message
    return None
