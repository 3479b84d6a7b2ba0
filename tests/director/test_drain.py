"""Real servers that leave: as long as something goes on there, within their time, and never in the way of the rest."""

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.director.services import KEY, VIP, place
from vrrpd.director.drain import QUIET, Draining
from vrrpd.ipvs.model import (
    Activity,
    Flag,
    Method,
    Protocol,
    ProxyProtocol,
    RealServer,
    RealServerKey,
    ServiceAddress,
    Table,
    Traffic,
    VirtualServerKey,
    virtual_server,
)
from vrrpd.protocol.advert import IPAddress

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


def overlaid(draining: Draining, table: Table, *away: IPAddress, own: frozenset[IPAddress] = frozenset()) -> Table:
    return draining.overlay(table, {KEY}, frozenset(away), own)


def reals(table: Table) -> dict[RealServerKey, int]:
    return {key: entry.weight for key, entry in table[KEY].real_servers.items()}


def test_it_stays_with_weight_zero() -> None:
    assert reals(overlaid(second_leaves(), ALONE)) == {FIRST.key: 1, SECOND.key: 0}


def test_its_virtual_server_stays_for_it() -> None:
    draining = leaving(lambda *_: False)
    left = virtual_server(KEY, (replace(FIRST, weight=0), LEFT))
    assert draining.overlay({}, set(), frozenset(), frozenset()) == {KEY: left}


def test_one_that_is_known_again_leaves_no_more() -> None:
    draining = second_leaves()
    draining.retire([], lambda *_: True, lambda _: GRACE)
    assert overlaid(draining, {KEY: BOTH}) == {KEY: BOTH}
    assert len(draining) == 0


def test_it_goes_when_its_connections_are_done() -> None:
    draining = second_leaves()
    draining.poll(activity(1), 1.0)
    assert (KEY, SECOND.key) in draining
    draining.poll(activity(0), 2.0)
    assert overlaid(draining, ALONE) == ALONE


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


def test_the_kernel_and_the_proxy_cannot_end_what_the_other_has_begun() -> None:
    """Where a virtual server is the other's now, its connections are gone."""
    proxied = virtual_server(KEY, (replace(FIRST, method=Method.PROXY),), proxy_protocol=ProxyProtocol.V1)
    assert reals(overlaid(second_leaves(), {KEY: proxied})) == {FIRST.key: 1}
    draining = Draining()
    draining.retire([virtual_server(KEY, (replace(SECOND, method=Method.PROXY),))], lambda *_: False, lambda _: GRACE)
    assert reals(overlaid(draining, ALONE)) == {FIRST.key: 1}
    assert reals(overlaid(draining, {KEY: proxied})) == {FIRST.key: 1, SECOND.key: 0}


def test_udp_does_not_wait() -> None:
    key = ServiceAddress(Protocol.UDP, VIP, 53)
    draining = Draining()
    draining.retire([virtual_server(key, (FIRST,))], lambda *_: False, lambda _: GRACE)
    assert len(draining) == 0


@pytest.mark.parametrize(("scheduler", "weight"), [("mh", 3), ("sh", 3), ("wlc", 0)])
def test_where_the_address_comes_it_keeps_its_weight_to_the_end_for_a_hash_to_find_it(
    scheduler: str, weight: int
) -> None:
    table: Table = {KEY: virtual_server(KEY, (FIRST,), scheduler=scheduler)}
    draining = second_leaves()
    draining.lose_sight({VIP})
    assert reals(overlaid(draining, table, VIP)) == {FIRST.key: 1, SECOND.key: weight}
    assert reals(overlaid(draining, table)) == {FIRST.key: 1, SECOND.key: weight}
    draining.poll(activity(0), GRACE - 1)
    assert len(draining) == 1
    draining.poll(activity(1), GRACE)
    assert overlaid(draining, table) == table


def test_who_is_leaving_itself_takes_what_the_master_forwards_to_it() -> None:
    direct, own = replace(SECOND, method=Method.DR), frozenset({SECOND.key.address})
    draining = Draining()
    draining.retire([virtual_server(KEY, (FIRST, direct))], lambda _, real: real == FIRST.key, lambda _: GRACE)
    assert overlaid(draining, ALONE, VIP, own=own) == {}
    assert KEY in overlaid(draining, ALONE, VIP)
    assert KEY in overlaid(draining, ALONE, own=own)


def test_what_is_configured_and_has_no_place_here_gets_none() -> None:
    draining = second_leaves()
    assert overlaid(draining, {}, VIP) == {}
    assert draining.overlay({}, set(), frozenset({VIP}), frozenset()) != {}


def test_a_hash_that_leads_to_one_that_leaves_is_passed_over() -> None:
    table: Table = {KEY: virtual_server(KEY, (FIRST,), scheduler="mh")}
    draining = second_leaves()
    assert overlaid(draining, table)[KEY].flags & Flag.SCHED_1
    draining.lose_sight({VIP})
    assert not overlaid(draining, table)[KEY].flags & Flag.SCHED_1


@given(st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)), st.sets(st.integers(1, 5)))
def test_nothing_that_is_wanted_is_touched(present: set[int], known: set[int], again: set[int]) -> None:
    draining = Draining()
    before = virtual_server(KEY, tuple(RealServer(place(last), weight=2) for last in present))
    draining.retire([before], lambda _, real: int(real.address) & 0xFF in known, lambda _: GRACE)
    draining.retire([], lambda _, real: int(real.address) & 0xFF in known | again, lambda _: GRACE)
    wanted: Table = {KEY: virtual_server(KEY, tuple(RealServer(place(last), weight=7) for last in known | again))}
    found = reals(overlaid(draining, wanted))
    assert {key: weight for key, weight in found.items() if key in wanted[KEY].real_servers} == reals(wanted)
    left = {place(last) for last in present - known - again}
    assert found.keys() - wanted[KEY].real_servers.keys() == left
    assert all(found[key] == 0 for key in left)
    assert len(draining) == len(left)
