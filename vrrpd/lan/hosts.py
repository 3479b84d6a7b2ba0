"""A bridge with hosts on it, and the faults that cables and switches have."""

import contextlib
import ipaddress
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network
from pathlib import Path
from types import TracebackType
from typing import Any, Final, ParamSpec, Self, TypeVar

from msgspec import Struct
from pyroute2.iproute.linux import IPRoute

from vrrpd.lan.namespace import Namespace

P = ParamSpec("P")
T = TypeVar("T")
Interface = IPv4Interface | IPv6Interface

BRIDGE: Final = "br0"
HAS_IPV6: Final = Path("/proc/sys/net/ipv6").is_dir()

_IFA_F_NODAD: Final = 0x02
_IFA_F_TENTATIVE: Final = 0x40
_IF_OPER_UP: Final = "UP"
_AF_BRIDGE: Final = 7
_RTM_SETLINK: Final = 19
_NLM_F_REQUEST_ACK: Final = 0x05
_NLA_F_NESTED: Final = 0x8000
_IFLA_PROTINFO: Final = 12
_IFLA_BRPORT_STATE: Final = 1
_PORT_DISABLED: Final = 0
_PORT_FORWARDING: Final = 3
_LINK_TIMEOUT: Final = 5.0
"""Seconds until a link that was just plugged in must be usable; the kernel batches link events by the second."""


class _Port(Struct, frozen=True):
    """Where an interface of a host is plugged in."""

    lan: "Lan"
    name: str


