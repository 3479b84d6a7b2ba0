"""`vrrpd check`: is the configuration valid, who will be master, what blocks a failover."""

import argparse
import sys
from pathlib import Path

from vrrpd.config import check
from vrrpd.config.by_blocks import load_sealed
from vrrpd.config.election import compare
from vrrpd.config.findings import Finding
from vrrpd.config.host import present_interfaces
from vrrpd.config.model import DEFAULT_FILE, Config
from vrrpd.config.problems import ConfigError
from vrrpd.director import check as director_check

EXAMPLE = """examples:
  vrrpd check                                 this host's file, /etc/vrrpd/vrrpd.toml
  vrrpd check -c node1.toml -c node2.toml     the files of several hosts, played against each other"""

EXIT_OK, EXIT_CONFIGURATION = 0, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    parser.add_argument(
        "-c",
        "--config",
        metavar="FILE",
        type=Path,
        action="append",
        help=f"default: {DEFAULT_FILE}; named more than once: the files of several hosts, compared",
    )


def run(arguments: argparse.Namespace) -> int:
    """Print every error of every file; or, if there is none, what the instances will do."""
    paths: list[Path] = arguments.config or [DEFAULT_FILE]
    configs: list[tuple[str, Config]] = []
    failed = False
    for path in paths:
        try:
            configs.append((str(path), load_sealed(path, remark=_to_stderr).opened()))
        except ConfigError as error:
            print(error, file=sys.stderr)
            failed = True
    if failed:
        return EXIT_CONFIGURATION
    for finding in _findings(configs[0][1]) if len(configs) == 1 else _comparison(configs):
        print(finding)
    counts = [_count(sum(len(config.instances) for _, config in configs), "virtual router")]
    if servers := sum(len(config.virtual_servers) for _, config in configs):
        counts.append(_count(servers, "virtual server"))
    print(f"{', '.join(name for name, _ in configs)}: valid, {', '.join(counts)}")
    return EXIT_OK


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def _findings(config: Config) -> tuple[Finding, ...]:
    interfaces = present_interfaces()
    return (*check.findings(config, interfaces), *director_check.findings(config, interfaces))


def _comparison(configs: list[tuple[str, Config]]) -> tuple[Finding, ...]:
    return (*compare(configs), *director_check.compare(configs))


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"
