"""What instances of one file must not have in common."""

from collections.abc import Hashable
from typing import Any, NamedTuple

from vrrpd.config.addresses import Located
from vrrpd.config.problems import KeyPath, Report, shown


class Draft(NamedTuple):
    """What could be read of one instance, so that one with an error is compared with the others all the same."""

    path: KeyPath
    values: dict[str, Any]
    """By key, those that are right."""
    addresses: list[Located]


def refuse_conflicts(drafts: list[Draft], report: Report) -> None:
    """Report names, virtual routers and addresses that two instances have; the later one is at fault."""
    taken: dict[Hashable, KeyPath] = {}

    def claim(what: Hashable, shown_what: str, path: KeyPath, remedy: str) -> None:
        first = taken.setdefault(what, path)
        if first is not path:
            report.add(path, f"{shown_what} is in use already ({report.where(first)})", remedy)

    for draft in drafts:
        name, interface, vrid = (draft.values.get(key) for key in ("name", "interface", "virtual_router_id"))
        if name:
            claim(name, shown(name), (*draft.path, "name"), "use another name")
        if interface and vrid and draft.addresses:
            version = draft.addresses[0][1].address.version
            claim(
                (interface, version, vrid),
                f"{vrid} for IPv{version} on {interface}",
                (*draft.path, "virtual_router_id"),
                "use another virtual_router_id, or make one instance of both",
            )
        for path, entry in draft.addresses:
            if entry.dev:
                claim(
                    (entry.dev, entry.address), f"{entry.address} on {entry.dev}", path, "remove it from one instance"
                )
