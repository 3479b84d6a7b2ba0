"""Packets for the sniffer that no daemon has sent."""

from ipaddress import ip_address
from typing import Any

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.layers.vrrp import VRRP, VRRPv3

from vrrpd.protocol.advert import Family
from vrrpd.sniff.packets import Discarded, Heard, Packet, understand

R1, R2, R3 = "192.0.2.1", "192.0.2.2", "192.0.2.3"
SECOND = 10**9


def packet(source: str, message: Any, at: float = 0.0, **ip: Any) -> Packet:
    """An Ethernet frame with a VRRP message, to the group unless `dst` is given; `at` in seconds."""
    number = int(ip_address(source).packed[-1])
    if ":" in source:
        layer = IPv6(**({"src": source, "dst": str(Family.IPV6.group), "hlim": 255, "nh": 112} | ip))
    else:
        layer = IP(**({"src": source, "dst": str(Family.IPV4.group), "ttl": 255, "proto": 112} | ip))
    frame = Ether(src=f"02:00:00:00:02:{number:02x}", dst="01:00:5e:00:00:12") / layer / message
    return Packet(round(at * SECOND), bytes(frame), interface="eth0")


def advert(source: str = R1, at: float = 0.0, **fields: Any) -> Packet:
    """Of version 3: VRID 51, priority 100, every second."""
    usual = {"vrid": 51, "priority": 100, "adv": 100, "addrlist": ["192.0.2.100"]}
    return packet(source, VRRPv3(**(usual | fields)), at)


def advert_v2(source: str = R1, at: float = 0.0, **fields: Any) -> Packet:
    """Of version 2."""
    return packet(source, VRRP(**({"vrid": 51, "adv": 1, "addrlist": ["192.0.2.100"]} | fields)), at)


def heard(captured: Packet) -> Heard:
    """What a good one says."""
    outcome = understand(captured)
    assert isinstance(outcome, Heard), outcome
    return outcome


def discarded(captured: Packet) -> Discarded:
    """Why a bad one is none."""
    outcome = understand(captured)
    assert isinstance(outcome, Discarded), outcome
    return outcome
