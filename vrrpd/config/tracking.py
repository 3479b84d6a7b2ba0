"""Reads what instances depend on: `track_interface`, `track_script`, and `[[vrrp_script]]`."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from vrrpd.config.model import TrackedInterface, TrackedScript, VrrpScript
from vrrpd.config.problems import KeyPath, Refused, Report, shown
from vrrpd.config.schema import SCRIPT, TRACKED, TRACKED_SCRIPT, Table, read_table, tables_of

_SCRIPTS = "vrrp_script"

_EXAMPLES = {
    TRACKED.title: '["eth1", { interface = "eth2", weight = -20 }]',
    TRACKED_SCRIPT.title: '["chk_haproxy", { script = "chk_disk", weight = -20 }]',
}

Tracked = TypeVar("Tracked")


def read_tracked(raw: object, path: KeyPath, report: Report, own: str) -> tuple[TrackedInterface, ...]:
    """Those that are right; what is not goes to the report.

    Args:
        raw: the key's value.
        path: the key's.
        report: takes what is wrong.
        own: the instance's own interface.
    """

    def read(values: Mapping[str, Any], at: KeyPath) -> TrackedInterface | None:
        tracked = TrackedInterface(values["interface"], values.get("weight", 0))
        if tracked.interface == own:
            wrong = f"{own} is the instance's own interface, without which it is in FAULT"
            report.add(at, wrong, "remove it")
            return None
        return tracked

    return _read_list(raw, path, report, TRACKED, read)


def read_tracked_scripts(
    raw: object, path: KeyPath, report: Report, weights: Mapping[str, int] | None
) -> tuple[TrackedScript, ...]:
    """Those that are right; what is not goes to the report.

    Args:
        raw: the key's value.
        path: the key's.
        report: takes what is wrong.
        weights: those that the scripts have by themselves, by their names. None: they could not be read.
    """

    def read(values: Mapping[str, Any], at: KeyPath) -> TrackedScript | None:
        name = values["script"]
        if weights is not None and name not in weights:
            known = f"use {' or '.join(map(shown, sorted(weights)))}, or " if weights else ""
            report.add(at, f"there is no vrrp_script named {shown(name)}", f"{known}add one of that name, or remove it")
            return None
        return TrackedScript(name, values.get("weight", (weights or {}).get(name, 0)))

    return _read_list(raw, path, report, TRACKED_SCRIPT, read)


def _read_list(
    raw: object,
    path: KeyPath,
    report: Report,
    table: Table,
    read: Callable[[Mapping[str, Any], KeyPath], Tracked | None],
) -> tuple[Tracked, ...]:
    """Entries that are names alone, or tables the first key of which is the name; none twice."""
    if not isinstance(raw, list):
        report.add(path, f"{shown(raw)} is not a list", f"use a list such as {_EXAMPLES[table.title]}")
        return ()
    key, kind = table.keys[0].name, table.keys[0].kind
    assert kind
    found: list[Tracked] = []
    names: set[str] = set()
    for index, entry in enumerate(raw):
        at: KeyPath = (*path, index)
        values: Mapping[str, Any] = {}
        if isinstance(entry, dict):
            values = read_table(entry, table, at, report)
        else:
            try:
                values = {key: kind(entry)}
            except Refused as refused:
                report.add(at, refused.wrong, refused.remedy)
        if (name := values.get(key)) is None:
            continue
        if name in names:
            report.add(at, f"{name} is in the list already", "remove one of them")
        elif (tracked := read(values, at)) is not None:
            names.add(name)
            found.append(tracked)
    return tuple(found)


def read_scripts(raw: object, report: Report) -> tuple[tuple[VrrpScript, ...], dict[str, int] | None]:
    """The programs that are right, and the weight that each has by itself; what is not right goes to the report.

    None in the place of the weights: the names of some could not be read.
    """
    tables = tables_of(raw, SCRIPT, (_SCRIPTS,), report)
    scripts: list[VrrpScript] = []
    weights: dict[str, int] = {}
    nameless = len(tables) < (len(raw) if isinstance(raw, list) else 1)
    for path, entry in tables:
        values = read_table(entry, SCRIPT, path, report)
        name, weight = values.get("name"), values.pop("weight", 0)
        if name is None:
            nameless = True
        elif name in weights:
            report.add((*path, "name"), f"{shown(name)} is in use already", "use another name")
        else:
            weights[name] = weight
            if "script" in values:
                values.setdefault("timeout", values.get("interval", VrrpScript("", ()).interval))
                scripts.append(VrrpScript(**values))
    return tuple(scripts), None if nameless else weights
