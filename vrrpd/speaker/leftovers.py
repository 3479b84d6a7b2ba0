"""Addresses that bear the mark of a vrrpd, and that nobody holds any more."""

import errno
import logging
import socket
from collections.abc import Collection

from vrrpd.net.addresses import leftover_removal
from vrrpd.net.links import InterfaceAddress
from vrrpd.net.netlink import Batch, transact

log = logging.getLogger(__name__)

GONE = (errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO)
"""No address to remove, no interface, an interface without IPv6 (disabled, or too small an MTU)."""


def remove_leftovers(requests: socket.socket, left: Collection[InterfaceAddress]) -> None:
    """Take them off.

    Raises:
        OSError: the kernel keeps one at least; the first error.
    """
    failed = transact(requests, Batch([request for entry in left for request in leftover_removal(*entry.key)]))
    for error in failed.values():
        if error.errno not in GONE:
            raise error
    for entry in left:
        log.info("removed %s/%d, which a vrrpd had left", entry.address, entry.prefix_length)
