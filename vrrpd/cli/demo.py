"""`vrrpd demo`: routers and a client in network namespaces, faults, and the outage of each."""

import argparse
import sys

from vrrpd.demo.faults import DEFAULT_FAULTS, EVERY_FAULT, FAULTS
from vrrpd.demo.setting import ADVERT_INT_MAX, ADVERT_INT_MIN, ROUTERS_MAX, ROUTERS_MIN, Setting
from vrrpd.lan.namespace import (
    Interrupted,
    NamespaceError,
    enter_user_namespace_if_needed,
    interruptible,
    nothing_left_behind,
)

EXAMPLE = (
    "faults:\n"
    + "\n".join(f"  {fault.name:<8}{fault.what}" for fault in FAULTS.values())
    + """

examples:
  vrrpd demo                                     the usual faults, live; as root or, where the kernel lets it, as anyone
  vrrpd demo --fault all --json                  every fault, as one JSON object
  vrrpd demo --fault link freeze --advert-int 1 --routers 5 --family 6"""
)

EXIT_OK, EXIT_FAILED, EXIT_SIGNALLED = 0, 1, 128


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    usual = Setting()
    parser.add_argument(
        "--fault",
        action="extend",
        nargs="+",
        choices=(*FAULTS, EVERY_FAULT),
        metavar="FAULT",
        help=f"one or more, in this order; {', '.join(FAULTS)}, or {EVERY_FAULT}; default: {' '.join(DEFAULT_FAULTS)}",
    )
    parser.add_argument(
        "--routers", metavar="N", type=_routers, default=usual.routers, help="how many; default: %(default)s"
    )
    parser.add_argument(
        "--advert-int",
        metavar="SECONDS",
        type=_advert_int,
        default=usual.advert_int,
        help="time between two adverts; default: %(default)s",
    )
    parser.add_argument("--family", type=int, choices=(4, 6), default=usual.family, help="default: IPv%(default)s")
    parser.add_argument("--json", action="store_true", help="for machines: one object at the end, and nothing else")


def run(arguments: argparse.Namespace) -> int:
    """Build the LAN, inflict the faults, show and measure; whatever ends it, nothing is left."""
    try:
        with interruptible():
            return _run(arguments)
    except Interrupted as interruption:
        print("interrupted; routers, client and network are gone", file=sys.stderr)
        return EXIT_SIGNALLED + interruption.number


def _run(arguments: argparse.Namespace) -> int:
    names = arguments.fault or DEFAULT_FAULTS
    faults = [FAULTS[name] for chosen in names for name in (FAULTS if chosen == EVERY_FAULT else (chosen,))]
    setting = Setting(arguments.routers, arguments.advert_int, arguments.family)
    try:
        rootless = enter_user_namespace_if_needed()
    except NamespaceError as error:
        print(f"vrrpd demo: {error}", file=sys.stderr)
        return EXIT_FAILED
    with nothing_left_behind("/run"):
        # Now, so that Ctrl-C is heard while rich and all of pyroute2 are imported, and no other command imports them.
        from vrrpd.demo.play import PlayError, play  # noqa: PLC0415

        try:
            play(setting, faults, json=arguments.json, rootless=rootless)
        except PlayError as error:
            print(f"vrrpd demo: {error}", file=sys.stderr)
            return EXIT_FAILED
    return EXIT_OK


def _routers(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not ROUTERS_MIN <= int(text) <= ROUTERS_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not {ROUTERS_MIN}-{ROUTERS_MAX} routers")
    return int(text)


def _advert_int(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not ADVERT_INT_MIN <= value <= ADVERT_INT_MAX or abs(value * 100 - round(value * 100)) > 1e-6:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not {ADVERT_INT_MIN:g}-{ADVERT_INT_MAX:g} seconds in steps of 0.01"
        )
    return round(value, 2)
