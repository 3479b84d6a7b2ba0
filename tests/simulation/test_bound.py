"""How long it can take until one master is left: the cases that need the whole bound of the referee's theory.

Every packet takes D, every clock is right, and all routers have priority 100 at 100 cs, so that M is 360.9375 cs and
ties are decided by the address. "The down interval plus the largest delay" is enough in the first case alone.
"""

import pytest

from tests.protocol.samples import DOWN_INTERVAL, PARAMETERS
from tests.simulation.episodes import FIRST_ADDRESS
from tests.simulation.lan import Host, Lan, Machine, Weather
from tests.simulation.referee import Referee
from vrrpd.protocol.effects import State

WEATHER = Weather(shortest_delay=8, longest_delay=8)
D, M, A = 8.0, DOWN_INTERVAL, 100.0
QUIET = 1000.0
"""When the quiet begins."""
JUST = 0.001


def lan_of_equals(count: int) -> tuple[Lan, Referee, list[Host]]:
    """Routers, not started, each in a part of its own; from the highest address to the lowest."""
    lan = Lan(tuple(Machine(FIRST_ADDRESS + place, PARAMETERS) for place in range(count)), WEATHER, seed=0)
    for place, host in enumerate(lan.hosts):
        host.part = place
    return lan, Referee(lan), lan.hosts[::-1]


def unite(*hosts: Host) -> None:
    for host in hosts:
        host.part = 0


def start_to_advertise(lan: Lan, host: Host, at: float) -> None:
    """As MASTER, at that time and intervals before."""
    lan.run_until(at - M - 5 * A)
    lan.start(host)


def two_backups_of_a_dead_master(age_of_its_last_advert: float) -> float:
    """From the quiet on, until one of them is left."""
    lan, referee, (master, better, worse) = lan_of_equals(3)
    unite(master, better, worse)
    start_to_advertise(lan, master, QUIET - age_of_its_last_advert)
    lan.run_until(lan.now + JUST)
    lan.start(better)
    lan.start(worse)
    lan.run_until(QUIET)
    lan.crash(master)
    referee.settle(WEATHER)
    assert (better.state, worse.state) == (State.MASTER, State.BACKUP)
    return referee.last_change - QUIET


def test_with_nothing_in_flight_the_down_interval_and_one_delay() -> None:
    assert two_backups_of_a_dead_master(D) == pytest.approx(M + D, abs=JUST)


def test_last_words_in_flight_cost_another_delay() -> None:
    assert two_backups_of_a_dead_master(0) == pytest.approx(M + 2 * D, abs=JUST)


def test_masters_that_meet_and_hear_a_dying_one_cost_four_delays() -> None:
    lan, referee, (dying, best, second, third) = lan_of_equals(4)
    start_to_advertise(lan, dying, QUIET)
    start_to_advertise(lan, best, QUIET + D - JUST)
    start_to_advertise(lan, second, QUIET + 2 * D - 2 * JUST)
    start_to_advertise(lan, third, QUIET + 2 * D - 2 * JUST)
    lan.run_until(QUIET - JUST)
    unite(dying, best)
    lan.run_until(QUIET)
    lan.crash(dying)
    unite(best, second, third)
    referee.settle(WEATHER)
    assert [host.state for host in (best, second, third)] == [State.MASTER, State.BACKUP, State.BACKUP]
    assert referee.last_change - QUIET == pytest.approx(M + 4 * D, abs=3 * JUST)
