"""What answers the probes on a router: an echo of UDP and of TCP, and a port that accepts connections.

    python -m benchmarks.failover.echo ADDRESS

It listens at the virtual address before the router has it, and goes on whatever befalls the speaker: it is the host's.
"""

import argparse
import ipaddress
import select
import socket
import struct
from typing import Final

UDP_PORT: Final = 7007
CONNECT_PORT: Final = 7008
FLOW_PORT: Final = 7009
READY: Final = b"ready\n"
_IP_FREEBIND: Final = 15
_IPV6_FREEBIND: Final = 78
_BACKLOG: Final = 4096


def listener(kind: socket.SocketKind, address: str, port: int) -> socket.socket:
    """A socket at an address that need not be here yet."""
    version = ipaddress.ip_address(address).version
    made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if version == 4:
        made.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    else:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_FREEBIND, 1)
    made.bind((address, port))
    if kind is socket.SOCK_STREAM:
        made.listen(_BACKLOG)
    made.setblocking(False)
    return made


def serve(address: str) -> None:
    """Echo until killed."""
    datagrams = listener(socket.SOCK_DGRAM, address, UDP_PORT)
    # Nobody accepts these: the client resets them as soon as the kernel has answered.
    connections = listener(socket.SOCK_STREAM, address, CONNECT_PORT)
    flows = listener(socket.SOCK_STREAM, address, FLOW_PORT)
    poll = select.poll()
    for each in (datagrams, flows):
        poll.register(each, select.POLLIN)
    open_flows: dict[int, socket.socket] = {}
    print(READY.decode(), end="", flush=True)
    while connections:
        for descriptor, _ in poll.poll():
            if descriptor == datagrams.fileno():
                _echo_datagrams(datagrams)
            elif descriptor == flows.fileno():
                flow, _ = flows.accept()
                flow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # One that nobody resets, for its router was cut off, is not to stay.
                flow.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                open_flows[flow.fileno()] = flow
                poll.register(flow, select.POLLIN)
            elif not _echo_flow(open_flows[descriptor]):
                poll.unregister(descriptor)
                open_flows.pop(descriptor).close()


def _echo_datagrams(sender: socket.socket) -> None:
    while True:
        try:
            data, client = sender.recvfrom(64)
            sender.sendto(data, client)
        except OSError:  # that was all; or the address is not here any more
            return


def _echo_flow(flow: socket.socket) -> bool:
    """Whether it is still open."""
    try:
        data = flow.recv(1 << 16)
        if data:
            flow.sendall(data)
    except OSError:
        return False
    return bool(data)


def main() -> None:
    """Echo until killed."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("address")
    serve(parser.parse_args().address)


if __name__ == "__main__":
    main()
