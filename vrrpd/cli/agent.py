"""`vrrpd agent`: the daemon, configured by a Kubernetes cluster."""

import argparse
import logging
import os
import sys
from functools import partial

from vrrpd.agent.last import place, recall
from vrrpd.agent.settings import FLAGS, IGNORED, Flag, FlagError, read_settings
from vrrpd.cli.run import EXIT_CONFIGURATION, await_signals, configure_log
from vrrpd.config.sealed import seal
from vrrpd.supervisor.child import EXIT_FAILED
from vrrpd.supervisor.control import ControlError
from vrrpd.supervisor.supervisor import Supervisor

EXAMPLE = """The environment has POD_NAME and POD_NAMESPACE, or NODE_NAME; KEEPALIVED_NOTIFY is optional.
Flags may have one dash or two; those of glog are taken, and mean nothing.

example: vrrpd agent --services-configmap=default/vip-configmap"""

log = logging.getLogger(__name__)


class _Help(argparse.RawDescriptionHelpFormatter):
    """Without brackets around values: none may be missing, though that is told by `read_settings`."""

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        return str(action.metavar or default_metavar)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.formatter_class = _Help
    parser.allow_abbrev = False
    parser.set_defaults(unknown=())  # which `run` tells of, with all else that is wrong
    for flag in FLAGS:
        _add(parser, flag)
    for name in IGNORED:
        parser.add_argument(f"--{name}", f"-{name}", nargs="?", dest="ignored", help=argparse.SUPPRESS)


def _add(parser: argparse.ArgumentParser, flag: Flag) -> None:
    """With two dashes, and, for those who write it as Go lets them, with one; `read_settings` misses a value."""
    add, alone = partial(parser.add_argument, nargs="?", dest=flag.key), None if flag.metavar else "true"
    add(f"--{flag.name}", const=alone, default=flag.default, metavar=flag.metavar or "[true|false]", help=flag.help)
    add(f"-{flag.name}", const=alone, default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Run until told to stop."""
    await_signals()
    try:
        flags = {flag.key: getattr(arguments, flag.key) for flag in FLAGS}
        settings = read_settings(flags, os.environ, arguments.unknown)
        configure_log(arguments)
        last = recall(settings)
        if last:
            log.info("going on with the last configuration, %s, until the API server answers", place(settings))
        supervisor = Supervisor(settings, seal(last or settings.base))
    except FlagError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIGURATION
    except ControlError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    return supervisor.run()
