"""`vrrpd reload`: have the running daemon apply the changed file."""

import argparse
import sys

from vrrpd.cli.daemon import add_daemon_arguments, control_socket
from vrrpd.supervisor.control import ControlError, ask

EXAMPLE = "example: vrrpd check && vrrpd reload"

EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add_daemon_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and print what was changed or why nothing was."""
    try:
        answer = ask(control_socket(arguments), "reload")
    except ControlError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    if answer["ok"]:
        done = [f"{what}: {', '.join(names)}" for what, names in answer["result"].items() if names]
        print("\n".join(done) or "nothing changed")
        return EXIT_OK
    for problem in answer.get("problems", ()):
        print(problem, file=sys.stderr)
    print(answer["error"], file=sys.stderr)
    return EXIT_CONFIGURATION if "problems" in answer else EXIT_FAILED
