"""Rows 1, 2, 4-8 and 14 of the conformance list: what an advert looks like on the wire, and who gets to hear it.

The sockets are real, between two hosts in network namespaces.
"""

import time
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from tests.peers import DEADLINE, eventually
from tests.protocol.samples import OWN, OWN_IPV6, PARAMETERS, VIPS, VIPS_IPV6, sealed
from vrrpd.lan.capture import Capture, Frame
from vrrpd.lan.hosts import Host, Lan
from vrrpd.net.adverts import AdvertSocket, Packet, parse
from vrrpd.net.links import Link, LinkMonitor
from vrrpd.protocol.advert import Advert, AdvertError, ChecksumForm, DropReason, Family, IPAddress, decode, encode
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.timing import Centiseconds

FAMILIES = pytest.mark.parametrize("family", Family, ids=["ipv4", "ipv6"])
VIPS_OF: dict[Family, tuple[IPAddress, ...]] = {Family.IPV4: VIPS, Family.IPV6: VIPS_IPV6}


class Speaker:
    """A host with an advert socket."""

    def __init__(self, host: Host, family: Family) -> None:
        self.host = host
        self.family = family
        self.monitor = host.call(LinkMonitor)
        self.link = self.find_link()
        self.socket = host.call(AdvertSocket, self.link, family)
        self.source = self.find_source()
        host.call(self.socket.send_from, self.source)

    def find_link(self) -> Link:
        link = self.monitor.link("eth0")
        assert link
        return link

    def find_source(self, virtual: frozenset[IPAddress] = frozenset()) -> IPAddress:
        source = self.monitor.source_address(self.link.index, self.family, virtual)
        assert source
        return source

    def send(self, vrid: int = 51, form: ChecksumForm = ChecksumForm.PSEUDO_HEADER) -> bytes:
        message = encode(Advert(vrid, 100, Centiseconds(100), VIPS_OF[self.family]), self.source, form=form)
        self.host.call(self.socket.send, message)
        return message

    def hears(self) -> list[Packet]:
        heard: list[Packet] = []
        while (datagram := self.socket.receive()) is not None:
            heard.append(parse(datagram))
        return heard

    def hears_of_strangers(self) -> list[Packet]:
        return [packet for packet in iter(self.socket.receive_stranger, None) if packet]

    def close(self) -> None:
        self.socket.close()
        self.monitor.close()


@pytest.fixture
def lan() -> Iterator[Lan]:
    with Lan() as lan:
        yield lan


@pytest.fixture
def speaker_on(lan: Lan) -> Iterator[Callable[[str, Family], Speaker]]:
    made: list[Speaker] = []

    def make(name: str, family: Family) -> Speaker:
        made.append(Speaker(lan.host(name), family))
        return made[-1]

    yield make
    for speaker in made:
        speaker.close()


SpeakerOn = Callable[[str, Family], Speaker]


def seen(lan: Lan, speaker: Speaker, form: ChecksumForm = ChecksumForm.PSEUDO_HEADER) -> tuple[bytes, Frame]:
    """An advert, and the frame that carried it over the LAN."""
    with Capture(lan.host("bystander")) as capture:
        message = speaker.send(form=form)
        return message, capture.wait_for(lambda frame: frame.is_advert, DEADLINE)


def ttl(frame: Frame) -> int:
    return frame.data[21 if frame.is_ipv6 else 22]


def protocol(frame: Frame) -> int:
    return frame.data[20 if frame.is_ipv6 else 23]


@pytest.mark.namespaces
@FAMILIES
def test_row_01_version_3_type_1_protocol_112_ttl_255(lan: Lan, speaker_on: SpeakerOn, family: Family) -> None:
    message, frame = seen(lan, speaker_on("r1", family))
    assert frame.payload == message
    assert (message[0], message[4] >> 4) == (0x31, 0)
    assert (protocol(frame), ttl(frame)) == (112, 255)
    traffic_class = frame.data[15] if family is Family.IPV4 else int.from_bytes(frame.data[14:16]) >> 4 & 0xFF
    assert traffic_class == 0xC0


