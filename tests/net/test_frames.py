"""Announcements, byte by byte and against scapy."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from vrrpd.net.frames import ARP_REPLY, ARP_REQUEST, announcement

MACS = st.binary(min_size=6, max_size=6).map(lambda raw: raw.hex(":"))


@given(address=st.ip_addresses(v=4), mac=MACS)
@pytest.mark.parametrize("operation", [ARP_REQUEST, ARP_REPLY])
def test_gratuitous_arp_is_what_scapy_builds(operation: int, address: IPv4Address, mac: str) -> None:
    target = mac if operation == ARP_REPLY else "00:00:00:00:00:00"
    packet = ARP(op=operation, hwsrc=mac, psrc=str(address), hwdst=target, pdst=str(address))
    assert announcement(address, mac, operation) == bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src=mac) / packet)


@given(address=st.ip_addresses(v=6), mac=MACS)
def test_unsolicited_na_is_what_scapy_builds(address: IPv6Address, mac: str) -> None:
    na = ICMPv6ND_NA(R=1, S=0, O=1, tgt=str(address)) / ICMPv6NDOptDstLLAddr(lladdr=mac)
    packet = IPv6(src=str(address), dst="ff02::1", hlim=255) / na
    assert announcement(address, mac) == bytes(Ether(dst="33:33:00:00:00:01", src=mac) / packet)
