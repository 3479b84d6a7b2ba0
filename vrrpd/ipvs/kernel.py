"""The kernel's IPVS table of this network namespace: read whole, changed step by step."""

import contextlib
import errno
import struct
from collections.abc import Iterator, Sequence

from msgspec.structs import replace

import vrrpd.net.messages  # noqa: F401 # enters pyroute2 without the rest of it, before anybody else does

# isort: split
from pyroute2.netlink.generic import ipvs

from vrrpd.ipvs.model import (
    Activity,
    RealServer,
    RealServerKey,
    ServiceActivity,
    VirtualServer,
    VirtualServerKey,
)
from vrrpd.ipvs.plan import (
    AddRealServer,
    AddVirtualServer,
    EditRealServer,
    EditVirtualServer,
    RemoveRealServer,
    RemoveVirtualServer,
    Step,
)
from vrrpd.ipvs.wire import (
    GENL_HEADER_SIZE,
    key_request,
    read_activity,
    read_real_server,
    read_traffic,
    read_virtual_server,
    real_server_request,
    virtual_server_request,
)
from vrrpd.net.netlink import (
    HEADER,
    NLM_F_ACK,
    NLM_F_DUMP,
    NLM_F_REQUEST,
    Batch,
    ask,
    attributes,
    netlink_socket,
    transact,
)

STEPS_A_DATAGRAM = 128
"""The kernel may go through all of a datagram before it lets another process have the processor; a step takes 2 us."""
NETLINK_GENERIC = 16
_GENL_ID_CTRL = 16
_CTRL_CMD_GETFAMILY = 3
_CTRL_ATTR_FAMILY_ID = 1
_CTRL_ATTR_FAMILY_NAME = 2


class IpvsError(Exception):
    """The kernel has no IPVS for us; says what to do."""


class Ipvs:
    """A socket to the table.

    Raises:
        IpvsError: the kernel has none, or we may not.
    """

    def __init__(self) -> None:
        self._netlink = netlink_socket(NETLINK_GENERIC)
        try:
            self._family = self._look_up()
        except OSError as error:
            self._netlink.close()
            if error.errno == errno.ENOENT:
                raise IpvsError("the kernel has no IPVS: load the module ip_vs (modprobe ip_vs)") from error
            raise IpvsError(f"cannot ask the kernel for IPVS: {error.strerror}") from error

    def _look_up(self) -> int:
        """The kernel loads ip_vs when somebody asks for it."""
        name = ipvs.GENL_NAME.encode() + b"\0"
        attribute = struct.pack("=HH", 4 + len(name), _CTRL_ATTR_FAMILY_NAME) + name.ljust(len(name) + 3 & ~3, b"\0")
        body = struct.pack("=BBH", _CTRL_CMD_GETFAMILY, 1, 0) + attribute
        flags = NLM_F_REQUEST | NLM_F_ACK
        answers = ask(self._netlink, HEADER.pack(HEADER.size + len(body), _GENL_ID_CTRL, flags, 0, 0) + body)
        found = attributes(answers[0].payload, GENL_HEADER_SIZE)
        return int(struct.unpack("=H", found[_CTRL_ATTR_FAMILY_ID])[0])

    def close(self) -> None:
        """Let go of the socket; the table stays."""
        self._netlink.close()

    def table(self) -> dict[VirtualServerKey, VirtualServer]:
        """Everything that is there, whoever put it there.

        Raises:
            IpvsError: the kernel does not let us read it.
        """
        return {server.key: server for server in self.each()}

    def each(self) -> Iterator[VirtualServer]:
        """The same one by one; the real servers of each are read when it is its turn.

        Raises:
            IpvsError: the kernel does not let us read it.
        """
        with _failures_told():
            for payload in self._virtual_servers():
                yield self._with_real_servers(read_virtual_server(payload))

    def activity(self) -> Iterator[tuple[VirtualServerKey, ServiceActivity]]:
        """What everything that is there has to do, likewise.

        Raises:
            IpvsError: the kernel does not let us read it.
        """
        with _failures_told():
            for payload in self._virtual_servers():
                key = read_virtual_server(payload).key
                yield key, ServiceActivity(read_traffic(payload), self._activity_of(key))

    def activity_of(self, key: VirtualServerKey) -> dict[RealServerKey, Activity]:
        """What the real servers of one virtual server have to do; nothing if it is not there.

        Raises:
            IpvsError: the kernel does not let us read it.
        """
        with _failures_told():
            return self._activity_of(key)

    def _with_real_servers(self, server: VirtualServer) -> VirtualServer:
        key = server.key
        found = (read_real_server(payload, key.family) for payload in self._real_servers(key))
        return replace(server, real_servers={real_server.key: real_server for real_server in found})

    def _activity_of(self, key: VirtualServerKey) -> dict[RealServerKey, Activity]:
        return {
            read_real_server(payload, key.family).key: read_activity(payload) for payload in self._real_servers(key)
        }

    def _virtual_servers(self) -> list[bytes]:
        flags = NLM_F_REQUEST | NLM_F_DUMP
        body = struct.pack("=BBH", ipvs.IPVS_CMD_GET_SERVICE, ipvs.GENL_VERSION, 0)
        request = HEADER.pack(HEADER.size + len(body), self._family, flags, 0, 0) + body
        return [answer.payload for answer in ask(self._netlink, request)]

    def _real_servers(self, key: VirtualServerKey) -> list[bytes]:
        request = key_request(ipvs.IPVS_CMD_GET_DEST, self._family, key, NLM_F_REQUEST | NLM_F_DUMP)
        return [answer.payload for answer in ask(self._netlink, request)]

    def apply(self, steps: Sequence[Step]) -> list[tuple[Step, OSError]]:
        """Take the steps in their order, going on past those that the kernel refuses; returns these, and why."""
        refused: list[tuple[Step, OSError]] = []
        for start in range(0, len(steps), STEPS_A_DATAGRAM):
            some = steps[start : start + STEPS_A_DATAGRAM]
            failed = transact(self._netlink, Batch([request_of(step, self._family) for step in some]))
            refused += [(some[position], error) for position, error in sorted(failed.items())]
        return refused


@contextlib.contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, struct.error) as error:
        raise IpvsError(f"cannot read the IPVS table: {getattr(error, 'strerror', None) or repr(error)}") from error


def request_of(step: Step, family: int) -> bytes:
    """The message that takes a step; `family` is IPVS's number among the families of generic netlink."""
    match step:
        case AddVirtualServer(server):
            return virtual_server_request(ipvs.IPVS_CMD_NEW_SERVICE, family, server)
        case EditVirtualServer(server):
            return virtual_server_request(ipvs.IPVS_CMD_SET_SERVICE, family, server)
        case RemoveVirtualServer(key):
            return key_request(ipvs.IPVS_CMD_DEL_SERVICE, family, key)
        case AddRealServer(key, real_server):
            return real_server_request(ipvs.IPVS_CMD_NEW_DEST, family, key, real_server)
        case EditRealServer(key, real_server):
            return real_server_request(ipvs.IPVS_CMD_SET_DEST, family, key, real_server)
        case RemoveRealServer(key, real_key):
            return real_server_request(ipvs.IPVS_CMD_DEL_DEST, family, key, RealServer(real_key))
