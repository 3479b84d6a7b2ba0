"""The command line. Each command is a module with `add_arguments` and `run`, imported when it is called."""

import argparse
import errno
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from vrrpd import __version__

EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

_COMMANDS = {
    "run": ("vrrpd.cli.run", "the daemon, in the foreground"),
    "check": ("vrrpd.cli.check", "validate a configuration; say who will be master and what blocks a failover"),
    "status": ("vrrpd.cli.status", "the running daemon: routers, addresses, counters"),
    "show": ("vrrpd.cli.show", "the configuration in force, as TOML or as keepalived.conf"),
    "reload": ("vrrpd.cli.reload", "have the running daemon apply the changed file"),
    "drain": ("vrrpd.cli.drain", "hand every address over, without loss, and stay BACKUP"),
    "undrain": ("vrrpd.cli.undrain", "compete again after a drain"),
    "agent": ("vrrpd.cli.agent", "the daemon, configured by a Kubernetes cluster"),
    "import": ("vrrpd.cli.import_", "turn a keepalived.conf into a vrrpd.toml"),
    "sniff": ("vrrpd.cli.sniff", "every virtual router that is heard on an interface or in a pcap file, and conflicts"),
    "demo": ("vrrpd.cli.demo", "routers and a client in namespaces: live failovers, the outage measured"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` names (default: the process's own arguments); returns the exit code."""
    _open_standard_streams()
    arguments = [*(sys.argv[1:] if argv is None else argv)]
    parser = argparse.ArgumentParser(
        prog="vrrpd",
        description="A native VRRPv3 speaker: elects a master, holds virtual addresses, fails over.",
        epilog="example: vrrpd check -c vrrpd.toml && vrrpd run -c vrrpd.toml",
    )
    parser.add_argument("--version", action="version", version=f"vrrpd {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    named = next((argument for argument in arguments if argument in _COMMANDS), None)
    for name, (module_name, summary) in _COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, description=summary, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        if name == named:
            module = _imported(module_name)
            command.epilog = module.EXAMPLE
            module.add_arguments(command)
            command.set_defaults(run=module.run, refuse=command.error)
    parsed, unknown = parser.parse_known_args(arguments)
    if unknown and "unknown" not in parsed:
        parsed.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    parsed.unknown = unknown
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough
        return _without_output(EXIT_OK)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        print(f"vrrpd {parsed.command}: cannot write what it has to say: {error.strerror}", file=sys.stderr)
        return _without_output(EXIT_FAILED)
    return code


def _open_standard_streams() -> None:
    """Whatever the caller has closed: a socket that got its number would be the end of a process with libuv."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


def _without_output(code: int) -> int:
    """Python tries once more at the end, and would say that it failed."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _imported(name: str) -> ModuleType:
    """Import without looking for garbage: there is none, and what is imported stays."""
    gc.disable()
    try:
        return importlib.import_module(name)
    finally:
        gc.freeze()
        gc.enable()
