"""What must hold on a LAN of virtual routers, and within what time. The theory first.

Terms. D is the longest delay of a packet, rho the largest deviation of a clock (a timer of d lasts at most
d / (1 - rho)). The LAN is *quiet* from t on when nothing more is done to it: no fault, no loss; parts may stay apart.
Of two masters the *better* has the higher rank: the priority, then the address. M, the down interval, is the longest
that any BACKUP waits once nothing resets its timer any more: what its timer has left, or active_down_interval(p, A) /
(1 - rho) with the lowest priority p and the slowest interval A that live routers have or have learnt.

Always, quiet or not (each a `Rule`):

 1. A router's addresses are present exactly while it is MASTER or YIELDING (ADDRESSES), and exactly the timers of its
    state run (TIMERS): MASTER: ADVER, perhaps REANNOUNCE. BACKUP: ACTIVE_DOWN, perhaps PREEMPT_DELAY. FAULT: perhaps
    RECOVERY. INIT and DRAINED: none. YIELDING: ACTIVE_DOWN if it is to be a BACKUP, RELEASE if another was heard or it
    is not. It competes while ACTIVE_DOWN runs, as a BACKUP does: what follows holds for it, too.
 2. A BACKUP becomes MASTER when, by its own clock, active_down_interval has passed since the last advert that counts,
    or skew_time since a resignation after that: not earlier (PATIENCE), and not later unless it was frozen
    (PUNCTUALITY). An advert counts if its priority is at least the router's own and, with preempt off, in any case: so
    a nopreempt router never preempts a master that it hears (NOPREEMPT). With preempt_delay it may count or not.
 3. An advert is answered by one advert at most, and only by a MASTER that is better, or if it was a resignation: so no
    two routers answer each other for ever (STORM).

In a quiet part of the LAN, S being the time from which the last packet sent before t has arrived and the last RECOVERY
or RELEASE timer has expired, and where packets were in flight at t also the last skew_time after a resignation:

 4. Of two masters that hear each other the worse yields within min(A_better, A_worse + D) / (1 - rho) + D: it hears
    either the better's next advert (row 36) or the answer to its own (row 40) (YIELDING).
 5. There is exactly one master from a bound on (ONE_MASTER), and it is the right one: its rank is not below that of any
    router that was MASTER when no stale advert (see 6) was under way any more, and no preempting router has a higher
    priority (RIGHT_MASTER). Where all preempt, this is the highest priority, and the highest address among those of
    them that were MASTER together. (Equal priority does not preempt: row 29 compares no addresses.) A down interval
    later nobody is YIELDING any more (RELEASE).

The bound. "The down interval plus the largest delay" is right, S + M + D, if nothing is in flight at t. Otherwise it is
false, and the bound is S + M + 3 D, where S is t + D at the latest:

 6. Call an advert *stale* if its sender is no longer MASTER when it arrives. With nothing in flight at t, the best
    master of the quiet never yields, for all that it hears was sent by worse ones. A BACKUP that is to replace it
    preempts, or hears nobody: its timer is not reset any more, so it takes over before S + M. (A nopreempt one whose
    timer was reset hears the new best one's first advert before it runs out, as D is shorter than 2 A.) All have heard
    the last one to take over D later. Two equal BACKUPs whose timers run out together need all of that.
 7. What is in flight at t can be the last words of a dead router. They reach a BACKUP at t + D at the latest, so that
    S + M + D is t + M + 2 D.
 8. They can also dethrone the best living master G, at S. G's own advert from just before is stale then, and dethrones
    all masters that are worse, by S + D. Theirs, from just before, are stale in turn and reset BACKUPs until S + 2 D.
    There it ends: nobody is left to yield. So somebody takes over before S + 2 D + M, and all have heard the best one
    at S + M + 3 D. Three equal masters that meet and hear a dying better one need all of that.
 9. preempt_delay P adds P + M + D at most: it starts when a worse master is first heard, and afterwards the down timer
    runs out once more.
10. The last word of who yields (it is stale when it is sent) changes nothing of this: it has the lowest
    priority, so it dethrones nobody, and only BACKUPs with preempt off heed it, whose last master it was.
11. It stays so: the others hear the best one every A_best, and have learnt that interval. One that had learnt a shorter
    interval from another master can take over once more, but the answer to its advert (row 40) teaches all who heard it
    the longer interval again, provided that an answer does not overtake its question (delays between D/2 and D) and
    that 2 D is shorter than any interval. The quiet weather keeps to that where intervals differ, else to D < 2 A.

`test_bound.py` plays the cases of 6, 7 and 8 that need the whole bound, to the centisecond.
"""

from enum import StrEnum

from tests.simulation.hearing import Hearing
from tests.simulation.lan import Host, Lan, Weather
from vrrpd.protocol.effects import Effect, SendAdvert, State
from vrrpd.protocol.events import AdvertReceived, Event, ParametersChanged, Timer
from vrrpd.protocol.timing import Centiseconds, active_down_interval

