"""`vrrpd show`: the configuration that is in force."""

import argparse
import sys

from vrrpd.cli.daemon import add_daemon_arguments, control_socket
from vrrpd.supervisor.control import ControlError, result_of
from vrrpd.supervisor.show import FORMATS

EXAMPLE = """examples:
  vrrpd show                          what the daemon goes by, as a file that says the same
  vrrpd show --format keepalived      for a keepalived that is to share the virtual routers
  kubectl exec POD -- vrrpd show      what the agent has made of the cluster"""

EXIT_OK, EXIT_FAILED = 0, 1
_PATIENCE = 30.0
"""Seconds; a configuration may be large."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add_daemon_arguments(parser)
    parser.add_argument("--format", choices=FORMATS, default=FORMATS[0], help="default: %(default)s")


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print."""
    try:
        print(result_of(control_socket(arguments), "show", _PATIENCE, format=arguments.format)["text"], end="")
    except ControlError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK
