"""Who is master, since when, and what contradicts what."""

import pytest
from scapy.layers.vrrp import VRRPv3

from tests.sniff.crafted import R1, R2, R3, advert, advert_v2, heard, packet
from vrrpd.sniff.packets import Packet, Sender, understand
from vrrpd.sniff.routers import SENDERS_MAX, ConflictKind, Reign, Router, Routers, time_with_two_masters


def play(*packets: Packet) -> tuple[Routers, list[str]]:
    """What comes of them, and what was told."""
    routers, told = Routers(), []
    for each in packets:
        outcome = understand(each)
        assert outcome is not None
        told += [event.text for event in routers.take(outcome)]
    return routers, told


def the_only(routers: Routers) -> Router:
    (router,) = routers
    return router


def kinds(router: Router, now: float) -> set[ConflictKind]:
    return {conflict.kind for conflict in router.conflicts(now)}


def test_a_takeover_is_told_and_is_no_conflict() -> None:
    routers, told = play(
        advert(R1, 0, priority=200),
        advert(R1, 1, priority=200),
        advert(R2, 4.6),
        advert(R2, 5.6),
    )
    router = the_only(routers)
    assert [text.split(",")[0] for text in told] == [
        f"eth0 VRID 51 IPv4: {R1} is master",
        f"eth0 VRID 51 IPv4: {R2} is master",
    ]
    assert told[1].endswith(f"3.600 s after the last advert of {R1}")
    assert (kinds(router, 5.6), router.two_masters, router.adverts) == (set(), 0.0, 4)
    master = router.master(5.6)
    assert master is not None
    assert str(master.last.sender) == R2
    assert router.master(10) is None, "it is silent"


def test_a_resignation_ends_a_reign_at_once() -> None:
    routers, told = play(advert(R1, 0), advert(R1, 0.5, priority=0), advert(R2, 1.1), advert(R2, 2.1))
    assert told[1] == f"eth0 VRID 51 IPv4: {R1} resigns"
    assert the_only(routers).two_masters == 0
    assert [reign.resigned for reign in the_only(routers).reigns] == [0.5, None]
    assert the_only(routers).latest.last.priority == 100


def test_a_better_router_that_comes_is_no_conflict_and_one_that_is_not_heard_is() -> None:
    preempted, _ = play(advert(R1, 0), advert(R2, 0.5, priority=200), advert(R2, 1.5, priority=200))
    assert (the_only(preempted).two_masters, kinds(the_only(preempted), 1.5)) == (0.0, set())
    both, told = play(*(advert(source, at) for at in range(4) for source in (R1, R2)))
    router = the_only(both)
    assert any("are masters at once" in text for text in told)
    assert sum("are masters at once" in text for text in told) == 1
    assert ConflictKind.MASTERS in kinds(router, 3)
    assert ConflictKind.MASTERS not in kinds(router, 10)


def test_a_handover_in_which_both_speak_is_no_conflict_but_its_time_is_counted() -> None:
    """As of two vrrpd: the worse one answers until the better one has announced itself."""
    routers, told = play(
        *(advert(R1, at) for at in (0, 1)),
        advert(R2, 1.5, priority=200),
        advert(R1, 1.55),
        *(advert(R2, at, priority=200) for at in (1.6, 2.6, 3.6)),
    )
    router = the_only(routers)
    assert not any("at once" in text for text in told)
    assert router.two_masters == pytest.approx(0.05)
    assert not kinds(router, 3.6)


def test_time_with_two_masters_is_that_of_two_reigns() -> None:
    packets = [advert(R1, 0), advert(R2, 0.5), advert(R1, 1), advert(R2, 1.5), advert(R1, 2), advert(R2, 2.5)]
    router = the_only(play(*packets)[0])
    assert router.two_masters == pytest.approx(1.5)
    assert time_with_two_masters(router.reigns) == pytest.approx(1.5)


def test_time_with_three_masters_is_counted_once() -> None:
    packets = [advert(source, at + late) for at in range(4) for source, late in ((R1, 0), (R2, 0.25), (R3, 0.5))]
    router = the_only(play(*packets)[0])
    assert router.two_masters == pytest.approx(3)
    assert time_with_two_masters(router.reigns) == pytest.approx(3)


def test_reigns_that_only_touch_do_not_overlap() -> None:
    one, other = (Sender(heard(advert(source)).sender.address, "") for source in (R1, R2))
    assert time_with_two_masters([Reign(one, 0, 3), Reign(other, 3, 9)]) == 0
    assert time_with_two_masters([Reign(one, 0, 3), Reign(other, 1, 2), Reign(other, 2.5, 9)]) == 1.5
    assert time_with_two_masters([]) == 0


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"adv": 10}, ConflictKind.INTERVALS),
        ({"addrlist": ["192.0.2.101"]}, ConflictKind.ADDRESSES),
        ({"priority": 255}, ConflictKind.OWNERS),
    ],
)
def test_senders_that_disagree_are_told_of_once(change: dict[str, object], kind: ConflictKind) -> None:
    other = {"priority": 255} if kind is ConflictKind.OWNERS else {}
    routers, told = play(advert(R1, 0, **other), advert(R2, 10, **change), advert(R2, 10.3, **change))
    assert kinds(the_only(routers), 10.3) == {kind}
    assert len(told) == 3
    assert R1 in told[2]
    assert R2 in told[2]


def test_the_order_of_addresses_is_no_conflict() -> None:
    both = ["192.0.2.100", "192.0.2.101"]
    routers, _ = play(advert(R1, 0, addrlist=both), advert(R2, 10, addrlist=both[::-1]))
    assert not kinds(the_only(routers), 10)


def test_versions_differ() -> None:
    routers, told = play(advert(R1, 0), advert_v2(R2, 10))
    assert ConflictKind.VERSIONS in kinds(the_only(routers), 10)
    assert "VRRPv2, which a version 3 router discards" in told[1]


def test_a_change_of_a_sender_is_told_and_judged_as_it_is_now() -> None:
    routers, told = play(advert(R1, 0), advert(R1, 1, priority=150, adv=50), advert(R1, 1.5, priority=150, adv=50))
    assert told[1:] == [f"eth0 VRID 51 IPv4: {R1} has priority 150, was 100; interval 0.5 s, was 1 s"]
    assert not kinds(the_only(routers), 2)


def test_families_and_vrids_are_routers_of_their_own() -> None:
    message = VRRPv3(vrid=51, adv=100, addrlist=["fe80::100", "2001:db8::100"])
    routers, _ = play(advert(), advert(vrid=52), packet("fe80::1", message))
    assert [str(router.key) for router in routers] == [
        "eth0 VRID 51 IPv4",
        "eth0 VRID 51 IPv6",
        "eth0 VRID 52 IPv4",
    ]


def test_a_flood_of_senders_is_counted_and_not_kept() -> None:
    routers, _ = play(*(advert(f"192.0.2.{number}", number) for number in range(1, 200)))
    assert (len(the_only(routers).sources), the_only(routers).adverts) == (SENDERS_MAX, 199)


def test_bad_packets_are_counted_by_reason_and_sender_and_told_of_once() -> None:
    routers, told = play(*(advert(source, chksum=1) for source in (R1, R2, R2, R2)))
    assert [(str(bad.last.sender), bad.count) for bad in routers.bad] == [(R2, 3), (R1, 1)]
    assert len(told) == 2
    assert "checksum: the checksum 0x0001 fits neither form" in told[0]
