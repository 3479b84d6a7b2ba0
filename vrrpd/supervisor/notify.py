"""Telling systemd how we are (sd_notify(3)); nothing happens where systemd did not ask."""

import os
import socket


def notify(state: str) -> None:
    """Send `state`, such as READY=1, to the socket that NOTIFY_SOCKET names."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError:
            return  # systemd is gone or restarting; there is nobody to tell