CLOCK_DEVIATION_MAX = 1e-3
ROUNDING = 1e-6
"""Centiseconds that sums of floats may be off."""

_TIMERS: dict[State, tuple[set[Timer], set[Timer]]] = {
    State.INIT: (set(), set()),
    State.BACKUP: ({Timer.ACTIVE_DOWN}, {Timer.ACTIVE_DOWN, Timer.PREEMPT_DELAY}),
    State.MASTER: ({Timer.ADVER}, {Timer.ADVER, Timer.REANNOUNCE}),
    State.FAULT: (set(), {Timer.RECOVERY}),
    State.YIELDING: (set(), {Timer.ACTIVE_DOWN, Timer.PREEMPT_DELAY, Timer.RELEASE}),
    State.DRAINED: (set(), set()),
}
"""Those that must run, and those that may."""


class Rule(StrEnum):
    """The invariants, named as in the theory."""

    ADDRESSES = "addresses"
    TIMERS = "timers"
    PATIENCE = "patience"
    PUNCTUALITY = "punctuality"
    NOPREEMPT = "nopreempt"
    STORM = "storm"
    YIELDING = "yielding"
    RELEASE = "release"
    ONE_MASTER = "one master"
    RIGHT_MASTER = "right master"


class InvariantError(AssertionError):
    """An invariant does not hold."""

    def __init__(self, rule: Rule, wrong: str) -> None:
        super().__init__(f"{rule}: {wrong}")
        self.rule = rule


