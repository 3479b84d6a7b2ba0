"""Where it happens: one speaker's routers and a client on a bridge of their own, with probes and a capture."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from benchmarks.failover import echo
from benchmarks.failover.adverts import Adverts
from benchmarks.failover.setting import PROBES, REFERENCE, VRID, Setting
from benchmarks.failover.speakers import Speaker
from benchmarks.peers import Daemon, RouterSettings
from vrrpd.lan.capture import Capture
from vrrpd.lan.hosts import Lan
from vrrpd.lan.probe import Probe, Prober, ProbeResult

_FIRST_HOPS: Final = 101
"""TTL of what the first router sends by itself: so that it is known who answers, whatever hardware address it uses."""
_SWITCH_SETTLES: Final = 1.5
"""Seconds until a switch knows that a new port has a carrier: the kernel looks once a second."""
_PATIENCE: Final = 60.0
"""Seconds in which a speaker must be as it should."""
_CALM: Final = 0.25
"""Seconds for which all must have been well, at least."""
_RECENT: Final = 0.1
"""Seconds since which what was answered was answered just now."""
_POLL: Final = 0.01


class ArenaError(RuntimeError):
    """The routers do not do what they must before anything can be measured; the message has their last words."""


class Arena:
    """Routers of one kind and a client; a context manager that takes everything down.

    Args:
        speaker: what the routers run.
        setting: how many, how fast.
        directory: for configurations and logs.

    Raises:
        ArenaError: no master that serves the client comes about.
    """

    def __init__(self, speaker: Speaker, setting: Setting, directory: Path) -> None:
        self.speaker = speaker
        self.setting = setting
        self.routers: list[Daemon] = []
        self.probers: dict[str, Prober] = {}
        self._senders: dict[str, str] = {}
        self._stack = ExitStack()
        try:
            self._build(directory)
        except BaseException:
            self._stack.close()
            raise

    def _build(self, directory: Path) -> None:
        setting = self.setting
        self.lan = self._stack.enter_context(Lan())
        bits = 32 if setting.family == 4 else 128
        for number, priority in enumerate(setting.priorities):
            host = self.lan.host(f"r{number + 1}")
            for key in ("net.ipv4.ip_default_ttl", "net.ipv6.conf.default.hop_limit", "net.ipv6.conf.eth0.hop_limit"):
                host.sysctl(key, _FIRST_HOPS + number)
            for interface in ("default", "eth0"):
                # Those of FRR's master would change the hop limit of the others; a router heeds none.
                host.sysctl(f"net.ipv6.conf.{interface}.accept_ra", 0)
            settings = RouterSettings(
                VRID, (f"{setting.address}/{bits}",), priority=priority, advert_int=setting.advert_int
            )
            self.routers.append(self.speaker.kind(host, directory / host.name, [settings]))
            self._start_echo(number)
        self.client = self.lan.host("client")
        with self.orders():
            for router in self.routers:
                router.start()
        time.sleep(_SWITCH_SETTLES)
        for router in self.routers:
            if not router.pids():
                raise self._error("it has ended at once", router)
        for name in (REFERENCE, *(name for name in setting.probes if name != REFERENCE)):
            prober = Prober(self.client, setting.address, interval=setting.probe_interval, program=PROBES[name])
            self.probers[name] = self._stack.enter_context(prober)
        self.wait_calm()
        self.rest()

    def _start_echo(self, number: int) -> None:
        host = self.routers[number].host
        process = host.popen([sys.executable, "-m", echo.__name__, self.setting.address], stdout=subprocess.PIPE)
        assert process.stdout is not None
        if process.stdout.readline() != echo.READY:
            raise ArenaError(f"the echo on {host.name} did not start")

    @property
    def best(self) -> Daemon:
        """Who is to be master while nothing is wrong."""
        return self.routers[0]

    def name_of(self, hops: int | None) -> str | None:
        """The router whose answers have that TTL."""
        number = (hops or 0) - _FIRST_HOPS
        return self.routers[number].host.name if 0 <= number < len(self.routers) else None

    def _find_senders(self) -> dict[str, str]:
        """Router by each address that it may send from, the virtual one left out."""
        own: dict[str, str] = {}
        for router in self.routers:
            host = router.host
            for link in host.netlink("get_links"):
                for address in host.addresses(str(link.get_attr("IFLA_IFNAME"))):
                    own[str(address.ip)] = host.name
        for address in self.best.routers[0].advertised:
            own.pop(str(address.ip), None)
        return own

    def adverts(self, capture: Capture) -> Adverts:
        """What the capture says of who was master."""
        return Adverts(capture.frames, self._senders, self.setting, carp=self.speaker.carp)

    def answers(self, name: str, since: float, until: float = float("inf")) -> ProbeResult:
        """Of one kind of probes."""
        return self.probers[name].result(since, until)

    def served_by(self) -> str | None:
        """Who answered the client just now; None: nobody."""
        answer = self.probers[REFERENCE].latest_answered
        return self.name_of(answer.hops) if answer and _just_now(answer) else None

    def _all_answered(self) -> bool:
        """Whether every kind of probe was just now; a TCP flow that stood still may need as long again to go on."""
        return all((answer := prober.latest_answered) and _just_now(answer) for prober in self.probers.values())

    @contextmanager
    def orders(self) -> Iterator[None]:
        """Around what a speaker is told to do.

        Raises:
            ArenaError: it does not do it, or cannot be started.
        """
        try:
            yield
        except (OSError, subprocess.SubprocessError) as error:
            raise self._error(str(error).partition("\n")[0]) from error

    def _error(self, what: str, router: Daemon | None = None) -> ArenaError:
        said = (router or self.best).log.split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "")
        return ArenaError(
            f"{self.speaker.name}: {what}; " + (f"its log ends with: {last}" if last else "it logs nothing")
        )

    def wake(self) -> None:
        """Probe; comes back when probes are answered."""
        for prober in self.probers.values():
            prober.resume()
        now = time.monotonic()
        for name, prober in self.probers.items():
            try:
                prober.wait_answered(_PATIENCE, since=now)
            except TimeoutError:
                raise self._error(f"the {name} probes are not answered") from None

    def rest(self) -> None:
        """Do not probe until `wake`."""
        for prober in self.probers.values():
            prober.pause()

    def wait_calm(self) -> None:
        """Wait until the best router is the only master and serves the client, which has an answer to all it asks.

        Raises:
            ArenaError: that does not come about.
        """
        deadline = time.monotonic() + _PATIENCE
        quiet = max(_CALM, 3.5 * self.setting.advert_int)
        best = self.best.host.name
        self._senders = self._find_senders()
        with Capture(self.lan) as capture:
            since = time.monotonic()
            while time.monotonic() < since + quiet:
                if time.monotonic() > deadline:
                    raise self._error(f"{best} is not the only master, or does not answer")
                time.sleep(_POLL)
                others = self.adverts(capture).last_of_others(best)
                if self.served_by() != best or not self._all_answered():
                    since = time.monotonic()
                elif others is not None:
                    since = max(since, others)

    def close(self) -> None:
        """Take everything down."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _just_now(answered: Probe) -> bool:
    return answered.sent_at > time.monotonic() - _RECENT
