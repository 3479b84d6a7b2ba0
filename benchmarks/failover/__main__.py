"""Measure speakers under faults, and report.

python -m benchmarks.failover --speaker vrrpd --speaker keepalived --advert 0.1 --fault stop,link --runs 10 --out DIR
python -m benchmarks.failover --report DIR           write the report of a results file anew
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar

from rich.console import Console

from benchmarks.failover.faults import FAULTS
from benchmarks.failover.load import parse as parse_load
from benchmarks.failover.measure import NOISE_LIMIT
from benchmarks.failover.results import NAME, ResultsError
from benchmarks.failover.setting import PROBES
from benchmarks.failover.speakers import BUILT_IN, SpeakerError
from vrrpd.lan.namespace import Interrupted, NamespaceError, enter_user_namespace_if_needed, interruptible

EXAMPLE: Final = """examples:
  python -m benchmarks.failover --out out                      the speakers that are installed, every fault, at 0.1 s
  python -m benchmarks.failover --speaker vrrpd --speaker benchmarks/failover/ucarp.toml --advert 1 --fault stop,link
  python -m benchmarks.failover --out out --resume             go on after Ctrl-C
  python -m benchmarks.failover --report out                   the report anew, from out/results.json"""
T = TypeVar("T")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and report what `argv` asks for (default: the process's own arguments); returns the exit code."""
    arguments = _parser().parse_args(argv)
    try:
        if arguments.report is not None:
            from benchmarks.failover.session import report  # noqa: PLC0415

            report(arguments.report)
            return 0
        enter_user_namespace_if_needed()
        with interruptible():
            # Now, for it brings threads.
            from benchmarks.failover.session import Session  # noqa: PLC0415

            return Session(arguments, Console(stderr=True, highlight=False)).run()
    except (SpeakerError, ResultsError, NamespaceError, OSError) as error:
        print(f"benchmarks.failover: {error}", file=sys.stderr)
        return 2
    except Interrupted as interruption:
        return 128 + interruption.number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.failover",
        description=(__doc__ or "").partition("\n")[0],
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--speaker",
        action="append",
        metavar="NAME",
        help=f"{', '.join(BUILT_IN)}, or a TOML file that describes another; may be repeated; default: those installed",
    )
    parser.add_argument(
        "--baseline", metavar="NAME", help="whom ratios are to; default: keepalived, or the last speaker"
    )
    parser.add_argument(
        "--advert", type=_list_of(_interval), default=(0.1,), metavar="S,S", help="intervals; default: 0.1"
    )
    parser.add_argument(
        "--fault",
        type=_faults,
        default=tuple(FAULTS),
        metavar="F,F",
        help=f"of {','.join(FAULTS)}; default: all",
    )
    parser.add_argument("--runs", type=_count, default=5, metavar="N", help="of each cell; default: 5")
    parser.add_argument("--routers", type=_count, default=2, metavar="N", help="of each speaker; default: 2")
    parser.add_argument("--family", type=int, choices=(4, 6), default=4)
    parser.add_argument(
        "--probe",
        type=_list_of(_probe),
        default=tuple(PROBES),
        metavar="P,P",
        help=f"of {','.join(PROBES)}; default: all",
    )
    parser.add_argument(
        "--load",
        type=_list_of(parse_load),
        default=(),
        metavar="L,L",
        help="all faults again under cpu, memory, loss=PERCENT, delay=MS",
    )
    parser.add_argument(
        "--noise-limit",
        type=float,
        default=NOISE_LIMIT * 1e3,
        metavar="MS",
        help="of the prober's pauses; default: %(default)g",
    )
    for name, what in (("--scale", "processor time, memory and lateness by size"), ("--figures", "benchmarks.speaker")):
        parser.add_argument(name, nargs="?", choices=("quick", "full"), const="full", help=f"also {what}")
    parser.add_argument("--ipvs", action="store_true", help="also what benchmarks.ipvs measures")
    parser.add_argument("--kubernetes", action="store_true", help="also what benchmarks.kubernetes measures")
    parser.add_argument("--captures", action="store_true", help="keep what the bridge saw of each run, as pcap files")
    parser.add_argument(
        "--out", type=Path, default=Path("failover-results"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument("--resume", action="store_true", help=f"go on where DIR/{NAME} ends")
    parser.add_argument(
        "--report", type=Path, metavar="DIR", help="measure nothing; write the report of that results file anew"
    )
    return parser


def _list_of(item: Callable[[str], T]) -> Callable[[str], tuple[T, ...]]:
    def parse(text: str) -> tuple[T, ...]:
        try:
            return tuple(dict.fromkeys(item(each) for each in text.split(",") if each))
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

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


def _fault(text: str) -> str:
    if text not in FAULTS:
        raise ValueError(f"{text!r} is no fault: {', '.join(FAULTS)}")
    return text


def _probe(text: str) -> str:
    if text not in PROBES:
        raise ValueError(f"{text!r} is no kind of probe: {', '.join(PROBES)}")
    return text


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r} is not 1-1000")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
