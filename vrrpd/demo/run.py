"""The demo itself: a LAN, routers, a client, and one fault after the other, measured."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from msgspec import Struct

from vrrpd.demo.faults import Condition, Fault
from vrrpd.demo.report import Measurement, Passage
from vrrpd.demo.setting import ADDRESS, VRID, Setting
from vrrpd.lan.capture import Capture, Frame
from vrrpd.lan.daemons import BACKUP, MASTER, RouterSettings, Vrrpd
from vrrpd.lan.hosts import Host, Lan
from vrrpd.lan.probe import Prober

PATIENCE: Final = 0.25
"""Seconds after which an answer counts as none: a client would have tried again."""

_LEAD: Final = 0.1
"""Seconds before an event from which probes are counted: an outage begins with one that was answered."""
_POLL: Final = 0.005


class DemoError(RuntimeError):
    """Something that must happen did not; the message says what, and has the log of the router that it concerns."""


class Event(Struct, frozen=True):
    """Something that happened."""

    at: float
    """Seconds since the demo began."""
    text: str


class Demo:
    """The LAN with everything on it; a context manager. Views read it from another thread while it runs.

    Args:
        setting: how many routers, how fast.
        directory: for the routers' configurations, sockets and logs.
        tell: called with each event.
    """

    def __init__(self, setting: Setting, directory: Path, tell: Callable[[Event], None]) -> None:
        self.setting = setting
        self.marks: dict[str, str] = {}
        """What ails a router just now, by its name."""
        self.measurements: list[Measurement] = []
        """Of the faults that are over."""
        self.routers: list[Vrrpd] = []
        self.capture: Capture
        self.prober: Prober
        self.ready = threading.Event()
        """The routers have elected a master, and the client is served."""
        self._directory = directory
        self._tell = tell
        self._macs: dict[str, Vrrpd] = {}
        self._born = time.monotonic()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self._born

    def router_of(self, mac: str | None) -> Vrrpd | None:
        """Whose hardware address that is."""
        return self._macs.get(mac or "")

    def start(self) -> None:
        """Build the LAN, start the routers and the client, wait for the election.

        Raises:
            DemoError: no master was elected, or it does not serve the client.
            OSError: no namespaces can be made.
        """
        setting = self.setting
        lan = self._stack.enter_context(Lan())
        self.capture = self._stack.enter_context(Capture(lan))
        for number, priority in enumerate(setting.priorities, start=1):
            self._add_router(lan.host(f"r{number}", private=()), priority)
        self._happened(f"{setting.routers} routers and a client on a bridge; VRID {VRID}, address {setting.address}")
        client = lan.host("client", private=())
        for router in self.routers:
            router.start()
        best = self.routers[0]
        for router in self.routers:
            self._wait(
                lambda: router.state() == (MASTER if router is best else BACKUP),  # noqa: B023
                "the best router is MASTER and the others are BACKUP",
                router,
            )
        self.prober = self._stack.enter_context(Prober(client, setting.address))
        self._wait_served_by(best)
        self.ready.set()
        self._happened(f"{best.host.name} is MASTER and answers the client, which probes every millisecond")
        time.sleep(setting.dwell)

    def _add_router(self, host: Host, priority: int) -> None:
        address, advert_int = ADDRESS[self.setting.family], self.setting.advert_int
        settings = RouterSettings(VRID, (address,), priority=priority, advert_int=advert_int)
        router = Vrrpd(host, self._directory / host.name, [settings])
        self.routers.append(router)
        self._macs[host.mac()] = router

    def suffer(self, fault: Fault) -> None:
        """Inflict one fault on the master, heal it, and measure both; everything is as before in the end.

        Raises:
            DemoError: the others did not take over, or the master did not come back.
        """
        master = self._serving()
        name = master.host.name
        self._happened(f"{fault.name}: {fault.what} ({name})")
        began = time.monotonic()
        with self._marked(name, fault.marks):
            in_effect = fault.inflict(master)
            if fault.takeover:
                successor = self._wait_succeeded(master, began)
                self._happened(f"{successor.host.name} is MASTER and answers the client")
            self._wait(in_effect, f"{fault.name} takes effect", master)
            released = time.monotonic() - began
            if fault.name == "kill":
                self._happened(f"the kernel of {name} dropped the address {released:.1f} s after: its lease ended")
            time.sleep(self.setting.dwell)
        healed = time.monotonic()
        whole = fault.heal(master)
        self._wait_restored(master, whole)
        heir, _ = self._takeover(master, began, healed)
        self._happened(f"{name} is MASTER again" if heir else f"{name} was MASTER all along")
        time.sleep(self.setting.dwell)
        measurement = self._measured(fault, master, began, healed)
        self.measurements.append(measurement)
        self._happened(measurement.sentence)

    def _measured(self, fault: Fault, master: Vrrpd, began: float, healed: float) -> Measurement:
        ended = time.monotonic()
        self.prober.wait_answered(self.setting.deadline, since=ended + PATIENCE)
        successor, takeover = self._takeover(master, began, healed)
        priority = (successor or self.routers[1]).routers[0].priority
        bound = fault.outage(self.setting.advert_int, priority)
        return Measurement(
            fault=fault,
            master=master.host.name,
            successor=successor.host.name if successor else None,
            during=Passage.of(self.prober.result(began - _LEAD, healed), PATIENCE),
            back=Passage.of(self.prober.result(healed - _LEAD, ended), PATIENCE),
            outage_bound=bound,
            takeover=takeover,
            takeover_bound=fault.takeover(self.setting.advert_int, priority) if fault.takeover else None,
        )

    def _takeover(self, master: Vrrpd, began: float, ended: float) -> tuple[Vrrpd | None, float | None]:
        """Who spoke as a master first, and how many seconds after the old one's last word."""
        mac = master.host.mac()
        last = 0.0
        for advert in self.capture.adverts(VRID):
            if advert.time > ended:
                break
            if advert.source_mac == mac:
                last = advert.time
            elif advert.time >= began and advert.priority:
                return self.router_of(advert.source_mac), advert.time - last
        return None, None

    def _serving(self) -> Vrrpd:
        answer = self.prober.wait_answered(self.setting.deadline)
        router = self.router_of(answer.answered_by)
        assert router is not None
        return router

    def _wait_succeeded(self, master: Vrrpd, began: float) -> Vrrpd:
        mac = master.host.mac()

        def is_takeover(frame: Frame) -> bool:
            return frame.is_advert and frame.source_mac != mac and frame.priority > 0

        try:
            first = self.capture.wait_for(is_takeover, self.setting.deadline, since=began)
        except TimeoutError:
            raise DemoError(f"nobody took over within {self.setting.deadline:g} s\n{master.log}") from None
        successor = self.router_of(first.source_mac)
        assert successor is not None
        self._wait_served_by(successor)
        return successor

    def _wait_restored(self, master: Vrrpd, whole: Condition) -> None:
        self._wait(whole, "it is MASTER again", master)
        self._wait_served_by(master)
        for other in self.routers:
            if other is not master:
                self._wait(
                    lambda: not other.host.has_address(self.setting.address),  # noqa: B023
                    "it gives the address back",
                    other,
                )

    def _wait_served_by(self, router: Vrrpd) -> None:
        since, mac = time.monotonic(), router.host.mac()

        def served() -> bool:
            answer = self.prober.latest_answered
            return answer is not None and answer.sent_at > since and answer.answered_by == mac

        self._wait(served, "it answers the client", router)

    def _wait(self, condition: Condition, what: str, router: Vrrpd) -> None:
        deadline = time.monotonic() + self.setting.deadline
        while not condition():
            if time.monotonic() > deadline:
                raise DemoError(
                    f"{router.host.name}: {what}: not within {self.setting.deadline:g} s; its log:\n{router.log}"
                )
            time.sleep(_POLL)

    @contextmanager
    def _marked(self, name: str, mark: str) -> Iterator[None]:
        self.marks[name] = mark
        try:
            yield
        finally:
            del self.marks[name]

    def _happened(self, text: str) -> None:
        self._tell(Event(self.seconds, text))
