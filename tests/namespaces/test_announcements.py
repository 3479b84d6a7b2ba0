"""Gratuitous ARP and unsolicited NA: their form, when they are sent, how often, and what goes before them."""

import itertools
import time
from collections import Counter
from ipaddress import ip_address

import pytest

from benchmarks.peers import BACKUP, MASTER, Keepalived, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, advert_of, eventually, families, ip_of, settings
from vrrpd.lan.capture import Capture, Frame, FrameKind
from vrrpd.speaker.pacer import BURST, BURST_PAUSE

pytestmark = pytest.mark.namespaces

BROADCAST = "ff:ff:ff:ff:ff:ff"
ALL_NODES = "33:33:00:00:00:01"
ARP_HEAD = bytes.fromhex("0001080006040001")
"""Ethernet, IPv4, their lengths, request; a reply ends with 02."""
NA_HEAD = bytes.fromhex("8800")
NA_FLAGS = bytes.fromhex("a0000000")
"""Router and Override, not Solicited (RFC 9568 section 6.4.2)."""
MANY = 200
ROUNDS = 20
"""4,000 announcements and more, a quarter of a second at the pace."""


def announced(frames: list[Frame], address: str | None = None) -> list[Frame]:
    return [frame for frame in frames if frame.announces and address in {None, str(frame.announces)}]


def announced_addresses(frames: list[Frame]) -> set[str]:
    return {str(frame.announces) for frame in frames if frame.announces}


def mac_bytes(router: Vrrpd) -> bytes:
    return bytes.fromhex(router.host.mac().replace(":", ""))


@pytest.mark.parametrize("form", ["request", "reply"])
def test_the_form_of_a_gratuitous_arp(network: Network, form: str) -> None:
    router = network.vrrpd("r1", settings(4, 100, f'garp_form = "{form}"'))
    with Capture(network.lan) as capture:
        router.start()
        frame = capture.wait_for(lambda frame: frame.announces is not None, DEADLINE)
    vip, mac = ip_address(ip_of(VIPS[4])).packed, mac_bytes(router)
    assert (frame.kind, frame.destination_mac, frame.source_mac) == (FrameKind.ARP, BROADCAST, router.host.mac())
    operation, target = (b"\1", bytes(6)) if form == "request" else (b"\2", mac)
    assert frame.payload == ARP_HEAD[:-1] + operation + mac + vip + target + vip


def test_the_form_of_an_unsolicited_neighbour_advertisement(network: Network) -> None:
    router = network.vrrpd("r1", settings(6))
    with Capture(network.lan) as capture:
        router.start()
        frame = capture.wait_for(lambda frame: str(frame.announces) == ip_of(VIPS[6]), DEADLINE)
    vip, mac = ip_address(ip_of(VIPS[6])).packed, mac_bytes(router)
    assert (frame.destination_mac, frame.source_mac) == (ALL_NODES, router.host.mac())
    assert frame.data[14 + 7] == 255  # hop limit: a neighbour drops any other
    assert (frame.data[22:38], frame.data[38:54]) == (vip, ip_address("ff02::1").packed)
    body = frame.payload
    assert body[:2] + body[4:] == NA_HEAD + NA_FLAGS + vip + b"\2\1" + mac
    length = len(body).to_bytes(4)
    words = frame.data[22:54] + length + (58).to_bytes(4) + body
    assert sum(int.from_bytes(words[at : at + 2]) for at in range(0, len(words), 2)) % 0xFFFF == 0


@families
def test_the_advert_leaves_first_then_one_announcement_of_each_address(network: Network, family: int) -> None:
    addresses = tuple(VIPS[family].replace("100", f"10{last}") for last in range(5))
    router = network.vrrpd("r1", settings(family, addresses=addresses, advert_int=0.3))  # no second advert so soon
    expected = {ip_of(address) for address in addresses} | ({"fe80::200:5eff:fe00:233"} if family == 6 else set())
    with Capture(network.lan) as capture:
        router.start()
        eventually(lambda: expected <= announced_addresses(capture.frames), "every announcement")
        mine = [frame for frame in capture.frames if frame.is_advert or frame.announces]
    assert mine[0].is_advert
    first_set = mine[1 : 1 + len(expected)]
    assert {str(frame.announces) for frame in first_set} == expected
    assert all(router.host.mac() == frame.source_mac for frame in first_set)


