"""Planned handovers, preemption, speakers that die and masters that hang: somebody always has the addresses."""

from collections.abc import Callable
from random import Random

import pytest
from msgspec.structs import replace

from tests.simulation.episodes import FIRST_ADDRESS, VIPS
from tests.simulation.lan import Host, Lan, Machine, Weather
from vrrpd.protocol.effects import Effect, State
from vrrpd.protocol.events import Event
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.timing import Centiseconds

INTERVALS = (1, 10, 100)
EPISODES = 60


class Watch:
    """Notes when nobody has the addresses, and who was MASTER."""

    def __init__(self, lan: Lan) -> None:
        self.lan = lan
        self.nobody_at: list[float] = []
        self.masters: list[Host] = []
        lan.observer = self

    def handled(self, host: Host, _event: Event, before: State, _effects: tuple[Effect, ...]) -> None:
        if not any(each.addresses for each in self.lan.hosts):
            self.nobody_at.append(self.lan.now)
        if host.state is State.MASTER is not before:
            self.masters.append(host)


def settled(random: Random, *, hitless: bool = True) -> Lan:
    """Two to four routers of which one is master, on a LAN that loses and reorders nothing."""
    interval = random.choice(INTERVALS)
    parameters = Parameters(51, VIPS, advertisement_interval=Centiseconds(interval), hitless=hitless)
    machines = tuple(
        Machine(
            FIRST_ADDRESS + place,
            replace(parameters, priority=random.randint(1, 254), preempt=random.random() < 0.7),
            1 + random.uniform(-1e-3, 1e-3),
        )
        for place in range(random.randint(2, 4))
    )
    lan = Lan(machines, Weather(0.1 * interval, 0.1 * interval), random.randrange(1 << 30))
    for host in lan.hosts:
        lan.start(host)
    run_for(lan, 20)
    assert len(masters(lan)) == 1
    return lan


def run_for(lan: Lan, intervals: float) -> None:
    lan.run_until(lan.now + intervals * lan.hosts[0].parameters.advertisement_interval)


def masters(lan: Lan) -> list[Host]:
    return [host for host in lan.hosts if host.state is State.MASTER]


def stop(lan: Lan, master: Host, _random: Random) -> None:
    lan.stop(master)


def drain(lan: Lan, master: Host, _random: Random) -> None:
    lan.drain(master)


def respawn(lan: Lan, master: Host, _random: Random) -> None:
    lan.respawn(master)


def hang(lan: Lan, master: Host, random: Random) -> None:
    """Shorter or longer than the others wait; the kernel goes on to answer."""
    lan.freeze(master)
    run_for(lan, random.uniform(0, 10))
    lan.thaw(master)


def hang_and_stop(lan: Lan, master: Host, random: Random) -> None:
    hang(lan, master, random)
    lan.stop(master)


def outrank(lan: Lan, master: Host, random: Random) -> None:
    other = random.choice([host for host in lan.hosts if host is not master])
    lan.reconfigure(other, replace(other.parameters, priority=254, preempt=True))


def lose_rank(lan: Lan, master: Host, _random: Random) -> None:
    lan.reconfigure(master, replace(master.parameters, priority=1))


def drain_and_undrain(lan: Lan, master: Host, random: Random) -> None:
    lan.drain(master)
    run_for(lan, random.uniform(0, 2))
    lan.undrain(master)


@pytest.mark.parametrize("seed", range(EPISODES))
@pytest.mark.parametrize("act", [stop, drain, respawn, hang, hang_and_stop, outrank, lose_rank, drain_and_undrain])
def test_somebody_always_has_the_addresses(act: Callable[[Lan, Host, Random], None], seed: int) -> None:
    random = Random(seed)
    lan = settled(random)
    watch = Watch(lan)
    run_for(lan, random.random())
    act(lan, masters(lan)[0], random)
    run_for(lan, 20)
    assert watch.nobody_at == []
    assert len(masters(lan)) == 1


@pytest.mark.parametrize("seed", range(10))
def test_by_the_letter_of_the_rfc_a_stop_leaves_a_gap(seed: int) -> None:
    random = Random(seed)
    lan = settled(random, hitless=False)
    watch = Watch(lan)
    lan.stop(masters(lan)[0])
    run_for(lan, 20)
    assert watch.nobody_at


@pytest.mark.parametrize("seed", range(EPISODES))
def test_a_speaker_that_is_replaced_is_no_failover(seed: int) -> None:
    random = Random(seed)
    lan = settled(random)
    watch, master = Watch(lan), masters(lan)[0]
    run_for(lan, random.random())
    lan.respawn(master)
    run_for(lan, 20)
    assert set(watch.masters) == {master}


@pytest.mark.parametrize("seed", range(EPISODES))
def test_a_master_that_hung_says_nothing_before_it_knows(seed: int) -> None:
    """Until it is master again in its turn, it does not speak as one; a last word, that it is worse, is no claim."""
    random = Random(seed)
    lan = settled(random)
    master = masters(lan)[0]
    lan.freeze(master)
    run_for(lan, 10)
    successors = masters(lan)
    assert len([host for host in successors if host is not master]) == 1
    lan.thaw(master)
    assert master.state is not State.MASTER
    watch = Watch(lan)
    run_for(lan, 2.9)
    assert master not in watch.masters
