"""What is left to do when no speaker stays alive: say so to the peers, and take the addresses away."""

import logging

from vrrpd.config.model import Config
from vrrpd.ledger import Ledger
from vrrpd.net.adverts import AdvertSocket
from vrrpd.net.links import LinkMonitor
from vrrpd.net.netlink import route_socket
from vrrpd.protocol.timing import PRIORITY_RESIGN
from vrrpd.speaker.leftovers import remove_leftovers
from vrrpd.speaker.outgoing import outgoing

log = logging.getLogger(__name__)


def resign(config: Config, ledger: Ledger) -> None:
    """Resign every router that was MASTER, then remove every address that a vrrpd has added.

    Raises:
        OSError: the kernel refuses a socket, or keeps an address.
    """
    requests = route_socket()
    monitor = LinkMonitor(requests)
    for instance in config.instances:
        entry, link = ledger.entry(instance.key), monitor.link(instance.interface)
        if entry.advertised is None or link is None:
            continue
        entry.clear()
        virtual = frozenset(vip.address for vip in instance.virtual_ipaddress)
        source = instance.unicast_src_ip or monitor.source_address(link.index, instance.family, virtual)
        if source is None:
            continue
        try:
            socket = AdvertSocket(link, instance.family)
            socket.send_from(source)
            for message, way in outgoing(instance, PRIORITY_RESIGN, source):
                if way is None:
                    socket.send(message)
                else:
                    socket.send_to(message, way.source, way.peer)
        except OSError as error:
            log.error("(%s) cannot resign: %s", instance.name, error.strerror)  # noqa: TRY400
    remove_leftovers(requests, [entry for entry in monitor.addresses.values() if entry.ours])
