"""The sockets of adverts: what the packets look like on the wire, and which ones come in."""

import time
from ipaddress import ip_address

import pytest

from benchmarks.peers import BACKUP, MASTER, RouterSettings, Vrrpd
from tests.peers import DEADLINE, VIPS, Network, advert_of, eventually, families, ip_of, settings
from vrrpd.config.addresses import link_local_of
from vrrpd.lan.capture import Capture
from vrrpd.net.adverts import AdvertSocket
from vrrpd.net.links import Link
from vrrpd.protocol.advert import Advert, Family, decode, encode
from vrrpd.protocol.timing import Centiseconds
from vrrpd.speaker.port import CROWD

pytestmark = pytest.mark.namespaces

GROUP_MAC = {4: "01:00:5e:00:00:12", 6: "33:33:00:00:00:12"}
ROUNDS = 20
VRIDS = (1, 51, 128, 255)


@families
def test_an_advert_on_the_wire(network: Network, family: int) -> None:
    router = network.vrrpd("r1", settings(family, 123))
    own = ip_address(router.host.link_local() or "") if family == 6 else ip_address("192.0.2.1")
    with Capture(network.lan) as capture:
        router.start()
        frame = capture.wait_for(advert_of(router), DEADLINE)
    packet = frame.data[14:]
    group = Family(family).group
    if family == 4:
        assert packet[0] == 0x45  # no options
        assert (packet[1], packet[8], packet[9]) == (0xC0, 255, 112)
        assert not packet[6] & 0x40  # it may be fragmented
    else:
        assert int.from_bytes(packet[:4]) >> 20 == 6 << 8 | 0xC0
        assert (packet[7], packet[6]) == (255, 112)
    assert frame.destination_mac == GROUP_MAC[family]
    assert frame.source == own
    advert, _ = decode(frame.payload, source=own, destination=group)
    assert (advert.virtual_router_id, advert.priority, float(advert.max_advertise_interval)) == (51, 123, 10)
    assert ip_address(VIPS[family].partition("/")[0]) in advert.addresses


@families
def test_routers_of_one_interface_share_sockets_and_hear_their_own_vrid_alone(network: Network, family: int) -> None:
    """The second host has two of the four, so the other two are strangers there; it never hears itself."""
    routers = [
        settings(family, 200, vrid=vrid, addresses=(VIPS[family].replace("100", f"1{at}"),))
        for at, vrid in enumerate(VRIDS)
    ]
    first = network.vrrpd("r1", *routers)
    lower = [settings(family, vrid=router.virtual_router_id, addresses=router.addresses) for router in routers[::3]]
    second = network.vrrpd("r2", *lower)
    first.start()
    for router in routers:
        first.wait_until(MASTER, DEADLINE, router)
    second.start()
    for router in lower:
        second.wait_until(BACKUP, DEADLINE, router)
        wait_heard(second, router)
    eventually(lambda: second.status()["strangers"], "the strangers are seen")
    assert second.status()["strangers"][0]["last_vrid"] in VRIDS[1:3]
    for status in second.status()["routers"]:
        assert status["counters"]["adverts_dropped"] == {}
        assert status["counters"]["anomalies"] == {}
    assert first.status()["strangers"] == []
    assert all(status["counters"]["adverts_received"] == 0 for status in first.status()["routers"])
    raw = first.host.call(sockets_of_protocol_112, family)
    assert raw == 3  # one sends; one hears the VRIDs that are configured, one all others


def wait_heard(daemon: Vrrpd, router: RouterSettings) -> None:
    eventually(lambda: daemon.router_status(router)["counters"]["adverts_received"] > 3, "it hears the master")


def sockets_of_protocol_112(family: int) -> int:
    name = "raw" if family == 4 else "raw6"
    with open(f"/proc/thread-self/net/{name}", encoding="ascii") as table:  # noqa: PTH123
        return sum(line.split()[1].endswith(":0070") for line in table)


@families
def test_a_router_added_by_reload_is_heard(network: Network, family: int) -> None:
    """The filter of the shared socket learns its VRID."""
    first = network.vrrpd("r1", settings(family, 200, vrid=99))
    second = network.vrrpd("r2", settings(family, vrid=51, addresses=(VIPS[family].replace("100", "101"),)))
    for daemon in (first, second):
        daemon.start()
        daemon.wait_until(MASTER, DEADLINE)
    added = settings(family, vrid=99)
    second.routers.append(added)
    second.reload()
    second.wait_until(BACKUP, DEADLINE, added)
    wait_heard(second, added)
    assert second.state() == MASTER


@pytest.mark.lan
@families
def test_every_advert_for_a_crowd_of_routers_is_counted_and_heeded(network: Network, family: int) -> None:
    """They are let gather where many come one by one, and the usual ones are only noted."""
    routers = [
        settings(family, vrid=vrid, addresses=(VIPS[family].replace("100", str(vrid)),), advert_int=1)
        for vrid in range(101, 101 + 2 * CROWD)
    ]
    backup = network.vrrpd("r1", *routers)
    sender = network.lan.host("sender")
    own = ip_address(ip_of(str(sender.link_local() if family == 6 else sender.addresses()[0])))
    messages = [
        encode(
            Advert(
                router.virtual_router_id,
                200,
                Centiseconds(100),
                (
                    *([link_local_of(router.virtual_router_id).ip] if family == 6 else []),
                    *(ip_address(ip_of(address)) for address in router.addresses),
                ),
            ),
            own,
        )
        for router in routers
    ]
    wire = sender.call(AdvertSocket, Link(sender.index("eth0"), "eth0", "", up=True), Family(family))
    sender.call(wire.send_from, own)
    backup.start()
    for router in routers:
        backup.wait_until(BACKUP, DEADLINE, router)
    for _ in range(ROUNDS):
        for message in messages:
            wire.send(message)
            time.sleep(0.0001)  # so that each would wake up who listens
        time.sleep(0.05)
    wire.close()
    for router in routers:
        backup.wait_until(MASTER, DEADLINE, router)
    for status in backup.status()["routers"]:
        assert status["counters"]["adverts_received"] == ROUNDS
        assert status["counters"]["checksum_forms"] == {"pseudo_header": ROUNDS}
        assert status["counters"]["transitions"] == {BACKUP: 1, MASTER: 1}