PAUSE = 0.4
"""Seconds that part two sets; keepalived's finest unit is the second."""
GARP_SETTINGS = {
    "second-set": ({"garp_master_delay": 1, "garp_master_repeat": 3}, [3, 3]),
    "no-second-set": ({"garp_master_delay": 0, "garp_master_repeat": 4, "garp_master_refresh": 1}, [4, 1, 1]),
    "refresh": (
        {
            "garp_master_delay": 1,
            "garp_master_repeat": 2,
            "garp_master_refresh": 2,
            "garp_master_refresh_repeat": 3,
        },
        [2, 2, 3],
    ),
}


@pytest.mark.parametrize(("garp", "expected"), GARP_SETTINGS.values(), ids=GARP_SETTINGS.keys())
def test_sets_and_refreshes_are_as_keepalived_sends_them(
    network: Network, garp: dict[str, int], expected: list[int]
) -> None:
    ours_toml, theirs_conf = ([f"{key}{sign}{value}" for key, value in garp.items()] for sign in (" = ", " "))
    ours = network.vrrpd("r1", settings(4, 100, *ours_toml))
    theirs = network.add(Keepalived, "k1", [settings(4, 100, *theirs_conf, vrid=52, addresses=("192.0.2.101/32",))])
    with Capture(network.lan) as capture:
        for daemon in (ours, theirs):
            daemon.start()
        for vip in ("192.0.2.100", "192.0.2.101"):
            wait_announced(capture, vip, sum(expected))
        frames = capture.frames
    assert sets(announced(frames, "192.0.2.101"))[: len(expected)] == expected
    assert sets(announced(frames, "192.0.2.100"))[: len(expected)] == expected


def wait_announced(capture: Capture, address: str, times: int) -> None:
    eventually(lambda: len(announced(capture.frames, address)) >= times, f"{times} announcements of {address}")


def sets(frames: list[Frame]) -> list[int]:
    """How many came together, set by set."""
    ends = [at for at, (one, two) in enumerate(itertools.pairwise(frames), 1) if two.time - one.time > PAUSE]
    return [end - start for start, end in itertools.pairwise([0, *ends, len(frames)])]


@families
def test_who_steps_down_announces_nothing_more(network: Network, family: int) -> None:
    """The second set of the former master is due after it, and the refreshes go on for ever."""
    extra = ("garp_master_delay = 0.5", "garp_master_refresh = 0.2")
    router = network.vrrpd("r1", settings(family, 100, *extra))
    better = network.vrrpd("r2", settings(family, 200, "garp_master_delay = 1.5"))
    vip = ip_of(VIPS[family])
    with Capture(network.lan) as capture:
        router.start()
        router.wait_until(MASTER, DEADLINE)
        better.start()
        router.wait_until(BACKUP, DEADLINE)
        better.wait_until(MASTER, DEADLINE)
        won = capture.wait_for(advert_of(better), DEADLINE).time
        capture.wait_for(  # its second set: more than either of the other's delays later
            lambda frame: str(frame.announces) == vip and frame.source_mac == better.host.mac(), DEADLINE, won + 1.2
        )
        senders = Counter(frame.source_mac for frame in announced(capture.frames) if frame.time > won + 0.1)
    assert set(senders) == {better.host.mac()}


@families
@pytest.mark.parametrize("advert_int", [0.01, 0.1])
def test_adverts_go_between_the_announcements_of_many_addresses(
    network: Network, family: int, advert_int: float
) -> None:
    addresses = tuple(f"192.0.2.{20 + n}/32" if family == 4 else f"2001:db8::1:{n:x}/128" for n in range(MANY))
    extra = (f"garp_master_repeat = {ROUNDS}", "garp_master_delay = 0")
    many = settings(family, 100, *extra, addresses=addresses)
    punctual = settings(family, 255, vrid=52, advert_int=advert_int, addresses=(VIPS[family].replace("100", "250"),))
    router = network.vrrpd("r1", many, punctual)
    counter = "gratuitous_arp_sent" if family == 4 else "unsolicited_na_sent"
    expected = ROUNDS * len(many.advertised)
    with Capture(network.lan) as capture:
        router.start()
        router.wait_until(MASTER, DEADLINE, many)
        eventually(lambda: router.router_status(many)["counters"][counter] == expected, "every announcement was sent")
        capture.wait_for(advert_of(router), DEADLINE, since=time.monotonic())  # and all of them were captured
        frames = capture.frames
    assert capture.dropped == 0
    announcing = [frame.is_advert is False for frame in frames if not frame.is_advert or frame.virtual_router_id == 52]
    runs = [len(list(run)) for is_announcement, run in itertools.groupby(announcing) if is_announcement]
    assert sum(runs) >= expected
    assert max(runs) <= BURST * (advert_int / BURST_PAUSE + 2)