@pytest.mark.parametrize("first_bytes", ["21", "32", "41"])
def test_row_01_negative_nothing_else_is_an_advert(first_bytes: str) -> None:
    message = encode(Advert(51, 100, Centiseconds(100), VIPS), OWN)
    other = sealed(bytes.fromhex(first_bytes) + message[1:], OWN)
    with pytest.raises(AdvertError):
        decode(other, source=OWN, destination=Family.IPV4.group)


@pytest.mark.namespaces
@FAMILIES
def test_row_02_to_the_group(lan: Lan, speaker_on: SpeakerOn, family: Family) -> None:
    _, frame = seen(lan, speaker_on("r1", family))
    destination = frame.data[38:54] if frame.is_ipv6 else frame.data[30:34]
    assert destination == family.group.packed
    assert frame.destination_mac == ("33:33:00:00:00:12" if frame.is_ipv6 else "01:00:5e:00:00:12")


@pytest.mark.namespaces
@FAMILIES
def test_row_02_negative_not_to_itself(speaker_on: SpeakerOn, family: Family) -> None:
    sender, receiver = speaker_on("r1", family), speaker_on("r2", family)
    for speaker in (sender, receiver):
        speaker.socket.listen_for({51})
    sender.send()
    (packet,) = eventually(receiver.hears, "the other hears it")
    assert (packet.source, packet.destination, packet.ttl) == (sender.source, family.group, 255)
    assert sender.hears() == []


@pytest.mark.namespaces
@FAMILIES
def test_row_04_from_the_primary_or_link_local_address(lan: Lan, speaker_on: SpeakerOn, family: Family) -> None:
    speaker = speaker_on("r1", family)
    _, frame = seen(lan, speaker)
    assert frame.source == speaker.source
    assert frame.source.is_link_local == (family is Family.IPV6)


@pytest.mark.namespaces
@FAMILIES
def test_row_04_negative_not_from_a_virtual_address(speaker_on: SpeakerOn, family: Family) -> None:
    speaker = speaker_on("r1", family)
    virtual = VIPS_OF[family][0]
    speaker.host.add_address(f"{virtual}/{virtual.max_prefixlen}")
    eventually(
        lambda: speaker.monitor.read() and virtual in {each.address for each in speaker.monitor.addresses.values()},
        "the monitor knows the virtual address",
    )
    assert speaker.find_source(frozenset({virtual})) == speaker.source
    assert speaker.find_source(frozenset({speaker.source})) == virtual  # the list is what decides


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("family", "form"),
    [*((Family.IPV4, form) for form in ChecksumForm), *((Family.IPV6, form) for form in ChecksumForm)],
)
def test_row_05_the_checksum_that_was_chosen(
    lan: Lan, speaker_on: SpeakerOn, family: Family, form: ChecksumForm
) -> None:
    """The kernel does not touch it. An IPv6 one always has the pseudo-header."""
    _, frame = seen(lan, speaker_on("r1", family), form)
    with_pseudo_header = family is Family.IPV6 or form is ChecksumForm.PSEUDO_HEADER
    assert frame.payload == sealed(frame.payload, frame.source if with_pseudo_header else None, family.group)


def test_row_05_negative_neither_form() -> None:
    message = encode(Advert(51, 100, Centiseconds(100), VIPS), OWN)
    with pytest.raises(AdvertError) as caught:
        decode(message[:7] + bytes([message[7] ^ 1]) + message[8:], source=OWN, destination=Family.IPV4.group)
    assert caught.value.reason is DropReason.CHECKSUM


def test_row_06_the_first_ipv6_address_is_link_local() -> None:
    message = encode(Advert(51, 100, Centiseconds(100), VIPS_IPV6), OWN_IPV6)
    assert message[8:10] == b"\xfe\x80"


@pytest.mark.parametrize("addresses", [VIPS_IPV6[::-1], VIPS_IPV6[1:], (*VIPS_IPV6, *VIPS), (*VIPS, *VIPS_IPV6)])
def test_row_06_negative_no_other_order_and_no_other_family(addresses: tuple[IPAddress, ...]) -> None:
    with pytest.raises(ValueError, match=r"^addresses is .*; it must be "):
        encode(Advert(51, 100, Centiseconds(100), addresses), OWN_IPV6)


