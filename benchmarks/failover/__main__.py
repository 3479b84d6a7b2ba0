"""Measure speakers under faults, and report.

python -m benchmarks.failover --speaker vrrpd --speaker keepalived --advert 0.1 --fault stop,link --runs 10 --out DIR
python -m benchmarks.failover --report DIR           write the report of a results file anew
"""

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console

from benchmarks.failover.faults import FAULTS
from benchmarks.failover.load import parse as parse_load
from benchmarks.failover.measure import NOISE_LIMIT
from benchmarks.failover.results import DEFAULT_DIRECTORY, NAME, ResultsError
from benchmarks.failover.setting import MOST_ROUTERS, PROBES
from benchmarks.failover.speakers import BUILT_IN, Speaker, SpeakerError, choose
from vrrpd.lan.namespace import Interrupted, NamespaceError, enter_user_namespace_if_needed, interruptible

EXAMPLE: Final = """examples:
  python -m benchmarks.failover --out out                      the speakers that are installed, every fault, at 0.1 s
  python -m benchmarks.failover --speaker vrrpd --speaker benchmarks/failover/ucarp.toml --advert 1 --fault stop,link
  python -m benchmarks.failover --out out --resume             go on after Ctrl-C
  python -m benchmarks.failover --report out                   the report anew, from out/results.json
  python -m benchmarks.failover --report benchmarks/results/failover.json --out out     what the README is of"""
T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report what `argv` asks for (default: the process's own arguments); returns the exit code."""
    arguments, speakers, baseline = understood(argv)
    try:
        if arguments.report is not None:
            from benchmarks.failover.session import report  # noqa: PLC0415

            report(arguments.report, arguments.out)
            return 0
        enter_user_namespace_if_needed()
        with interruptible():
            # Now, for it brings threads.
            from benchmarks.failover.session import Session  # noqa: PLC0415

            return Session(arguments, speakers, baseline, Console(stderr=True, highlight=False)).run()
    except (ResultsError, NamespaceError) as error:
        return _ended(error, 2)
    except OSError as error:
        return _ended(f"{error.filename or arguments.out or arguments.report}: {error.strerror or error}", 1)
    except Interrupted as interruption:
        return 128 + interruption.number


def _ended(why: object, code: int) -> int:
    print(f"benchmarks.failover: {why}", file=sys.stderr)
    return code


def understood(argv: Sequence[str] | None) -> tuple[argparse.Namespace, list[Speaker], str]:
    """The words, the speakers that they name, and the baseline; or the end, with all that is wrong."""
    wrong: list[str] = []
    parser = _parser(wrong)
    arguments, unknown = parser.parse_known_args(argv)
    wrong += [f"{word} is no option" for word in unknown]
    try:
        speakers, baseline = choose(arguments.speaker, arguments.baseline)
    except SpeakerError as error:
        wrong += str(error).splitlines()
    if wrong:
        for each in wrong:
            _ended(each, 2)
        parser.exit(2, f"{parser.prog} --help has what there is\n")
    if arguments.report is None:
        arguments.out = arguments.out or DEFAULT_DIRECTORY
    return arguments, speakers, baseline


def _parser(wrong: list[str]) -> argparse.ArgumentParser:
    """Its types put what is wrong with a word into `wrong`, so that all of it can be told at once."""

    def told(option: str, parse: Callable[[str], T]) -> Callable[[str], T | None]:
        def parsed(text: str) -> T | None:
            try:
                return parse(text)
            except ValueError as error:
                wrong.append(f"{option}: {error}")
                return None

        return parsed

    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.failover",
        description=(__doc__ or "").partition("\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--speaker",
        action="append",
        default=[],
        metavar="NAME",
        help=f"{', '.join(BUILT_IN)}, or a TOML file that describes another; may be repeated; default: those installed",
    )
    parser.add_argument(
        "--baseline", metavar="NAME", help="whom ratios are to; default: keepalived, or the last speaker"
    )
    parser.add_argument(
        "--advert",
        type=told("--advert", _list_of(_interval)),
        default=(0.1,),
        metavar="S,S",
        help="intervals; default: 0.1",
    )
    parser.add_argument(
        "--fault",
        type=told("--fault", _faults),
        default=tuple(FAULTS),
        metavar="F,F",
        help=f"of {','.join(FAULTS)}; default: all",
    )
    parser.add_argument(
        "--runs", type=told("--runs", _count(1, 1000)), default=5, metavar="N", help="of each cell; default: 5"
    )
    parser.add_argument(
        "--routers",
        type=told("--routers", _count(2, MOST_ROUTERS)),
        default=2,
        metavar="N",
        help="of each speaker; default: 2",
    )
    parser.add_argument("--family", type=told("--family", _family), default=4, metavar="4|6")
    parser.add_argument(
        "--probe",
        type=told("--probe", _list_of(_probe)),
        default=tuple(PROBES),
        metavar="P,P",
        help=f"of {','.join(PROBES)}; default: all",
    )
    parser.add_argument(
        "--load",
        type=told("--load", _list_of(parse_load)),
        default=(),
        metavar="L,L",
        help="all faults again under cpu, memory, loss=PERCENT, delay=MS",
    )
    parser.add_argument(
        "--noise-limit",
        type=told("--noise-limit", _milliseconds),
        default=NOISE_LIMIT * 1e3,
        metavar="MS",
        help="of the prober's pauses; default: %(default)g",
    )
    for name, what in (("--scale", "processor time, memory and lateness by size"), ("--figures", "benchmarks.speaker")):
        kind = told(name, _extent)
        parser.add_argument(name, nargs="?", type=kind, metavar="quick|full", const="full", help=f"also {what}")
    parser.add_argument("--ipvs", action="store_true", help="also what benchmarks.ipvs measures")
    parser.add_argument("--kubernetes", action="store_true", help="also what benchmarks.kubernetes measures")
    parser.add_argument("--captures", action="store_true", help="keep what the bridge saw of each run, as pcap files")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"default: {DEFAULT_DIRECTORY}; of --report: where its results file is",
    )
    parser.add_argument("--resume", action="store_true", help=f"go on where DIR/{NAME} ends")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE|DIR",
        help="measure nothing; write the report of that results file, or of the one in DIR, anew",
    )
    return parser


def _list_of(item: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def parse(text: str) -> tuple[T, ...]:
        return tuple(dict.fromkeys(item(each) for each in text.split(",")))

    return parse


def _interval(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.01 <= value <= 40.95 or abs(value * 100 - round(value * 100)) > 1e-6:
        raise ValueError(f"{text!r} is not 0.01-40.95 seconds in steps of 0.01")
    return round(value, 2)


def _faults(text: str) -> tuple[str, ...]:
    return tuple(FAULTS) if text == "all" else _list_of(_fault)(text)


def _one_of(known: Collection[str], otherwise: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in known:
            raise ValueError(f"{text!r} {otherwise}")
        return text

    return parse


_fault = _one_of(FAULTS, f"is no fault: {', '.join(FAULTS)}")
_probe = _one_of(PROBES, f"is no kind of probe: {', '.join(PROBES)}")
_extent = _one_of(("quick", "full"), "is not quick or full")


def _count(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not {least}-{most}")
        return int(text)

    return parse


def _family(text: str) -> int:
    return int(_one_of(("4", "6"), "is not 4 or 6")(text))


def _milliseconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ValueError(f"{text!r} is not a number of milliseconds above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
