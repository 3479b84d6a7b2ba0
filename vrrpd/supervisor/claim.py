"""One vrrpd a network namespace: each would take the addresses of another for leftovers."""

import errno
import logging
import socket
import time

from vrrpd.supervisor.control import ControlError

log = logging.getLogger(__name__)

CLAIM = "\0vrrpd"
"""An abstract socket address; a network namespace has its own."""
CLAIM_TIMEOUT = 15.0
"""Seconds to wait for one that is ending: its children have the socket, too."""
CLAIM_PAUSE = 0.05


def claim_namespace() -> socket.socket:
    """Be the only vrrpd of this network namespace for as long as the socket is open, here or in a child.

    Raises:
        ControlError: another one stays.
    """
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    deadline, told = time.monotonic() + CLAIM_TIMEOUT, False
    while True:
        try:
            claim.bind(CLAIM)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                claim.close()
                raise ControlError(
                    "another vrrpd runs in this network namespace; stop it, or put its instances into one file"
                ) from error
            if not told:
                told = True
                log.warning("another vrrpd runs in this network namespace; waiting %g s for its end", CLAIM_TIMEOUT)
            time.sleep(CLAIM_PAUSE)
        else:
            return claim
