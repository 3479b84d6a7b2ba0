"""`vrrpd undrain`: compete again after `vrrpd drain`."""

import argparse
import sys

from vrrpd.cli.daemon import add_daemon_arguments, control_socket
from vrrpd.supervisor.control import ControlError, result_of

EXAMPLE = "example: vrrpd undrain && vrrpd status --watch"

EXIT_OK, EXIT_FAILED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add_daemon_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask."""
    try:
        result_of(control_socket(arguments), "undrain")
    except ControlError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK
