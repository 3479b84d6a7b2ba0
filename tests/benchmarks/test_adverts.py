"""Who was master when, from frames that are known."""

import pytest

from benchmarks.failover.adverts import Adverts
from benchmarks.failover.faults import bound
from benchmarks.failover.setting import Setting
from tests.sniff.crafted import R1, R2, advert, advert_v2
from vrrpd.lan.capture import Frame
from vrrpd.net.frames import announcement
from vrrpd.protocol.advert import Family

NAMES = {R1: "r1", R2: "r2"}
SETTING = Setting(advert_int=1.0)
VIP = Family.IPV4.address(bytes([192, 0, 2, 100]))


def said(source: str, *times: float, priority: int = 100) -> list[Frame]:
    return [Frame(at, advert(source, at, priority=priority).data, outgoing=False) for at in times]


def read(*frames: Frame, carp: bool = False) -> Adverts:
    return Adverts(sorted(frames, key=lambda frame: frame.time), NAMES, SETTING, carp=carp)


def test_a_failover_is_two_masterships() -> None:
    told = Frame(5.7, announcement(VIP, "02:00:00:00:02:02"), outgoing=False)
    found = read(*said(R1, 0, 1, 2), *said(R2, 5.6, 6.6), told)
    first, second = found.masterships
    assert (first.router, first.resigned, second.router, second.resigned) == ("r1", None, "r2", None)
    assert (first.start, first.last, second.start, second.last) == pytest.approx((0, 2, 5.6, 6.6))
    assert found.last_of_others("r1") == pytest.approx(6.6)
    assert found.last_of_others("r2") == pytest.approx(2)
    assert (found.announced(2), found.announced(6)) == (5.7, None)
    assert found.announcements(0, 10) == [5.7]
    assert found.two_masters(0, 10) == 0


def test_a_resignation_ends_a_mastership() -> None:
    found = read(*said(R1, 0, 1), *said(R1, 1.5, priority=0), *said(R2, 2.1, 3.1))
    assert [(one.router, one.resigned) for one in found.masterships] == [("r1", 1.5), ("r2", None)]


def test_time_with_two_masters_is_counted_within_its_limits() -> None:
    found = read(*said(R1, 0, 1, 2, 3), *said(R2, 0.5, 1.5, 2.5))
    assert found.two_masters(0, 10) == pytest.approx(2)
    assert found.two_masters(1, 2) == pytest.approx(1)
    assert found.two_masters(4, 9) == 0


def test_other_routers_and_bad_adverts_are_left_out() -> None:
    other = Frame(1, advert(R1, vrid=9).data, outgoing=False)
    bad = Frame(2, advert(R2, chksum=1).data, outgoing=False)
    found = read(*said(R1, 0, 1), other, bad)
    assert [one.router for one in found.masterships] == ["r1"]
    assert found.bad == 1


def test_carp_is_read_as_such_only_where_it_is_spoken() -> None:
    carp = bytes.fromhex("2133 9b 07 00 01 0000".replace(" ", "")) + bytes(28)
    template = advert_v2().data
    frame = bytearray(template[:34] + carp)
    frame[16:18] = (20 + len(carp)).to_bytes(2)
    found = read(Frame(1.0, bytes(frame), outgoing=False), carp=True)
    assert [(at, router, priority) for at, router, priority in found.heard] == [(1.0, "r1", 100)]
    assert read(Frame(1.0, bytes(frame), outgoing=False)).masterships == []
    assert read(*said(R1, 0), carp=True).masterships == []


@pytest.mark.parametrize(
    ("resigned", "dead", "carp", "expected"),
    [
        (False, None, False, 3 * 0.1 + 156 / 256 * 0.1),
        (True, None, False, 156 / 256 * 0.1),
        (False, 5.0, False, 5 * 0.1 + 156 / 256 * 0.1),
        (False, 3.0, True, 3 * 0.1 + 155 / 256),
    ],
)
def test_bounds_are_those_of_the_protocol(resigned: bool, dead: float | None, carp: bool, expected: float) -> None:
    assert bound(0.1, 100, resigned=resigned, intervals_until_dead=dead, carp=carp) == pytest.approx(expected)
