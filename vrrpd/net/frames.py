"""Gratuitous ARP and unsolicited neighbour advertisements: whole Ethernet frames, encoded once per address.

They are sent through a packet socket, so no neighbour table, route or firewall stands between a transition and the
switches that must learn of it.
"""

import socket
import struct
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from vrrpd.net.messages import ethmsg, msg
from vrrpd.protocol.advert import IPAddress, ones_complement_sum

ENCODED_MAX = 1 << 14
"""Frames that are kept: pyroute2 takes 0.1 ms for each."""
BROADCAST = "ff:ff:ff:ff:ff:ff"
ALL_NODES = IPv6Address("ff02::1")
ALL_NODES_MAC = "33:33:00:00:00:01"
UNSPECIFIED_MAC = "00:00:00:00:00:00"

ETHERTYPE_ARP = 0x0806
ETHERTYPE_IPV6 = 0x86DD
ICMPV6 = 58

ARP_REQUEST = 1
ARP_REPLY = 2

_NEIGHBOR_ADVERTISEMENT = 136
_FLAG_ROUTER = 0x80000000
_FLAG_OVERRIDE = 0x20000000
_OPTION_TARGET_LINK_LAYER_ADDRESS = 2


class arpmsg(msg):  # type: ignore[misc] # noqa: N801 - named as pyroute2 names its messages
    """An ARP packet for IPv4 over Ethernet (RFC 826)."""

    fields = (
        ("hardware_type", "be16", 1),
        ("protocol_type", "be16", 0x0800),
        ("hardware_length", "uint8", 6),
        ("protocol_length", "uint8", 4),
        ("operation", "be16"),
        ("sender_mac", "l2addr"),
        ("sender_ip", "ip4addr"),
        ("target_mac", "l2addr"),
        ("target_ip", "ip4addr"),
    )


def gratuitous_arp(address: IPv4Address, mac: str, operation: int = ARP_REQUEST) -> bytes:
    """An ARP announcement of `address` at `mac`, to everybody (RFC 5227 section 3, RFC 9568 section 8.1.2).

    A request leaves the target's hardware address empty; a reply names the sender there too, as RFC 2002 section 4.6
    describes it.
    """
    frame = _ethernet(BROADCAST, mac, ETHERTYPE_ARP)
    packet = arpmsg(
        {
            "operation": operation,
            "sender_mac": mac,
            "sender_ip": str(address),
            "target_mac": UNSPECIFIED_MAC if operation == ARP_REQUEST else mac,
            "target_ip": str(address),
        }
    )
    return frame + bytes(packet.encode().buf)


def unsolicited_na(address: IPv6Address, mac: str) -> bytes:
    """An unsolicited neighbour advertisement of `address` at `mac`, to all nodes (RFC 4861 section 4.4).

    Router and Override flags set, Solicited clear, as RFC 9568 section 6.4.2 wants it.
    """
    mac_bytes = bytes.fromhex(mac.replace(":", ""))
    body = struct.pack("!BBHI", _NEIGHBOR_ADVERTISEMENT, 0, 0, _FLAG_ROUTER | _FLAG_OVERRIDE) + address.packed
    body += struct.pack("!BB", _OPTION_TARGET_LINK_LAYER_ADDRESS, 1) + mac_bytes
    pseudo_header = address.packed + ALL_NODES.packed + struct.pack("!IHBB", len(body), 0, 0, ICMPV6)
    checksum = 0xFFFF - ones_complement_sum(pseudo_header + body)
    ipv6 = struct.pack("!IHBB", 6 << 28, len(body), ICMPV6, 255) + address.packed + ALL_NODES.packed
    return _ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6) + ipv6 + body[:2] + struct.pack("!H", checksum) + body[4:]


@lru_cache(maxsize=ENCODED_MAX)
def announcement(address: IPAddress, mac: str, arp_operation: int = ARP_REQUEST) -> bytes:
    """The frame that tells the link where `address` is."""
    if isinstance(address, IPv6Address):
        return unsolicited_na(address, mac)
    return gratuitous_arp(address, mac, arp_operation)


def frame_socket(interface: str) -> socket.socket:
    """A socket that sends whole frames on the interface of that name and receives none.

    Raises:
        OSError: no such interface (ENODEV) or no CAP_NET_RAW (EPERM).
    """
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    frames.setblocking(False)
    try:
        frames.bind((interface, 0))
    except OSError:
        frames.close()
        raise
    return frames


def _ethernet(destination: str, source: str, ethertype: int) -> bytes:
    return bytes(ethmsg({"dst": destination, "src": source, "type": ethertype}).encode().buf)
