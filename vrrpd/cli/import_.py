"""`vrrpd import`: a keepalived.conf as a vrrpd.toml."""

import argparse
import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

from vrrpd.config.keepalived.reading import Imported, read_keepalived
from vrrpd.config.load import text_of
from vrrpd.config.problems import ConfigError, Problem
from vrrpd.config.syntax import is_keepalived
from vrrpd.config.toml import as_toml

EXAMPLE = """Every command takes a keepalived.conf as it is, too: vrrpd run -c /etc/keepalived/keepalived.conf

examples:
  vrrpd import /etc/keepalived/keepalived.conf -o /etc/vrrpd/vrrpd.toml && vrrpd check
  vrrpd import --partial keepalived.conf      what can be had of it; comments say what is left out"""

EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION = 0, 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument("file", metavar="FILE", type=Path, help="a keepalived.conf, which may include others")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="default: standard output")
    parser.add_argument(
        "-i",
        "--config-id",
        metavar="ID",
        help="what lines with @ID are for, as keepalived -i has it; default: the name of this host",
    )
    parser.add_argument(
        "--partial",
        action="store_true",
        help="leave out what vrrpd has nothing for, though it matters; comments say what",
    )


def run(arguments: argparse.Namespace) -> int:
    """Write the file, and say what is not in it; or say everything that is wrong with the other one."""
    path: Path = arguments.file
    try:
        imported = _imported(path, arguments.config_id, partial=arguments.partial)
    except ConfigError as error:
        print(error, file=sys.stderr)
        if not arguments.partial:
            _point_out_partial(path, arguments.config_id)
        return EXIT_CONFIGURATION
    for line in (*imported.remarks, *imported.left_out):
        print(line, file=sys.stderr)
    head = "".join(f"# {_printable(line)}\n" for line in _head(path, imported))
    written = f"{head}\n{as_toml(imported.config).lstrip()}"
    if arguments.output is None:
        print(written, end="")
        return EXIT_OK
    output: Path = arguments.output
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(written, encoding="utf-8")
    except OSError as error:
        print(f"{output}: it cannot be written: {error.strerror}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_OK


def _imported(path: Path, config_id: str | None, *, partial: bool) -> Imported:
    text = text_of(path)
    if not is_keepalived(text):
        raise ConfigError([Problem(str(path), 1, "", "it is not written for keepalived", "name a keepalived.conf")])
    return read_keepalived(text, str(path), config_id, partial=partial)


def _point_out_partial(path: Path, config_id: str | None) -> None:
    """Where it would help."""
    with contextlib.suppress(ConfigError):
        _imported(path, config_id, partial=True)
        print("with --partial the rest is written, and comments say what is left out", file=sys.stderr)


def _head(path: Path, imported: Imported) -> Iterator[str]:
    yield f"Made of {path} by vrrpd import."
    if imported.remarks:
        yield "Without effect here, or with another one:"
        yield from (f"  {remark}" for remark in imported.remarks)
    if imported.left_out:
        yield "LEFT OUT, though it matters:"
        yield from (f"  {problem}" for problem in imported.left_out)


def _printable(line: str) -> str:
    """On one line, and in UTF-8, whatever the name of a file is."""
    return line if line.isprintable() else repr(line)[1:-1]
