"""How commands find the running daemon."""

import argparse
from pathlib import Path

from vrrpd.config.by_blocks import load_speakers
from vrrpd.config.model import DEFAULT_CONTROL_SOCKET, DEFAULT_FILE
from vrrpd.config.problems import ConfigError


def add_daemon_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that say which daemon is meant."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        default=DEFAULT_FILE,
        help="default: %(default)s",
    )
    parser.add_argument("-s", "--socket", metavar="SOCKET", type=Path, help="the daemon's control socket")


def control_socket(arguments: argparse.Namespace) -> Path:
    """The socket that was named, or that the file names; a broken file must not keep anyone from asking."""
    if arguments.socket is not None:
        return Path(arguments.socket)
    try:
        return load_speakers(arguments.config).control_socket
    except ConfigError:
        return _from_broken_file(arguments.config)


def _from_broken_file(path: Path) -> Path:
    """The line `control_socket = "..."` of a file that has errors elsewhere."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return DEFAULT_CONTROL_SOCKET
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() == "control_socket":
            return Path(value.partition("#")[0].strip().strip("\"'"))
    return DEFAULT_CONTROL_SOCKET
