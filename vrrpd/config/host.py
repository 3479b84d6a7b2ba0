"""What the checks need to know of the host: its interfaces and their addresses."""

import contextlib
from collections.abc import Iterable
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from pathlib import Path

from msgspec import Struct

from vrrpd.protocol.advert import IP_PROTOCOL, IPAddress

_CONF = Path("/proc/sys/net/ipv4/conf")
_IFF_UP_AND_RUNNING = 0x41
_IFA_F_OPTIMISTIC = 0x04
_IFA_F_DADFAILED = 0x08
_IFA_F_TENTATIVE = 0x40


class HostAddress(Struct, frozen=True):
    """One address on an interface."""

    interface_address: IPv4Interface | IPv6Interface
    usable: bool = True
    """Packets may be sent from it: duplicate detection is over, or not waited for, and found nobody."""
    ours: bool = False
    """A vrrpd put it there, so it is a virtual one; the kernel remembers that since 5.18."""

    @property
    def address(self) -> IPAddress:
        """The address without its prefix length."""
        return self.interface_address.ip


class Interface(Struct, frozen=True):
    """One interface as it is at present."""

    up: bool = True
    """Administratively, and with a carrier."""
    addresses: tuple[HostAddress, ...] = ()
    mtu: int = 1500
    """Bytes of an IP packet that leaves it unfragmented."""
    tells_of_others: bool = False
    """It has an IPv4 address, and answers ARP for those of other interfaces, or asks with them.

    That is so with arp_ignore < 1, and with arp_announce < 2.
    """


Interfaces = dict[str, Interface]


def present_interfaces() -> Interfaces:
    """The interfaces of this network namespace, by name. Not for use inside an asyncio loop.

    Raises:
        OSError: the kernel does not tell.
    """
    from pyroute2.iproute.linux import IPRoute  # noqa: PLC0415  (a quarter of a second, and only `check` needs it)

    with IPRoute() as route:
        links = {link["index"]: link for link in route.get_links()}
        addresses: dict[int, list[HostAddress]] = {index: [] for index in links}
        for entry in route.get_addr():
            if entry["index"] in links and (text := entry.get("IFA_LOCAL") or entry.get("IFA_ADDRESS")):
                flags = entry.get("IFA_FLAGS") or entry["flags"]
                addresses[entry["index"]].append(
                    HostAddress(
                        ip_interface(f"{text}/{entry['prefixlen']}"),
                        usable=_usable(flags),
                        ours=entry.get("IFA_PROTO") == IP_PROTOCOL,
                    )
                )
    return {
        link.get("IFLA_IFNAME"): Interface(
            link["flags"] & _IFF_UP_AND_RUNNING == _IFF_UP_AND_RUNNING,
            tuple(addresses[index]),
            link.get("IFLA_MTU"),
            _tells_of_others(link.get("IFLA_IFNAME"), addresses[index]),
        )
        for index, link in links.items()
    }


def _tells_of_others(interface: str, addresses: Iterable[HostAddress]) -> bool:
    """Of those without an IPv4 address, as the hundreds of a node's containers are, nothing is read."""
    if all(entry.address.version != 4 or entry.address.is_loopback for entry in addresses):
        return False
    return _setting(interface, "arp_ignore") < 1 or _setting(interface, "arp_announce") < 2


def _setting(interface: str, name: str) -> int:
    """What counts is the higher one of the interface's and that of all (ip-sysctl.rst)."""
    found = [0]
    for which in ("all", interface):
        with contextlib.suppress(OSError):  # it may be gone by now
            found.append(int((_CONF / which / name).read_text(encoding="ascii")))
    return max(found)


def _usable(flags: int) -> bool:
    if flags & _IFA_F_DADFAILED:
        return False
    return not flags & _IFA_F_TENTATIVE or bool(flags & _IFA_F_OPTIMISTIC)
