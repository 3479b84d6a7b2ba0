"""`vrrpd sniff`: every virtual router that is heard, and what is wrong with it."""

import argparse
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

EXAMPLE = """examples:
  vrrpd sniff                          every Ethernet interface, live, until Ctrl-C; as root
  vrrpd sniff -i eth0 -w vrrp.pcap     and keep the packets, for Wireshark
  vrrpd sniff -r vrrp.pcap --json      what a capture file has"""

EXIT_OK, EXIT_FAILED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument("-i", "--interface", metavar="IF", help="default: every Ethernet interface")
    source.add_argument("-r", "--read", metavar="PCAP", help="a pcap or pcapng file instead; - is standard input")
    parser.add_argument(
        "-w",
        "--write",
        metavar="PCAP",
        help="write what comes, adverts and announcements, as pcap; - is standard output",
    )
    parser.add_argument("-t", "--seconds", metavar="N", type=_seconds, help="listen that long; default: until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="for machines: one object at the end, and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Listen or read, show, and sum up at the end."""
    # No other command is to import rich and scapy.
    from vrrpd.sniff.run import CaptureError, Wish, sniff  # noqa: PLC0415

    if arguments.read is not None and arguments.seconds is not None:
        print("vrrpd sniff: --seconds is for listening; a file is read to its end", file=sys.stderr)
        return 2
    wish = Wish(arguments.interface, arguments.read, arguments.write, arguments.seconds, arguments.json)
    try:
        with _stoppable() as ended:
            sniff(wish, lambda: bool(ended))
        sys.stdout.flush()
    except CaptureError as error:
        print(f"vrrpd sniff: {error}", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        # Who reads has heard enough; nothing is to be written at exit either.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    return EXIT_OK


@contextmanager
def _stoppable() -> Iterator[list[int]]:
    """Signals that end a program are collected here instead; said twice, they end it."""
    ended: list[int] = []

    def end(number: int, _frame: object) -> None:
        ended.append(number)
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield ended
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value
