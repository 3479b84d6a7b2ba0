"""Reads `track_interface`: other interfaces that an instance depends on."""

from vrrpd.config import kinds
from vrrpd.config.model import TrackedInterface
from vrrpd.config.problems import KeyPath, Refused, Report, shown
from vrrpd.config.schema import TRACKED, read_table


def read_tracked(raw: object, path: KeyPath, report: Report, own: str) -> tuple[TrackedInterface, ...]:
    """Those that are right; what is not goes to the report.

    Args:
        raw: the key's value.
        path: the key's.
        report: takes what is wrong.
        own: the instance's own interface.
    """
    if not isinstance(raw, list):
        wrong = f"{shown(raw)} is not a list"
        report.add(path, wrong, 'use a list such as ["eth1", { interface = "eth2", weight = -20 }]')
        return ()
    found: list[TrackedInterface] = []
    for index, entry in enumerate(raw):
        tracked = _read_entry(entry, (*path, index), report)
        if tracked is None:
            continue
        if tracked.interface == own:
            wrong = f"{own} is the instance's own interface, without which it is in FAULT"
            report.add((*path, index), wrong, "remove it")
        elif tracked.interface in [other.interface for other in found]:
            report.add((*path, index), f"{tracked.interface} is in the list already", "remove one of them")
        else:
            found.append(tracked)
    return tuple(found)


def _read_entry(raw: object, path: KeyPath, report: Report) -> TrackedInterface | None:
    if isinstance(raw, dict):
        values = read_table(raw, TRACKED, path, report)
        return TrackedInterface(values["interface"], values.get("weight", 0)) if "interface" in values else None
    try:
        return TrackedInterface(kinds.interface_name(raw))
    except Refused as refused:
        report.add(path, refused.wrong, refused.remedy)
        return None
