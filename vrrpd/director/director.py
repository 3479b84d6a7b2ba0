"""Brings together what is configured, who is well and who is MASTER, and has the kernel be so."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Raw
from msgspec.json import encode

from vrrpd.channel import Entered, Proxied, SetBurdens, SetProxied
from vrrpd.config.model import Config
from vrrpd.config.services import DRAIN_TIMEOUT, VirtualServerSettings
from vrrpd.director import news
from vrrpd.director.belongings import Belongings
from vrrpd.director.checking import Checking, Place
from vrrpd.director.debounce import Debounced
from vrrpd.director.drain import Draining
from vrrpd.director.host import HostPreparation
from vrrpd.director.masquerade import MasqueradeError
from vrrpd.director.notify import Notifier
from vrrpd.director.own import OwnAddresses
from vrrpd.director.priorities import burdens
from vrrpd.director.proxied import Proxying
from vrrpd.director.scripts import Scripts
from vrrpd.director.service import Health, Service, adopted, is_served_by
from vrrpd.director.status import statuses
from vrrpd.director.turns import in_turns
from vrrpd.histogram import Histogram
from vrrpd.ipvs.kernel import Ipvs, IpvsError
from vrrpd.ipvs.model import Activity, RealServerKey, ServiceActivity, Table, VirtualServer, VirtualServerKey
from vrrpd.ipvs.reconciler import Reconciler, Refusal
from vrrpd.ledger import RouterKey
from vrrpd.protocol.advert import IPAddress
from vrrpd.protocol.effects import State

log = logging.getLogger(__name__)

DEBOUNCE = 0.05
"""Seconds: the first change goes to the kernel at once, those that follow within this time together."""
SERVERS_AT_ONCE = 200
"""Virtual servers that are told to the kernel before checks and answers have their turn."""
RETRY = 5.0
"""Seconds until a kernel without IPVS is asked again."""
DRAIN_POLL = 1.0
SYNC_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds: from a change that is due to the kernel's answer."""
NOTIFY_PATIENCE = 5.0
"""Seconds at the end for programs that wait to be called."""
_NOTHING: Table = MappingProxyType({})
REFUSALS_TOLD = 5
"""Refused entries that the log names; the status has them all."""


