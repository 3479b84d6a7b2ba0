"""Who serves: health, weights, quorum with hysteresis, sorry server, and where the address is."""

from hypothesis import given
from hypothesis import strategies as st

from tests.director.services import KEY, VIP, place, real, settings
from vrrpd.config.services import VirtualServerSettings
from vrrpd.director.service import Health, Service, adopted, is_served_by
from vrrpd.ipvs.model import (
    FirewallMark,
    Flag,
    Method,
    Protocol,
    RealServer,
    Scheduler,
    ServiceAddress,
    Table,
    virtual_server,
)
from vrrpd.protocol.advert import Family

FAILED = Health(up=False)


def weights(service: Service, *away: object) -> dict[int, int]:
    """The weight of each real server in the table, by its last number."""
    server = service.table(frozenset(away))[KEY]  # type: ignore[arg-type]
    return {int(key.address) & 0xFF: entry.weight for key, entry in server.real_servers.items()}


def test_one_that_fails_is_taken_out_and_comes_back() -> None:
    service = Service(settings(real(1), real(2, weight=3)))
    assert weights(service) == {1: 1, 2: 3}
    assert service.hear(place(2), FAILED)
    assert weights(service) == {1: 1}
    assert not service.hear(place(2), FAILED)
    assert service.hear(place(2), Health())
    assert weights(service) == {1: 1, 2: 3}


def test_one_that_fails_is_inhibited() -> None:
    service = Service(settings(real(1, inhibit_on_failure=True), real(2)))
    service.hear(place(1), FAILED)
    assert weights(service) == {1: 0, 2: 1}


def test_a_check_may_give_a_weight() -> None:
    service = Service(settings(real(1), real(2)))
    service.hear(place(1), Health(weight=9))
    assert weights(service) == {1: 9, 2: 1}
    assert service.weight == 10


def test_alpha_waits_for_the_first_check() -> None:
    service = Service(settings(real(1), real(2, checks=()), alpha=True, quorum=2))
    assert weights(service) == {2: 1}
    assert not service.has_quorum
    service.hear(place(1), Health())
    assert service.has_quorum


def test_without_a_quorum_the_sorry_server_serves_alone() -> None:
    sorry = real(99, weight=5, checks=())
    service = Service(settings(real(1), real(2), quorum=2, sorry_server=sorry))
    assert weights(service) == {1: 1, 2: 1}
    service.hear(place(1), FAILED)
    assert weights(service) == {2: 0, 99: 5}  # connections of one that is well may go on
    service.hear(place(1), Health())
    assert weights(service) == {1: 1, 2: 1}


def test_without_a_quorum_and_a_sorry_server_those_who_are_well_go_on() -> None:
    service = Service(settings(real(1), real(2), quorum=2))
    service.hear(place(1), FAILED)
    assert (service.has_quorum, weights(service)) == (False, {2: 1})


@given(st.integers(1, 6), st.data(), st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40))
def test_the_quorum_has_hysteresis(quorum: int, data: st.DataObject, events: list[tuple[int, bool]]) -> None:
    hysteresis = data.draw(st.integers(0, quorum - 1))
    service = Service(settings(*(real(last) for last in range(6)), quorum=quorum, hysteresis=hysteresis))
    for last, up in events:
        had = service.has_quorum
        service.hear(place(last), Health(up=up))
        well = sum(health.up for health in service.health.values())
        assert service.weight == well
        if service.has_quorum != had:
            assert well >= quorum + hysteresis if service.has_quorum else well < quorum - hysteresis
        else:
            assert well >= quorum - hysteresis if had else well < quorum + hysteresis


def test_dr_has_nothing_for_addresses_that_are_away() -> None:
    service = Service(settings(real(1, method=Method.DR), method=Method.DR))
    assert weights(service) == {1: 1}
    assert service.table(frozenset({VIP})) == {}


def test_a_host_is_a_real_server_by_its_addresses_unless_packets_are_translated() -> None:
    own = {place(1).address}
    assert is_served_by(settings(real(1, method=Method.DR), real(2)), own)
    assert is_served_by(settings(real(2), sorry_server=real(1, method=Method.TUN)), own)
    assert not is_served_by(settings(real(1), real(2, method=Method.DR)), own)


def test_a_hash_that_leads_to_weight_zero_is_passed_over() -> None:
    for scheduler in ("mh", "sh"):
        service = Service(settings(real(1, inhibit_on_failure=True), real(2), scheduler=Scheduler(scheduler)))
        assert not service.table()[KEY].flags & Flag.SCHED_1
        service.hear(place(1), FAILED)
        assert service.table()[KEY].flags & Flag.SCHED_1
    service = Service(settings(real(1, weight=0), real(2)))
    assert not service.table()[KEY].flags


def test_a_firewall_mark_without_addresses_is_everywhere() -> None:
    key = FirewallMark(3, Family.IPV4)
    service = Service(VirtualServerSettings("m", (key,), (real(1, method=Method.DR, port=0),), method=Method.DR))
    assert [*service.table(frozenset({VIP}))] == [key]


def test_what_an_earlier_life_gave_connections_to_was_well() -> None:
    configured = settings(real(1), real(2), real(3), real(4, weight=0), alpha=True)
    reals = (RealServer(place(1)), RealServer(place(3), weight=0), RealServer(place(4), weight=0))
    found = adopted(configured, {KEY: virtual_server(KEY, reals)})
    assert {key.address for key, health in found.items() if health.up} == {place(1).address, place(4).address}
    assert weights(Service(configured, adopted=found)) == {1: 1, 4: 0}
    assert adopted(configured, {}) == {}


def test_those_who_replace_everybody_at_a_restart_do_not_wait_for_their_first_check() -> None:
    before: Table = {KEY: virtual_server(KEY, (RealServer(place(1)), RealServer(place(2), weight=0)))}
    assert adopted(settings(real(2), real(3)), before) == {}
    sorry = real(1, checks=())
    failed = adopted(settings(real(2), real(3), sorry_server=sorry), before)
    assert [health.up for health in failed.values()] == [False, False]


def test_each_member_of_a_group_gets_the_real_servers() -> None:
    keys = (KEY, ServiceAddress(Protocol.TCP, VIP, 81), FirewallMark(3, Family.IPV4))
    service = Service(VirtualServerSettings("g", keys, (real(1, method=Method.DR, port=0),), method=Method.DR))
    table = service.table(frozenset())
    assert [*table] == [*keys]
    assert [next(iter(table[key].real_servers)) for key in keys] == [place(1, 80), place(1, 81), place(1, 0)]
    assert service.table(frozenset({VIP})) == {}


def test_a_reload_forgets_nothing_that_was_found() -> None:
    before = Service(settings(real(1), real(2), real(3)))
    before.hear(place(1), FAILED)
    after = Service(settings(real(1, weight=7), real(3), real(4)), before)
    assert weights(after) == {3: 1, 4: 1}
    after.hear(place(1), Health())
    assert weights(after) == {1: 7, 3: 1, 4: 1}


def test_a_reload_that_takes_the_checks_away_takes_the_failure_along() -> None:
    before = Service(settings(real(1)))
    before.hear(place(1), FAILED)
    assert weights(Service(settings(real(1, checks=())), before)) == {1: 1}


def test_what_it_knows() -> None:
    service = Service(settings(real(1, port=8080), real(2, method=Method.DR), sorry_server=real(9)))
    known = [place(1, 8080), place(2), place(9)]
    assert all(service.knows(KEY, key) for key in known)
    assert not any(service.knows(KEY, key) for key in [place(1), place(2, 81), place(3), place(9, 81)])