class Referee:
    """Watches a LAN, and raises `InvariantError` where one of its rules is broken."""

    def __init__(self, lan: Lan, rules: frozenset[Rule] = frozenset(Rule)) -> None:
        self._lan = lan
        lan.observer = self
        self._rules = rules
        self._hearing: dict[Host, Hearing] = {}
        """Of each BACKUP."""
        self._master_since: dict[Host, float] = {}
        self._quiet = False
        self._masters_seen: set[Host] | None = None
        """Those that were MASTER since the stale adverts of before have arrived."""
        self.last_change = 0.0

    def handled(self, host: Host, event: Event, before: State, effects: tuple[Effect, ...]) -> None:
        """Check what must always hold."""
        assert host.router
        after = host.router.state
        self._require_consistency(host, after)
        self._require_brevity(host, event, before, effects)
        if before is State.INIT:
            self._hearing.pop(host, None)  # an earlier life's, which has crashed: an owner need not wait for anything
        if after is State.MASTER and host in self._hearing:
            self._require_its_turn(host)
        self._note_hearing(host, event, before)
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
        since = self.last_change = lan.now
        lan.run_until(since)
        self._master_since = {host: since for host in lan.hosts if host.state is State.MASTER}
        self._quiet = True
        delay = weather.longest_delay
        stale_for = 2 * delay if self._is_told_of(lan.hosts) else 0.0
        self._run_until_told()
        end = lan.now + self._longest_wait() + stale_for + delay + self._longest_tolerance(delay)
        lan.run_until(lan.now + stale_for)
        self._masters_seen = {host for host in lan.hosts if host.state is State.MASTER}
        lan.run_until(end)
        self._require_right_masters()
        lan.run_until(end + self._longest_wait())  # and it stays so
        self._require_right_masters()
        if clinging := [host for host in lan.hosts if host.state is State.YIELDING]:
            self._object(Rule.RELEASE, f"{clinging} still hold their addresses")
        if self.last_change > end + ROUNDING:
            self._object(Rule.ONE_MASTER, f"the masters still changed {self.last_change - end:.3f} cs after the bound")
        self._quiet, self._masters_seen = False, None
        return (self.last_change - since) / (end - since)

    def _run_until_told(self) -> None:
        """Run to S of the theory."""
        lan = self._lan
        recovered = max(lan.due(host, timer) for host in lan.hosts for timer in (Timer.RECOVERY, Timer.RELEASE))
        if not self._is_told_of(lan.hosts):
            lan.run_until(recovered)
            return
        lan.run_until(recovered)
        lan.run_until(max(recovered, lan.last_arrival))
        resigned = [host for host, hearing in self._hearing.items() if hearing.resigned]
        lan.run_until(max([lan.now, *(self._due(host) for host in resigned)]))

    def _is_told_of(self, hosts: list[Host]) -> bool:
        """Whether something is in flight, or will be, that a router says which is no longer MASTER."""
        return bool(self._lan.in_flight) or any(Timer.RELEASE in host.armed for host in hosts)

    def _longest_wait(self) -> float:
        """M of the theory."""
        live = [host for host in self._lan.hosts if host.state in {State.BACKUP, State.MASTER, State.YIELDING}]
        intervals = [
            *(host.parameters.advertisement_interval for host in live),
            *(hearing.interval.most for hearing in self._hearing.values()),
        ]
        if not live:
            return 0.0
        lowest = min(host.rank[0] for host in live)
        anew = active_down_interval(lowest, Centiseconds(max(intervals))) / (1 - CLOCK_DEVIATION_MAX)
        return max([anew, *(self._due(host) - self._lan.now for host in self._hearing)])

    def _due(self, host: Host) -> float:
        """When a BACKUP takes over that hears nothing any more."""
        return self._hearing[host].takeover.most / host.clock_rate

    def _longest_tolerance(self, delay: float) -> float:
        preempt_delay = max(host.parameters.preempt_delay for host in self._lan.hosts)
        if not preempt_delay:
            return 0.0
        return preempt_delay / (1 - CLOCK_DEVIATION_MAX) + self._longest_wait() + delay

    def _object(self, rule: Rule, wrong: str) -> None:
        if rule in self._rules:
            raise InvariantError(rule, wrong)

    def _require_consistency(self, host: Host, state: State) -> None:
        """Rule 1."""
        assert host.router
        holds = state in {State.MASTER, State.YIELDING}
        expected = set(host.router.parameters.addresses) if holds else set()
        if host.addresses != expected:
            self._object(Rule.ADDRESSES, f"{host} has {sorted(map(str, host.addresses))}")
        must, may = _TIMERS[state]
        stuck = state is State.YIELDING and not host.armed
        if stuck or not must <= host.armed.keys() <= may:
            self._object(Rule.TIMERS, f"{host} runs the timers {sorted(host.armed)}")

    def _require_its_turn(self, host: Host) -> None:
        """Rule 2."""
        hearing, clock = self._hearing[host], self._clock(host)
        if hearing.tolerates_until - clock > ROUNDING:
            self._object(Rule.NOPREEMPT, f"{host} took over from a master that it hears, with preempt off")
        if hearing.takeover.least - clock > ROUNDING:
            self._object(Rule.PATIENCE, f"{host} took over {hearing.takeover.least - clock:.6f} cs early")
        if clock - hearing.takeover.most > ROUNDING and host.thawed_at != self._lan.now:
            self._object(Rule.PUNCTUALITY, f"{host} took over {clock - hearing.takeover.most:.6f} cs late")

    def _require_brevity(self, host: Host, event: Event, before: State, effects: tuple[Effect, ...]) -> None:
        """Rule 3."""
        count = sum(isinstance(effect, SendAdvert) for effect in effects)
        if count > 1:
            self._object(Rule.STORM, f"{host} sends {count} adverts at once")
        if not count or not isinstance(event, AdvertReceived) or not event.advert.priority:
            return
        if before is not State.MASTER or (event.advert.priority, int(event.source)) > host.rank:
            self._object(Rule.STORM, f"{host} answers {event.source}, which is better")

    def _note_hearing(self, host: Host, event: Event, before: State) -> None:
        assert host.router
        if before is State.INIT:  # what an earlier process had heard died with it
            self._hearing.pop(host, None)
        if not (competes := Timer.ACTIVE_DOWN in host.armed):
            self._hearing.pop(host, None)
        elif host not in self._hearing:
            called_off = before is State.YIELDING  # it follows the successor already
            own = host.router.parameters.advertisement_interval
            interval = host.router.active_adver_interval if called_off else own
            self._hearing[host] = Hearing(host, self._clock(host), interval)
        if competes and isinstance(event, AdvertReceived):
            self._hearing[host].note(event, self._clock(host))
        elif competes and isinstance(event, ParametersChanged):
            self._hearing[host].reload(event.parameters.advertisement_interval)

    def _clock(self, host: Host) -> float:
        return self._lan.now * host.clock_rate

    def _note_change(self, host: Host, after: State) -> None:
        self.last_change = self._lan.now
        if after is State.MASTER:
            self._master_since[host] = self._lan.now
            if self._masters_seen is not None:
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
            self._object(Rule.YIELDING, f"{worse} beside {better} for {together:.3f} cs; the bound is {bound:.3f}")

    def _require_right_masters(self) -> None:
        for part in {host.part for host in self._lan.hosts}:
            there = [host for host in self._lan.hosts if host.part == part and host.link_up]
            self._require_right_master([host for host in there if self._competes(host)])

    def _competes(self, host: Host) -> bool:
        if host.state is State.YIELDING:
            return Timer.ACTIVE_DOWN in host.armed
        return host.state not in {State.INIT, State.DRAINED}

    def _require_right_master(self, hosts: list[Host]) -> None:
        """Rule 5."""
        masters = [host for host in hosts if host.state is State.MASTER]
        for one in masters:
            for other in self._masters_beside(one):
                self._require_yielding(one, other)
        if len(masters) != bool(hosts):
            self._object(Rule.ONE_MASTER, f"of {hosts} {len(masters)} are masters")
        for master in masters:
            for host in hosts:
                if host in (self._masters_seen or ()) and host.rank > master.rank:
                    self._object(Rule.RIGHT_MASTER, f"{master} is MASTER, though {host} was and is better")
                if host.router and host.router.parameters.preempt and host.rank[0] > master.rank[0]:
                    self._object(
                        Rule.RIGHT_MASTER, f"{master} is MASTER, though {host} preempts and has a higher priority"
                    )
