"""`vrrpd drain`: hand every address over and stay BACKUP."""

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from vrrpd.cli.daemon import add_daemon_arguments, control_socket
from vrrpd.supervisor.control import ControlError, result_of

EXAMPLE = """examples:
  vrrpd drain && systemctl reboot     it returns when every address is handed over
  vrrpd undrain                       compete again"""

EXIT_OK, EXIT_FAILED = 0, 1
_PAUSE = 0.05
_MARGIN = 5.0
"""Seconds beyond the longest advert_int after which the daemon must have handed over."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add_daemon_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, wait until no address is here any more, and say who has them now."""
    path = control_socket(arguments)
    try:
        result_of(path, "drain")
        for router in _handed_over(path):
            successor = f"{router['master_address']} took over" if router["master_address"] else "nobody took over"
            print(f"{router['name']}: drained; {successor}")
    except ControlError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def _handed_over(path: Path) -> list[dict[str, Any]]:
    deadline = None
    while True:
        routers: list[dict[str, Any]] = result_of(path, "status")["routers"]
        held = [router["name"] for router in routers if router["state"] == "MASTER"]
        if not held:
            return routers
        deadline = deadline or time.monotonic() + _MARGIN + max(router["advert_int"] for router in routers)
        if time.monotonic() > deadline:
            raise ControlError(f"{', '.join(held)}: still MASTER; look at the daemon's log")
        time.sleep(_PAUSE)