class _Networked:
    """What a host and a switch have in common: a namespace, and a netlink socket in it.

    The socket is used by the namespace's own thread only: pyroute2's sockets bring an event loop each, which must not
    meet one that runs in the caller's thread.
    """

    def __init__(self, name: str, private: Sequence[str] = ()) -> None:
        self.name = name
        self.namespace = Namespace(name, private)
        self._netlink: Any = self.namespace.call(IPRoute)

    def call(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function inside, in its network and its files, and hand back what it returns or raises."""
        return self.namespace.call(function, *args, **kwargs)

    def sysctl(self, key: str, value: object = None) -> str:
        """Set `net.…` to a value if one is given; the value that is in force.

        Raises:
            OSError: no such key, or no such value.
        """

        def access() -> str:
            # Interface names may have dots, keys may have slashes instead: both are sysctl(8)'s own notation.
            path = Path("/proc/sys") / (key if "/" in key else key.replace(".", "/"))
            if value is not None:
                path.write_text(f"{value}\n", encoding="ascii")
            return path.read_text(encoding="ascii").strip()

        return self.call(access)

    def netlink(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of pyroute2's `IPRoute` inside; a dump comes back as a list.

        Raises:
            pyroute2.netlink.exceptions.NetlinkError: the kernel refused.
        """

        def request() -> Any:
            answer = getattr(self._netlink, method)(*args, **kwargs)
            return answer if isinstance(answer, (list, tuple)) else list(answer)

        return self.call(request)

    def index(self, ifname: str) -> int:
        """The interface's index.

        Raises:
            LookupError: there is no such interface.
        """
        indices = self.netlink("link_lookup", ifname=ifname)
        if not indices:
            raise LookupError(f"{self.name} has no interface {ifname}")
        return int(indices[0])

    def set_link(self, ifname: str, **attributes: Any) -> None:
        """Change an interface: `state="down"`, `mtu=1400` and whatever else pyroute2's `link("set")` knows."""
        self.netlink("link", "set", index=self.index(ifname), **attributes)

    def close(self) -> None:
        """Kill what runs inside and give everything back."""
        self.call(self._netlink.close)
        self.namespace.close()


class Host(_Networked):
    """A machine on a LAN; `Lan.host` makes it."""

    def __init__(self, name: str, private: Sequence[str], *, dad: bool) -> None:
        super().__init__(name, private)
        self._ports: dict[str, _Port] = {}
        self._numbers: dict[tuple[str, Lan], int] = {}
        self._dad = dad
        if HAS_IPV6:
            for scope in ("all", "default"):
                self.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 0)
                self.sysctl(f"net.ipv6.conf.{scope}.accept_dad", int(dad))
        self.set_link("lo", state="up")

    # Programs

    def popen(self, argv: Sequence[str], **kwargs: Any) -> subprocess.Popen[Any]:
        """Start a program on this host; `subprocess.Popen`'s arguments. It dies with this process at the latest."""
        return self.namespace.popen(argv, **kwargs)

    def run(
        self, argv: Sequence[str], *, timeout: float = 30, check: bool = True, **kwargs: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a program to its end and collect what it prints; `timeout` in seconds.

        Raises:
            subprocess.TimeoutExpired: it was killed.
            subprocess.CalledProcessError: it failed, and `check` is set.
        """
        with self.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **kwargs) as child:
            try:
                out, err = child.communicate(timeout=timeout)
            except BaseException:
                child.kill()
                raise
        result = subprocess.CompletedProcess(list(argv), child.returncode, out, err)
        if check:
            result.check_returncode()
        return result

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """The calling thread, and no other, uses this host's network inside the block."""
        with self.namespace.entered():
            yield

    # Interfaces and addresses

    def add_interface(self, ifname: str, lan: "Lan", addresses: Sequence[str] | None = None) -> None:
        """Plug a new interface into a LAN; by default with the LAN's next IPv4 and IPv6 address.

        An interface that was there before gets its former hardware and IP addresses again.
        """
        number = self._numbers.get((ifname, lan)) or lan.take_number()
        self._numbers[ifname, lan] = number
        port = _Port(lan, self.name if ifname == "eth0" else f"{self.name}-{ifname}")
        # The far end first: a veth whose peer is up when it comes up itself has its carrier at once.
        self.netlink(
            "link",
            "add",
            ifname=ifname,
            kind="veth",
            address=lan.mac_address(number),
            peer={"ifname": port.name, "net_ns_fd": lan.switch.namespace.descriptor},
        )
        self._ports[ifname] = port
        lan.switch.set_link(port.name, master=lan.switch.index(BRIDGE), state="up")
        self.set_link(ifname, state="up")
        for address in lan.addresses_of(number) if addresses is None else addresses:
            self.add_address(address, ifname)
        self._wait_link(ifname)

    def remove_interface(self, ifname: str = "eth0") -> None:
        """Delete the interface with everything on it, as if the card were pulled out."""
        self.netlink("link", "del", index=self.index(ifname))
        del self._ports[ifname]

    def _wait_link(self, ifname: str) -> None:
        deadline = time.monotonic() + _LINK_TIMEOUT
        while time.monotonic() < deadline:
            up = self.netlink("get_links", self.index(ifname))[0].get_attr("IFLA_OPERSTATE") == _IF_OPER_UP
            if up and (self._dad or not HAS_IPV6 or self.link_local(ifname)):
                return
            time.sleep(0.001)
        raise TimeoutError(f"{ifname} of {self.name} did not come up in {_LINK_TIMEOUT} s")

    def mac(self, ifname: str = "eth0") -> str:
        """The interface's hardware address, as `02:00:00:00:02:01`."""
        return str(self.netlink("get_links", self.index(ifname))[0].get_attr("IFLA_ADDRESS"))

    def addresses(self, ifname: str = "eth0", *, tentative: bool = True) -> list[Interface]:
        """What the interface has now, IPv4 and IPv6, link-local ones included; `tentative` ones if wanted."""
        # ipaddress knows the family; an IPv4 one has its own address in IFA_LOCAL where it has a peer.
        return [
            ipaddress.ip_interface(
                f"{message.get_attr('IFA_LOCAL') or message.get_attr('IFA_ADDRESS')}/{message['prefixlen']}"
            )
            for message in self.netlink("get_addr", index=self.index(ifname))
            if tentative or not (message.get_attr("IFA_FLAGS") or message["flags"]) & _IFA_F_TENTATIVE
        ]

    def has_address(self, address: str, ifname: str = "eth0") -> bool:
        """Whether the interface has the address (given without a prefix length)."""
        return ipaddress.ip_address(address) in [present.ip for present in self.addresses(ifname)]

    def link_local(self, ifname: str = "eth0") -> str | None:
        """The usable IPv6 link-local address; None: there is none yet."""
        present = self.addresses(ifname, tentative=False)
        return next((str(found.ip) for found in present if found.version == 6 and found.is_link_local), None)

    def add_address(self, address: str, ifname: str = "eth0", **attributes: Any) -> None:
        """Add `192.0.2.7/24` or `2001:db8::7/64`; further attributes as of pyroute2's `addr("add")`."""
        interface = ipaddress.ip_interface(address)
        if interface.version == 6 and not self._dad:
            attributes.setdefault("flags", _IFA_F_NODAD)
        self._change_address("add", interface, ifname, **attributes)

    def delete_address(self, address: str, ifname: str = "eth0") -> None:
        """Remove an address, given with its prefix length."""
        self._change_address("del", ipaddress.ip_interface(address), ifname)

    def _change_address(self, command: str, interface: Interface, ifname: str, **attributes: Any) -> None:
        prefixlen = interface.network.prefixlen
        self.netlink(
            "addr", command, index=self.index(ifname), address=str(interface.ip), prefixlen=prefixlen, **attributes
        )

    def route(self, destination: str, gateway: str | None = None, ifname: str | None = None) -> None:
        """Add a route, `default` or a prefix, through a gateway, an interface, or both."""
        target = {"dst": destination} | ({"gateway": gateway} if gateway else {})
        self.netlink("route", "add", **target, **({"oif": self.index(ifname)} if ifname else {}))

    # Faults of the cable and the switch. Each ends by its own opposite; they do not nest.

    def cut_carrier(self, ifname: str = "eth0") -> None:
        """Unplug: the host sees its link go down."""
        self._set_port(ifname, state="down")

    def restore_carrier(self, ifname: str = "eth0") -> None:
        """Plug in again."""
        self._set_port(ifname, state="up")

    def silence(self, ifname: str = "eth0") -> None:
        """The switch forwards nothing in either direction, but the host's carrier stays."""
        self._set_port_state(ifname, _PORT_DISABLED)

    def unsilence(self, ifname: str = "eth0") -> None:
        """The switch forwards again."""
        self._set_port_state(ifname, _PORT_FORWARDING)

    def deafen(self, ifname: str = "eth0") -> None:
        """The host is sent no multicast, no broadcast and no unknown unicast any more, and is heard as before."""
        self._set_bridge_port(ifname, mcast_flood=0, bcast_flood=0, unicast_flood=0)

    def undeafen(self, ifname: str = "eth0") -> None:
        """The host hears again."""
        self._set_bridge_port(ifname, mcast_flood=1, bcast_flood=1, unicast_flood=1)

    def mute(self, ifname: str = "eth0") -> None:
        """The switch drops every frame from the host, which hears multicast and broadcast as before."""
        # A locked port takes frames from addresses that it knows only; it forgets all and learns none.
        self._set_bridge_port(ifname, learning=0, locked=1, flush=True)

    def unmute(self, ifname: str = "eth0") -> None:
        """The host is heard again."""
        self._set_bridge_port(ifname, learning=1, locked=0)

    def _set_port(self, ifname: str, **attributes: Any) -> None:
        port = self._ports[ifname]
        port.lan.switch.set_link(port.name, **attributes)

    def _set_bridge_port(self, ifname: str, **attributes: int) -> None:
        self._set_port(ifname, kind="bridge_slave", **attributes)

    def _set_port_state(self, ifname: str, state: int) -> None:
        # The one setting that the kernel takes in the bridge family only, in an attribute that is flagged as nested;
        # pyroute2 sets no such flag. nlmsghdr, ifinfomsg, IFLA_PROTINFO { IFLA_BRPORT_STATE: u8 }.
        port = self._ports[ifname]
        attribute = struct.pack("=HHHHBxxx", 12, _IFLA_PROTINFO | _NLA_F_NESTED, 5, _IFLA_BRPORT_STATE, state)
        link = struct.pack("=BxHiII", _AF_BRIDGE, 0, port.lan.switch.index(port.name), 0, 0)
        header = struct.pack("=IHHII", 16 + len(link) + len(attribute), _RTM_SETLINK, _NLM_F_REQUEST_ACK, 1, 0)
        with port.lan.switch.call(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.send(header + link + attribute)
            (error,) = struct.unpack_from("=i", netlink.recv(4096), 16)
        if error:
            raise OSError(-error, f"port {port.name}: {os.strerror(-error)}")


class Lan:
    """A bridge in a namespace of its own, without multicast snooping and without delays.

    Args:
        ipv4: documentation network to number hosts from; a second LAN takes another one.
        ipv6: likewise.

    Raises:
        OSError: no right to make namespaces (`enter_user_namespace_if_needed` says why).
    """

    def __init__(self, ipv4: str = "192.0.2.0/24", ipv6: str = "2001:db8::/64") -> None:
        self.ipv4 = IPv4Network(ipv4)
        self.ipv6 = IPv6Network(ipv6)
        self._hosts: list[Host] = []
        self._numbers = 0
        self.switch = _Networked("switch")
        try:
            if HAS_IPV6:  # a switch that is no host sends nothing itself
                self.switch.sysctl("net.ipv6.conf.default.disable_ipv6", 1)
            self.switch.netlink("link", "add", ifname=BRIDGE, kind="bridge", br_mcast_snooping=0, br_forward_delay=0)
            self.switch.set_link(BRIDGE, state="up")
        except BaseException:
            self.switch.close()
            raise

    def host(
        self,
        name: str,
        addresses: Sequence[str] | None = None,
        *,
        private: Sequence[str] = ("/run",),
        dad: bool = False,
    ) -> Host:
        """Put a new host on the LAN, with an interface `eth0` that is ready for use.

        Args:
            name: its name, 10 characters at most.
            addresses: with prefix lengths; by default the next IPv4 and IPv6 address of the LAN.
            private: directories that are the host's own and empty at first, such as FRR's or keepalived's.
            dad: let IPv6 addresses be tentative for a second or two, as on real machines.
        """
        host = Host(name, private, dad=dad)
        self._hosts.append(host)
        host.add_interface("eth0", self, addresses)
        return host

    def take_number(self) -> int:
        """The next host number, from 1."""
        self._numbers += 1
        return self._numbers

    def addresses_of(self, number: int) -> list[str]:
        """The addresses that belong to a host number, with prefix lengths."""
        ipv4 = f"{self.ipv4[number]}/{self.ipv4.prefixlen}"
        return [ipv4, f"{self.ipv6[number]}/{self.ipv6.prefixlen}"] if HAS_IPV6 else [ipv4]

    def mac_address(self, number: int) -> str:
        """The hardware address that belongs to a host number: the network's third byte, then the number."""
        return f"02:00:00:00:{self.ipv4.network_address.packed[2]:02x}:{number:02x}"

    def close(self) -> None:
        """Kill every program on the hosts, and give everything back."""
        for host in reversed(self._hosts):
            host.close()
        self._hosts.clear()
        self.switch.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