class Director:
    """All virtual servers of a host.

    Args:
        loop: the one that runs.
        config: to begin with.
        held: the routers that hold their addresses.
        said: what an earlier life has told last.
        tell: takes what is to be added to the priorities of routers, and what the proxy is to serve.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        config: Config,
        held: frozenset[RouterKey],
        said: SetBurdens,
        tell: Callable[[SetBurdens | SetProxied], None],
    ) -> None:
        self._loop = loop
        self._config = config
        self._held = held
        self._away = _away(config, held)
        self._own = OwnAddresses(loop, self._own_changed)
        self._tell = tell
        self._belongings = Belongings(config.belongings)
        self._host = HostPreparation(self._belongings)
        self._checking = Checking(loop, self.heard)
        self._notifier = Notifier()
        self._services: dict[str, Service] = {}
        self._by_key: dict[VirtualServerKey, Service] = {}
        self._tables: dict[str, dict[VirtualServerKey, VirtualServer]] = {}
        """What each service wants where its address is, ready for when it comes here."""
        self._served_here: set[str] = set()
        """The services of which this host is a real server, so that it serves them only where their address is."""
        self._table: dict[VirtualServerKey, VirtualServer] = {}
        """What the services want here, without those that are leaving."""
        self._draining = Draining()
        self._proxy = Proxying(tell)
        self._ipvs: Ipvs | None = None
        self._reconciler: Reconciler | None = None
        self._errors: dict[str, str] = {}
        """Why the kernel is not as it should be, by what of it; told in the status."""
        self._told: set[str] = set()
        self._scripts = Scripts(loop, self._weigh, said.standings)
        self._said = said
        self._flushing = Debounced(loop, self.flush, DEBOUNCE)
        self._weighing = Debounced(loop, self._weigh, DEBOUNCE)
        """Of thousands that lose their quorum together each would have all looked at."""
        self._flushing_since: float | None = None
        """Since when the kernel is being told, on `time.monotonic`."""
        self._waiting: list[Callable[[], None]] = []
        """Called when all that is wanted has been told to the kernel."""
        self._resync_timer: asyncio.TimerHandle | None = None
        self._drain_timer: asyncio.TimerHandle | None = None
        self._resyncing: asyncio.Task[None] | None = None
        self._sync_seconds = Histogram(SYNC_BUCKETS)

    @property
    def settings(self) -> dict[str, VirtualServerSettings]:
        """What is configured, by name."""
        return {name: service.settings for name, service in self._services.items()}

    def start(self, proxied: Table = _NOTHING) -> None:
        """Take over what an earlier life has left, and have the kernel as it should be.

        Args:
            proxied: what that has told the proxy last.
        """
        self._proxy.table, left = proxied, dict(proxied)
        if self._belongings.virtual_servers or not all(server.proxied for server in self._config.virtual_servers):
            left |= self._open() or {}
        ours = {
            key: each for key, each in left.items() if each.proxy_protocol or key in self._belongings.virtual_servers
        }
        self._take_up(self._config, {}, ours)
        self._retire((left[key] for key in left.keys() & (ours.keys() | self._by_key.keys())), ())
        self._carry_out()

    def apply(self, config: Config, applied: Callable[[], None] = lambda: None) -> None:
        """Make `config` the one in force; `applied` is called when the kernel has been told all of it."""
        self._waiting.append(applied)
        before, tables, present = self._services, self._tables, self._present
        self._take_up(config, before, {})
        unlike = [service for name, service in before.items() if self._services.get(name) is not service]
        wanted = {key: server for service in unlike for key, server in tables[service.settings.name].items()}
        wanted |= {key: present[key] for key in wanted.keys() & present.keys()}
        self._retire(wanted.values(), unlike)
        self._draining.lose_sight(self._away)
        self._carry_out()

    def _take_up(self, config: Config, before: Mapping[str, Service], left: Table) -> None:
        """Services and their checks, which go on where they are the same.

        Args:
            config: from now on.
            before: services by name.
            left: what an earlier life has left of ours in the kernel.
        """
        self._config = config
        self._away = _away(config, self._held)
        tracked = {each.script for instance in config.instances for each in instance.track_script}
        self._scripts.apply(script for script in config.scripts if script.name in tracked)
        tables, self._services, self._tables = self._tables, {}, {}
        had_quorum: dict[str, bool] = {}
        for settings in config.virtual_servers:
            name, earlier = settings.name, before.get(settings.name) or self._served_before(settings)
            if earlier and earlier.settings == settings:  # of thousands most are as they were
                self._services[name], self._tables[name] = earlier, tables[name]
            else:
                had_quorum[name] = earlier.has_quorum if earlier else True
                service = self._services[name] = Service(settings, earlier, adopted(settings, left))
                self._tables[name] = service.table()
        self._by_key = {key: service for service in self._services.values() for key in service.settings.keys}
        same = self._services.keys() - had_quorum.keys()
        self._served_here &= same
        self._served_here |= self._find_ourselves(self._services[name] for name in had_quorum)
        self._checking.apply(config.virtual_servers, same, self._rests, self._health)
        for name, had in had_quorum.items():
            service = self._services[name]
            if had != service.has_quorum and left.keys().isdisjoint(service.settings.keys):
                news.quorum_changed(self._notifier, service)

    def _served_before(self, settings: VirtualServerSettings) -> Service | None:
        """The virtual server that had its keys under another name, as when a group is renamed."""
        return next((self._by_key[key] for key in settings.keys if key in self._by_key), None)

    def _find_ourselves(self, services: Iterable[Service]) -> set[str]:
        own = self._own.addresses
        return {service.settings.name for service in services if is_served_by(service.settings, own)}

    def _own_changed(self) -> None:
        """This host has other addresses than before, and may be a real server now, or not any more."""
        before, self._served_here = self._served_here, self._find_ourselves(self._services.values())
        if self._served_here != before:
            self._merge()
            self._flushing.soon()

    def _carry_out(self) -> None:
        self._merge()
        self._weigh()
        self._host.want(self._config)
        self.flush()
        self._resync_later()

    def hold(self, router: RouterKey, *, holds: bool) -> None:
        """A router holds its addresses now, or does not any more."""
        self._held = self._held | {router} if holds else self._held - {router}
        self._flushing.after(0, self._moved)  # with the others that are told of now

    def _moved(self) -> None:
        """Addresses are here, or not, that were elsewhere."""
        before, self._away = self._away, _away(self._config, self._held)
        self._draining.lose_sight(self._away - before)
        self._merge()
        self.flush()
        for service in self._services.values():
            if service.settings.ha_suspend:
                self._checking.suspend(service.settings, suspended=self._rests(service.settings))

    def notify(self, entered: Entered) -> None:
        """A router has entered a state: call its program as keepalived does, with TYPE NAME STATE PRIORITY."""
        if entered.notify:
            state = "STOP" if entered.state == State.INIT else entered.state
            self._notifier.tell(
                f"({entered.instance})", (*entered.notify, "INSTANCE", entered.instance, state, str(entered.priority))
            )

    def hear_proxy(self, said: Proxied) -> None:
        """The proxy says how things are."""
        self._proxy.hear(said)

    async def status(self) -> dict[str, Any]:
        """The part of `vrrpd status --json` that the director knows, as far as it is long encoded already."""
        activity: dict[VirtualServerKey, ServiceActivity] = {}
        if ipvs := self._ipvs:
            with self._telling("status"):
                activity = {key: found async for key, found in in_turns(ipvs.activity())}
        activity |= self._proxy.activity
        entries = statuses(self._by_key, self._present, activity, self._draining, self._checking.found)
        encoded = [encode(entry) async for entry in in_turns(entries)]
        refusals = self._reconciler.refusals if self._reconciler else ()
        return {
            "scripts": self._scripts.status(),
            "virtual_servers": Raw(b"[" + b",".join(encoded) + b"]"),
            "ipvs": {
                "errors": [*self._errors.values(), *self._proxy.errors],
                "drift": self._host.drift + (self._reconciler.drift if self._reconciler else 0),
                "refused": [*map(str, refusals)],
                "sysctls_missing": self._host.missing,
                "draining": len(self._draining),
                "sync_seconds": self._sync_seconds.as_dict(),
            },
        }

    async def shutdown(self) -> None:
        """Remove what is ours, call who is to be told, and put back what was there before."""
        self._flushing.cancel()
        self._weighing.cancel()
        for timer in (self._resync_timer, self._drain_timer):
            if timer:
                timer.cancel()
        if self._resyncing:
            self._resyncing.cancel()
        self._checking.close()
        self._scripts.close()
        self._own.close()
        for service in self._services.values():
            news.ended(self._notifier, service)
        if reconciler := self._reconciler:
            self._reconcile(lambda: reconciler.want({}))
            self._belongings.note(reconciler.ours)
        self._try("host", self._host.leave)
        if self._ipvs:
            self._ipvs.close()
        await self._notifier.close(NOTIFY_PATIENCE)

    @property
    def _present(self) -> Table:
        """What the kernel has of ours, as far as we know, and the proxy."""
        kernels = self._reconciler.desired if self._reconciler else {}
        return {**kernels, **self._proxy.table} if self._proxy.table else kernels

    def _rests(self, server: VirtualServerSettings) -> bool:
        """Whether the checks of a virtual server rest (`ha_suspend`); not if they decide where its address is."""
        addresses = frozenset(server.addresses)
        return server.ha_suspend and not server.vrrp_weight and bool(addresses) and addresses <= self._away

    def _health(self, place: Place) -> Health:
        name, real = place
        return self._services[name].health[real]

    def heard(self, place: Place, health: Health) -> None:
        """The checks of a real server have found something new."""
        name, key = place
        service = self._services[name]
        had, was_up = service.has_quorum, service.health[key].up
        if not service.hear(key, health):
            return
        if health.up != was_up:
            real = next(real for real in service.settings.real_servers if real.key == key)
            reasons = None if health.up else self._checking.found(place).reasons
            news.real_server_changed(self._notifier, name, real, reasons)
        self._tables[name] = service.table()
        self._table.update(self._table_of(service))
        if had != service.has_quorum:
            news.quorum_changed(self._notifier, service)
            self._weighing.soon()
        self._flushing.soon()

    def _weigh(self) -> None:
        """Tell what burdens the routers, if that is news."""
        self._weighing.begin()
        standings = self._scripts.standings
        found = burdens(self._config.instances, self._services.values(), standings, self._said.burdens)
        said = SetBurdens(found, standings)
        if said != self._said:
            self._said = said
            self._tell(said)

    def _merge(self) -> None:
        self._table = {}
        for service in self._services.values():
            self._table.update(self._table_of(service))

    def _table_of(self, service: Service) -> dict[VirtualServerKey, VirtualServer]:
        name = service.settings.name
        if name in self._served_here and not self._away.isdisjoint(service.settings.addresses):
            return service.table(self._away)
        return self._tables[name]

    def _retire(self, servers: Iterable[VirtualServer], before: Iterable[Service]) -> None:
        """Let those leave that the configuration has no more."""
        now = time.monotonic()
        timeouts = {key: each.settings.drain_timeout for each in before for key in each.settings.keys}
        timeouts |= {key: each.settings.drain_timeout for key, each in self._by_key.items()}
        self._draining.retire(servers, self._knows, lambda key: now + timeouts.get(key, DRAIN_TIMEOUT))

    def _knows(self, key: VirtualServerKey, real: RealServerKey) -> bool:
        service = self._by_key.get(key)
        return service is not None and service.knows(key, real)

    def flush(self) -> None:
        """Have the kernel be as it should, and the proxy."""
        self._flushing.begin()
        if self._flushing_since is None:
            self._flushing_since = time.monotonic()
        for_kernel = not all(service.settings.proxied for service in self._services.values())
        if self._reconciler is None and for_kernel and self._open() is None:
            self._flushing.after(RETRY)
        wanted = self._draining.overlay(self._table, self._by_key, self._away, self._own.addresses)
        wanted = self._proxy.take(wanted)
        if self._reconciler and not self._flush(self._reconciler, wanted):
            self._flushing.after(0)
            return
        if self._draining and self._drain_timer is None:
            self._drain_timer = self._loop.call_later(DRAIN_POLL, self._poll_draining)
        if self._reconciler:
            self._sync_seconds.observe(time.monotonic() - self._flushing_since)
        self._flushing_since = None
        waiting, self._waiting = self._waiting, []
        for applied in waiting:
            applied()

    def _flush(self, reconciler: Reconciler, wanted: Table) -> bool:
        """Tell the kernel, and return whether that was all: of thousands of virtual servers it is a part at a time."""
        self._belongings.note(reconciler.ours | wanted.keys() - reconciler.theirs)
        self._prepare_host()
        part = reconciler.towards(wanted, SERVERS_AT_ONCE)
        if self._reconcile(lambda: reconciler.want(part)) and part is not wanted:
            return False
        self._belongings.note(reconciler.ours)
        return True

    def _open(self) -> Table | None:
        """Everything that the kernel has, whoever put it there; None: it has no IPVS for us."""
        table: dict[VirtualServerKey, VirtualServer] = {}

        def read() -> None:
            ipvs = Ipvs()
            try:
                table.update(ipvs.table())
            except IpvsError:
                ipvs.close()
                raise
            self._ipvs = ipvs

        if not self._try("table", read):
            return None
        assert self._ipvs
        self._reconciler = Reconciler(
            self._ipvs, self._belongings.virtual_servers & table.keys(), known=self._belongings.known or not table
        )
        return table

    def _prepare_host(self) -> None:
        """Clients stay masqueraded while connections may go on: the kernel would forget how to translate."""
        self._try("host", lambda: self._host.prepare(self._draining.addresses))

    def _reconcile(self, action: Callable[[], int]) -> bool:
        done = self._try("table", action)
        if done:
            self._tell_of_refusals()
        return done

    def _tell_of_refusals(self) -> None:
        assert self._reconciler
        refusals = self._reconciler.refusals
        told = {str(refusal) for refusal in refusals[:REFUSALS_TOLD]}
        if told - self._told:
            _tell_of(refusals)
        self._told = told

    def _try(self, part: str, action: Callable[[], object]) -> bool:
        """Do it; what goes wrong is told. Returns whether nothing did."""
        with self._telling(part):
            action()
        return part not in self._errors

    @contextlib.contextmanager
    def _telling(self, part: str) -> Iterator[None]:
        """What goes wrong meanwhile is told once, and with the status."""
        try:
            yield
        except (IpvsError, MasqueradeError) as error:
            if self._errors.get(part) != str(error):
                log.error("%s", error)  # noqa: TRY400
            self._errors[part] = str(error)
        else:
            self._errors.pop(part, None)

    def _resync_later(self) -> None:
        if self._resync_timer:
            self._resync_timer.cancel()
        self._resync_timer = self._loop.call_later(self._config.resync_interval, self._resync)

    def _resync(self) -> None:
        self._resync_later()
        if self._reconciler and (self._resyncing is None or self._resyncing.done()):
            self._try("host", self._host.resync)
            self._prepare_host()
            self._resyncing = self._loop.create_task(self._look_and_mend(self._reconciler))

    async def _look_and_mend(self, reconciler: Reconciler) -> None:
        drift = reconciler.drift
        with self._telling("table"):
            async for _ in in_turns(reconciler.resync()):
                pass
            self._tell_of_refusals()
        self._belongings.note(reconciler.ours)  # what was refused before may be ours now
        if reconciler.drift > drift:
            log.warning("somebody had changed %d entries of ours; mended", reconciler.drift - drift)

    def _poll_draining(self) -> None:
        self._drain_timer = None
        if not self._draining:
            return
        before = len(self._draining)
        self._try("draining", lambda: self._draining.poll(self._activity_of, time.monotonic()))
        if len(self._draining) < before:
            self.flush()
        elif self._drain_timer is None:
            self._drain_timer = self._loop.call_later(DRAIN_POLL, self._poll_draining)

    def _activity_of(self, key: VirtualServerKey) -> Mapping[RealServerKey, Activity]:
        if key in self._proxy.table:
            return self._proxy.activity_of(key)
        return self._ipvs.activity_of(key) if self._ipvs else {}


def _away(config: Config, held: frozenset[RouterKey]) -> frozenset[IPAddress]:
    """The virtual addresses that are held elsewhere, or by nobody."""
    instances = config.instances
    here = {vip.address for instance in instances if instance.key in held for vip in instance.virtual_ipaddress}
    return frozenset(vip.address for instance in instances for vip in instance.virtual_ipaddress) - here


def _tell_of(refusals: tuple[Refusal, ...]) -> None:
    for refusal in refusals[:REFUSALS_TOLD]:
        log.error("the kernel refuses: %s", refusal)
    if len(refusals) > REFUSALS_TOLD:
        log.error("the kernel refuses %d more, see `vrrpd status`", len(refusals) - REFUSALS_TOLD)
