"""`vrrpd run`: the daemon, in the foreground."""

import argparse
import logging
import signal
import sys
from pathlib import Path

from vrrpd.config.model import DEFAULT_FILE
from vrrpd.config.problems import ConfigError
from vrrpd.supervisor import log
from vrrpd.supervisor.apart import ApartError
from vrrpd.supervisor.child import EXIT_FAILED
from vrrpd.supervisor.control import ControlError
from vrrpd.supervisor.reading import read_first
from vrrpd.supervisor.supervisor import Supervisor

EXAMPLE = "example: vrrpd run -c /etc/vrrpd/vrrpd.toml --log-format json"

EXIT_OK, EXIT_CONFIGURATION = 0, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, default=DEFAULT_FILE, help="default: %(default)s")
    add_log_arguments(parser)


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a daemon's log."""
    parser.add_argument("--log-format", choices=(log.TEXT, log.JSON), default=log.TEXT, help="default: %(default)s")
    parser.add_argument(
        "--log-level", choices=("debug", "info", "warning", "error"), default="info", help="default: %(default)s"
    )


def configure_log(arguments: argparse.Namespace) -> None:
    """Have the daemon log as these options say."""
    log.configure(arguments.log_format, logging.getLevelNamesMapping()[arguments.log_level.upper()])


def await_signals() -> None:
    """Until the supervisor sees to them: there is nothing to reload yet, and nothing to stop."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(EXIT_OK))


def run(arguments: argparse.Namespace) -> int:
    """Run until told to stop."""
    await_signals()
    configure_log(arguments)
    try:
        supervisor = Supervisor(arguments.config, read_first(arguments.config))
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    except (ApartError, ControlError) as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return supervisor.run()
