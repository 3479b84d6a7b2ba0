"""What must hold on a LAN of virtual routers, and within what time. The theory first.

Terms. D is the longest delay of a packet, rho the largest deviation of a clock (a timer of d lasts at most
d / (1 - rho)). The LAN is *quiet* when nothing more is done to it: no fault, no loss; parts may stay apart. Of two
masters the *better* has the higher rank: the priority, then the address. Let A be the slowest advertisement interval
that was ever configured, p the lowest priority, and

    M = active_down_interval(p, A) / (1 - rho)      the longest that any BACKUP waits once nothing resets its timer.

Always, quiet or not:

 1. A router's addresses are present exactly while it is MASTER, and exactly the timers of its state run:
    MASTER: ADVER. BACKUP: ACTIVE_DOWN, perhaps PREEMPT_DELAY. FAULT: perhaps RECOVERY. INIT: none.
 2. No early takeover: a BACKUP becomes MASTER only when, by its own clock, active_down_interval has passed since the
    last advert that it must respect, or skew_time since a resignation after that. It must respect an advert whose
    priority is at least its own and, with preempt off, any. So a nopreempt router never preempts a master it hears.
    (With preempt_delay it may for a while respect any: then either may be the one that it waits for.)
 3. No storm: two routers that answered each other's adverts for ever would fill the LAN.

In a quiet part of the LAN, S being the time from which the last packet sent before has arrived and the last RECOVERY
timer that was running has expired:

 4. Of two masters that hear each other the worse yields within min(A_better, A_worse + D) / (1 - rho) + D: it hears
    either the better's next advert (row 36) or the answer to its own (row 40).
 5. The best master stays: after S it hears nobody better. So the rank of the best master only rises.
 6. It rises for the last time before S + M + D. A preempting BACKUP that is better than every master respects none of
    what it hears, so its timer runs out within M. A nopreempt BACKUP that is better hears the best master's first
    advert within D, and is silent from then on. Where nobody is master, somebody's timer runs out within M.
 7. 2 D later every other master has heard the best one and yielded. It stays so: the others hear the best one every
    A_best, and have learnt that interval. One that had learnt a shorter interval from another master can take over
    once more, but the answer to its advert (row 40) teaches all who heard it the longer interval again, provided that
    an answer does not overtake its question (delays between D/2 and D) and that 2 D is shorter than any interval.
 8. So there is exactly one master from S + M + 4 D on. preempt_delay P adds P + M + D at most: it starts when a worse
    master is first heard, and afterwards the down timer runs out once more.
 9. The one master is the right one: its rank is not below that of any router that was MASTER after S, and no
    preempting router has a higher priority. Where all preempt, this is the highest priority, and the highest address
    among those of them that were MASTER together. (Equal priority does not preempt: row 29 compares no addresses.)
"""

from dataclasses import dataclass

from tests.simulation.lan import Host, Lan, Weather
from vrrpd.protocol.effects import Effect, State
from vrrpd.protocol.events import AdvertReceived, Event, ParametersChanged, PriorityChanged, Resume, Startup, Timer
from vrrpd.protocol.timing import PRIORITY_OWNER, Centiseconds, active_down_interval

CLOCK_DEVIATION_MAX = 1e-3
ROUNDING = 1e-6
"""Centiseconds that sums of floats may be off."""

PACKETS_IN_FLIGHT_MAX = 3000
"""Far more than a few masters send during the longest delay, answers included."""

_TIMERS: dict[State, tuple[set[Timer], set[Timer]]] = {
    State.INIT: (set(), set()),
    State.BACKUP: ({Timer.ACTIVE_DOWN}, {Timer.ACTIVE_DOWN, Timer.PREEMPT_DELAY}),
    State.MASTER: ({Timer.ADVER}, {Timer.ADVER}),
    State.FAULT: (set(), {Timer.RECOVERY}),
}
"""Those that must run, and those that may."""


class InvariantError(AssertionError):
    """An invariant does not hold."""


@dataclass(slots=True)
class Hearing:
    """What a BACKUP has heard, by its own clock."""

    interval: float
    may_take_over_at: float