@pytest.mark.parametrize("priority", [1, 100, 254, 255])
def test_row_07_priorities(priority: int) -> None:
    assert replace(PARAMETERS, priority=priority).priority == priority
    assert Parameters(51, VIPS).priority == 100


@pytest.mark.parametrize("priority", [-1, 0, 256])
def test_row_07_negative_no_router_competes_with_another(priority: int) -> None:
    with pytest.raises(ValueError, match=f"priority is {priority}; it must be 1-255"):
        replace(PARAMETERS, priority=priority)


def test_row_07_negative_no_owner_without_preempt() -> None:
    with pytest.raises(ValueError, match="preempts always"):
        replace(PARAMETERS, priority=255, preempt=False)
    assert not replace(PARAMETERS, priority=254, preempt=False).preempt


@pytest.mark.parametrize("interval", [1, 100, 4095])
def test_row_08_intervals(interval: int) -> None:
    message = encode(Advert(51, 100, Centiseconds(interval), VIPS), OWN)
    assert int.from_bytes(message[4:6]) == interval
    assert Parameters(51, VIPS).advertisement_interval == Centiseconds(100)


@pytest.mark.parametrize("interval", [0, 0.5, 4096])
def test_row_08_negative_no_other_interval_fits(interval: float) -> None:
    with pytest.raises(ValueError, match=r"^max_advertise_interval is .* 1-4095$"):
        encode(Advert(51, 100, Centiseconds(interval), VIPS), OWN)


@pytest.mark.namespaces
@FAMILIES
def test_row_14_a_vrid_that_is_not_configured_is_a_stranger(speaker_on: SpeakerOn, family: Family) -> None:
    sender, receiver = speaker_on("r1", family), speaker_on("r2", family)
    receiver.socket.listen_for({51, 53})
    sender.send(vrid=52)
    (packet,) = eventually(receiver.hears_of_strangers, "the stranger is heard")
    assert packet.message[1] == 52
    assert receiver.hears() == []


@pytest.mark.namespaces
@FAMILIES
def test_row_14_negative_one_that_is_configured_is_not(speaker_on: SpeakerOn, family: Family) -> None:
    sender, receiver = speaker_on("r1", family), speaker_on("r2", family)
    receiver.socket.listen_for({51, 53})
    sender.send(vrid=53)
    (packet,) = eventually(receiver.hears, "the advert is heard")
    assert packet.message[1] == 53
    assert receiver.hears_of_strangers() == []


@pytest.mark.namespaces
@FAMILIES
def test_an_advert_of_255_addresses_arrives_whole(speaker_on: SpeakerOn, family: Family) -> None:
    """For IPv6 in three fragments, at an MTU of 1500; `vrrpd check` warns of that."""
    sender, receiver = speaker_on("r1", family), speaker_on("r2", family)
    receiver.socket.listen_for({51})
    first, other = VIPS_OF[family]
    advert = Advert(51, 100, Centiseconds(100), (first, *(other + place for place in range(254))))
    sender.host.call(sender.socket.send, encode(advert, sender.source))
    (packet,) = eventually(receiver.hears, "the advert is heard")
    decoded, _ = decode(packet.message, source=packet.source, destination=packet.destination, ttl=packet.ttl)
    assert decoded == advert
    assert receiver.hears_of_strangers() == []


@pytest.mark.namespaces
@FAMILIES
def test_how_long_ago_a_packet_came_is_known(speaker_on: SpeakerOn, family: Family) -> None:
    first, second = speaker_on("r1", family), speaker_on("r2", family)
    second.socket.listen_for([51])
    before = time.monotonic()
    first.send()
    time.sleep(0.02)  # it waits in the socket
    heard = eventually(second.hears, "the advert")
    since, elapsed = second.socket.waited(), time.monotonic() - before
    assert len(heard) == 1
    assert since is not None
    assert 0.02 <= since <= elapsed
