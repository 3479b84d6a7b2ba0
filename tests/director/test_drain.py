"""Real servers that leave: as long as something goes on there, within their time, and never in the way of the rest."""

from collections.abc import Callable, Mapping
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.director.services import KEY, VIP, place
from vrrpd.director.drain import QUIET, Draining
from vrrpd.ipvs.model import (
    Activity,
    Method,
    Protocol,
    RealServer,
    RealServerKey,
    ServiceAddress,
    Table,
    Traffic,
    VirtualServerKey,
    virtual_server,
)

FIRST, SECOND = RealServer(place(1)), RealServer(place(2), weight=3)
LEFT = replace(SECOND, weight=0)
BOTH = virtual_server(KEY, (FIRST, SECOND))
ALONE: Table = {KEY: virtual_server(KEY, (FIRST,))}
GRACE = 60.0


def leaving(known: Callable[[VirtualServerKey, RealServerKey], bool]) -> Draining:
    draining = Draining()
    draining.retire([BOTH], known, lambda _: GRACE)
    return draining


def second_leaves() -> Draining:
    return leaving(lambda _, real: real == FIRST.key)


def activity(
    active: int, inactive: int = 0, packets: int = 0
) -> Callable[[VirtualServerKey], Mapping[RealServerKey, Activity]]:
    return lambda _: {SECOND.key: Activity(active, inactive, 0, Traffic(packets_in=packets))}


def reals(table: Table) -> dict[RealServerKey, int]:
    return {key: entry.weight for key, entry in table[KEY].real_servers.items()}


def test_it_stays_with_weight_zero() -> None:
    assert reals(second_leaves().overlay(ALONE, frozenset())) == {FIRST.key: 1, SECOND.key: 0}


def test_its_virtual_server_stays_for_it() -> None:
    draining = leaving(lambda *_: False)
    assert draining.overlay({}, frozenset()) == {KEY: virtual_server(KEY, (replace(FIRST, weight=0), LEFT))}


def test_one_that_is_wanted_again_leaves_no_more() -> None:
    draining = second_leaves()
    assert draining.overlay({KEY: BOTH}, frozenset()) == {KEY: BOTH}
    assert len(draining) == 0


def test_it_goes_when_its_connections_are_done() -> None:
    draining = second_leaves()
    draining.poll(activity(1), 1.0)
    assert (KEY, SECOND.key) in draining
    draining.poll(activity(0), 2.0)
    assert draining.overlay(ALONE, frozenset()) == ALONE


def test_it_goes_when_its_time_is_over() -> None:
    draining = second_leaves()
    draining.poll(activity(5), GRACE)
    assert len(draining) == 0


def test_connections_that_are_only_remembered_do_not_keep_it() -> None:
    draining = second_leaves()
    for now, packets in ((1.0, 10), (2.0, 11), (3.0, 11), (2.0 + QUIET - 0.1, 11)):
        draining.poll(activity(0, 4, packets), now)
        assert len(draining) == 1
    draining.poll(activity(0, 4, 11), 2.0 + QUIET)
    assert len(draining) == 0


def test_one_that_somebody_has_removed_is_done() -> None:
    draining = second_leaves()
    draining.poll(lambda _: {}, 1.0)
    assert len(draining) == 0


def test_udp_does_not_wait() -> None:
    key = ServiceAddress(Protocol.UDP, VIP, 53)
    draining = Draining()
    draining.retire([virtual_server(key, (FIRST,))], lambda *_: False, lambda _: GRACE)
    assert len(draining) == 0


def test_with_dr_it_leaves_where_the_address_is() -> None:
    direct = virtual_server(KEY, (replace(FIRST, method=Method.DR),))
    draining = Draining()
    draining.retire([direct], lambda *_: False, lambda _: GRACE)
    assert draining.overlay({}, frozenset({ip_address("192.0.2.99")}))
    assert draining.overlay({}, frozenset({VIP})) == {}
    assert len(draining) == 0


@given(st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)))
def test_nothing_that_is_wanted_is_touched(present: set[int], known: set[int], again: set[int]) -> None:
    draining = Draining()
    before = virtual_server(KEY, tuple(RealServer(place(last), weight=2) for last in present))
    draining.retire([before], lambda _, real: int(real.address) & 0xFF in known, lambda _: GRACE)
    wanted: Table = {KEY: virtual_server(KEY, tuple(RealServer(place(last), weight=7) for last in known | again))}
    found = reals(draining.overlay(wanted, frozenset()))
    assert {key: weight for key, weight in found.items() if key in wanted[KEY].real_servers} == reals(wanted)
    left = {place(last) for last in present - known - again}
    assert found.keys() - wanted[KEY].real_servers.keys() == left
    assert all(found[key] == 0 for key in left)
    assert len(draining) == len(left)
