"""Hypothesis plays the faults: any interleaving of them, quiet periods in between."""

from ipaddress import IPv4Address

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.simulation.episodes import FIRST_ADDRESS, INTERVALS, VIPS, Fault, Mishap, befall, calm
from tests.simulation.lan import Lan, Machine, Weather
from tests.simulation.referee import CLOCK_DEVIATION_MAX, Referee
from vrrpd.protocol.effects import State
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.timing import PRIORITY_OWNER, Centiseconds

HOSTS_MAX = 5
WITHOUT_VALUE = (
    Fault.START,
    Fault.STOP,
    Fault.CRASH,
    Fault.RESPAWN,
    Fault.DRAIN,
    Fault.UNDRAIN,
    Fault.FREEZE,
    Fault.THAW,
    Fault.LINK_DOWN,
    Fault.LINK_UP,
    Fault.REFUSE,
    Fault.ACCEPT,
)

hosts = st.integers(0, HOSTS_MAX - 1)


def machines(addresses: tuple[IPv4Address, ...]) -> st.SearchStrategy[tuple[Machine, ...]]:
    return st.tuples(*(machine(address) for address in addresses))


def machine(address: IPv4Address) -> st.SearchStrategy[Machine]:
    parameters = st.builds(
        configured,
        priority=st.sampled_from((1, 100, 101, 200, 254, PRIORITY_OWNER)),
        interval=st.sampled_from(INTERVALS),
        preempt=st.booleans(),
        preempt_delay=st.sampled_from((0, 0, 150)),
        recovery_delay=st.sampled_from((0, 50)),
    )
    rates = st.sampled_from((1 - CLOCK_DEVIATION_MAX, 1.0, 1 + CLOCK_DEVIATION_MAX))
    return st.builds(Machine, st.just(address), parameters, rates)


def configured(priority: int, interval: int, *, preempt: bool, preempt_delay: int, recovery_delay: int) -> Parameters:
    return Parameters(
        virtual_router_id=51,
        addresses=VIPS,
        priority=priority,
        advertisement_interval=Centiseconds(interval),
        preempt=preempt or priority == PRIORITY_OWNER,
        preempt_delay=Centiseconds(preempt_delay),
        recovery_delay=Centiseconds(recovery_delay),
    )


class FaultyLan(RuleBasedStateMachine):
    """The referee watches all the time, and has its word in each quiet period."""

    lan: Lan
    referee: Referee

    @initialize(
        machines=st.integers(1, HOSTS_MAX).flatmap(
            lambda count: machines(tuple(FIRST_ADDRESS + place for place in range(count)))
        ),
        longest_delay=st.sampled_from((0.1, 4.0, 30.0)),
        duplication=st.sampled_from((0.0, 0.3)),
        seed=st.integers(0, 2**32),
    )
    def switch_on(self, machines: tuple[Machine, ...], longest_delay: float, duplication: float, seed: int) -> None:
        self.stormy = Weather(0, longest_delay, duplication=duplication)
        self.lan = Lan(machines, self.stormy, seed)
        self.referee = Referee(self.lan)
        for host in self.lan.hosts:
            self.lan.start(host)

    def _befall(self, fault: Fault, host: int, value: int = 0) -> None:
        befall(self.lan, Mishap(self.lan.now, fault, host % len(self.lan.hosts), value))

    @rule(
        host=hosts,
        fault=st.sampled_from(WITHOUT_VALUE),
    )
    def something_happens_to_a_host(self, host: int, fault: Fault) -> None:
        self._befall(fault, host)

    @rule(host=hosts, part=st.integers(0, 2))
    def the_lan_falls_apart_or_heals(self, host: int, part: int) -> None:
        self._befall(Fault.PART, host, part)

    @rule(host=hosts, sender=hosts, fault=st.sampled_from((Fault.SWALLOW, Fault.PASS_ON)))
    def one_direction_fails_or_heals(self, host: int, sender: int, fault: Fault) -> None:
        self._befall(fault, host, sender % len(self.lan.hosts))

    @rule(percent=st.sampled_from((0, 30, 100)))
    def packets_get_lost(self, percent: int) -> None:
        self._befall(Fault.LOSE, 0, percent)

    @rule(host=hosts, priority=st.integers(1, 254))
    def tracking_moves_a_priority(self, host: int, priority: int) -> None:
        self._befall(Fault.PRIORITY, host, priority)

    @rule(host=hosts, interval=st.sampled_from(INTERVALS))
    def an_interval_is_reloaded(self, host: int, interval: int) -> None:
        self._befall(Fault.INTERVAL, host, interval)

    @rule(host=hosts, preempt=st.booleans())
    def preempt_is_reloaded(self, host: int, preempt: bool) -> None:
        self._befall(Fault.PREEMPT, host, preempt)

    @rule(centiseconds=st.floats(0.01, 400))
    def time_passes(self, centiseconds: float) -> None:
        self.lan.run_until(self.lan.now + centiseconds)

    @rule()
    def it_is_quiet_for_a_while(self) -> None:
        self.referee.settle(calm(self.stormy, INTERVALS))
        self.lan.weather = self.stormy

    def teardown(self) -> None:
        if hasattr(self, "lan"):
            self.referee.settle(calm(self.stormy, INTERVALS))


FaultyLan.TestCase.settings = settings(max_examples=100, stateful_step_count=30)
TestFaultyLan = FaultyLan.TestCase


def test_an_owner_that_is_started_anew_while_another_is_master_waits_for_nothing() -> None:
    """Two owners are one too many, and the referee judges each life by what that one has heard."""
    owner = configured(PRIORITY_OWNER, INTERVALS[0], preempt=True, preempt_delay=0, recovery_delay=0)
    faulty = FaultyLan()
    faulty.switch_on(
        machines=tuple(Machine(FIRST_ADDRESS + place, owner) for place in range(2)),
        longest_delay=0.1,
        duplication=0.0,
        seed=0,
    )
    faulty.it_is_quiet_for_a_while()
    lower, higher = faulty.lan.hosts
    assert (lower.state, higher.state) == (State.BACKUP, State.MASTER)
    faulty.something_happens_to_a_host(host=0, fault=Fault.RESPAWN)
    assert lower.state is State.MASTER
    faulty.it_is_quiet_for_a_while()
    assert (lower.state, higher.state) == (State.BACKUP, State.MASTER)