@dataclass(frozen=True, slots=True)
class Quiet:
    """A quiet period."""

    since: float
    settled_since: float
    """S of the theory."""
    bound: float
    """How long after `since` there must be exactly one master."""


class Referee:
    """Watches a LAN, and raises `InvariantError`."""

    def __init__(self, lan: Lan) -> None:
        self._lan = lan
        lan.observer = self
        self._hearing: dict[Host, Hearing] = {}
        self._master_since: dict[Host, float] = {}
        self._slowest_interval = 0.0
        self._lowest_priority = PRIORITY_OWNER
        self._quiet: Quiet | None = None
        self._masters_seen: set[Host] = set()
        self._last_change = 0.0

    def handled(self, host: Host, event: Event, before: State, _effects: tuple[Effect, ...]) -> None:
        """Check what must always hold."""
        assert host.router
        after = host.router.state
        if self._lan.in_flight > PACKETS_IN_FLIGHT_MAX:
            raise InvariantError(f"{host} takes part in a storm of adverts")
        self._require_consistency(host, after)
        if isinstance(event, Startup | Resume | ParametersChanged | PriorityChanged):
            self._slowest_interval = max(self._slowest_interval, host.router.parameters.advertisement_interval)
            self._lowest_priority = min(self._lowest_priority, host.router.priority)
        if after is State.MASTER and before is State.BACKUP:
            self._require_patience(host)
        self._note_hearing(host, event, before, after)
        if after is not before and State.MASTER in {before, after}:
            self._note_change(host, after)

    def settle(self, weather: Weather) -> float:
        """Begin a quiet period, run through it and check it; how much of the bound it took to converge."""
        lan = self._lan
        lan.swallowed.clear()
        lan.weather = weather
        for host in lan.hosts:
            host.refuses_addresses = False
            lan.thaw(host)
        lan.run_until(lan.now)
        self._master_since = {host: lan.now for host in lan.hosts if host.state is State.MASTER}
        self._masters_seen = set()
        self._last_change = lan.now
        quiet = self._quiet = self._bounded(lan.now)
        lan.run_until(quiet.settled_since)
        self._masters_seen |= {host for host in lan.hosts if host.state is State.MASTER}
        lan.run_until(quiet.since + quiet.bound)
        self._require_right_masters()
        lan.run_until(lan.now + self._longest_down_interval)  # and it stays so
        self._require_right_masters()
        self._quiet = None
        share = (self._last_change - quiet.since) / quiet.bound
        if share > 1:
            raise InvariantError(f"the masters still changed after {share:.3f} of the bound of {quiet.bound:.3f} cs")
        return share

    @property
    def _longest_down_interval(self) -> float:
        """M of the theory."""
        interval = active_down_interval(self._lowest_priority, Centiseconds(self._slowest_interval))
        return interval / (1 - CLOCK_DEVIATION_MAX)

    def _bounded(self, now: float) -> Quiet:
        lan = self._lan
        delay, down = lan.weather.longest_delay, self._longest_down_interval
        recovered = max((lan.due(host, Timer.RECOVERY) for host in lan.hosts), default=now)
        settled_since = max(now, lan.last_arrival, recovered)
        bound = settled_since - now + down + 4 * delay
        preempt_delay = max(host.parameters.preempt_delay for host in lan.hosts)
        if preempt_delay:
            bound += preempt_delay / (1 - CLOCK_DEVIATION_MAX) + down + delay
        return Quiet(now, settled_since, bound)

    def _require_consistency(self, host: Host, state: State) -> None:
        assert host.router
        expected = set(host.router.parameters.addresses) if state is State.MASTER else set()
        if host.addresses != expected:
            raise InvariantError(f"{host} has {sorted(map(str, host.addresses))}")
        must, may = _TIMERS[state]
        if not must <= host.armed.keys() <= may:
            raise InvariantError(f"{host} runs the timers {sorted(host.armed)}")

    def _require_patience(self, host: Host) -> None:
        early = self._hearing[host].may_take_over_at - self._clock(host)
        if early > ROUNDING:
            raise InvariantError(f"{host} took over {early:.3f} cs early, beside a master that it hears")

    def _note_hearing(self, host: Host, event: Event, before: State, after: State) -> None:
        assert host.router
        own = host.router
        if after is State.BACKUP and before in {State.INIT, State.FAULT}:
            self._hearing[host] = Hearing(own.parameters.advertisement_interval, 0)
            self._wait(host, 3)
        elif isinstance(event, ParametersChanged) and after is State.BACKUP:
            # It counts if no master was heard yet; the lower interval serves as the bound in either case.
            hearing = self._hearing[host]
            hearing.interval = min(hearing.interval, event.parameters.advertisement_interval)
        elif isinstance(event, AdvertReceived) and after is State.BACKUP:
            self._note_advert(host, event, yielded=before is State.MASTER)

    def _note_advert(self, host: Host, event: AdvertReceived, *, yielded: bool) -> None:
        assert host.router
        own, interval = host.router, event.advert.max_advertise_interval
        if yielded:
            self._hearing[host] = Hearing(interval, 0)
            self._wait(host, 3)
        elif not event.advert.priority:
            self._wait(host, 0)
        elif event.advert.priority >= own.priority or not (own.parameters.preempt or own.priority == PRIORITY_OWNER):
            self._hearing[host].interval = interval
            self._wait(host, 3)
        elif own.parameters.preempt_delay:  # it may be tolerated, and then the sooner of both is the bound
            before = self._hearing[host].may_take_over_at
            self._hearing[host].interval = min(self._hearing[host].interval, interval)
            self._wait(host, 3)
            self._hearing[host].may_take_over_at = min(before, self._hearing[host].may_take_over_at)

    def _wait(self, host: Host, intervals: int) -> None:
        """Skew_Time and so many intervals from now on, as section 6.1 has it."""
        assert host.router
        interval = self._hearing[host].interval
        skew = interval * (256 - host.router.priority) / 256
        self._hearing[host].may_take_over_at = self._clock(host) + intervals * interval + skew

    def _clock(self, host: Host) -> float:
        return self._lan.now * host.clock_rate

    def _note_change(self, host: Host, after: State) -> None:
        self._last_change = self._lan.now
        if after is State.MASTER:
            self._master_since[host] = self._lan.now
            if self._quiet and self._lan.now >= self._quiet.settled_since:
                self._masters_seen.add(host)
            return
        if self._quiet:
            for other in self._masters_beside(host):
                self._require_yielding(host, other)
        self._master_since.pop(host, None)

    def _masters_beside(self, host: Host) -> list[Host]:
        return [
            other
            for other in self._lan.hosts
            if other is not host and other.state is State.MASTER and self._lan.connected(host, other)
        ]

    def _require_yielding(self, one: Host, other: Host) -> None:
        """Rule 4."""
        worse, better = sorted((one, other), key=lambda host: host.rank)
        delay = self._lan.weather.longest_delay
        wait_for_advert = better.parameters.advertisement_interval / better.clock_rate
        wait_for_answer = worse.parameters.advertisement_interval / worse.clock_rate + delay
        bound = min(wait_for_advert, wait_for_answer) + delay
        together = self._lan.now - max(self._master_since[worse], self._master_since[better])
        if together > bound + ROUNDING:
            raise InvariantError(f"{worse} was MASTER beside {better} for {together:.3f} cs; the bound is {bound:.3f}")

    def _require_right_masters(self) -> None:
        for part in {host.part for host in self._lan.hosts}:
            self._require_right_master(
                [
                    host
                    for host in self._lan.hosts
                    if host.part == part and host.link_up and host.state is not State.INIT
                ]
            )

    def _require_right_master(self, hosts: list[Host]) -> None:
        """Rules 8 and 9."""
        masters = [host for host in hosts if host.state is State.MASTER]
        for one in masters:
            for other in self._masters_beside(one):
                self._require_yielding(one, other)
        if len(masters) != bool(hosts):
            raise InvariantError(f"of {hosts} {len(masters)} are masters")
        for master in masters:
            for host in hosts:
                if host in self._masters_seen and host.rank > master.rank:
                    raise InvariantError(f"{master} is MASTER, though {host} was and is better")
                if host.router and host.router.parameters.preempt and host.rank[0] > master.rank[0]:
                    raise InvariantError(f"{master} is MASTER, though {host} preempts and has priority {host.rank[0]}")
