"""The demo from start to summary, for a terminal, a pipe or a machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pyroute2.netlink.exceptions import NetlinkError
from rich.console import Console

from vrrpd import __version__
from vrrpd.demo.faults import Fault
from vrrpd.demo.report import as_json, summary
from vrrpd.demo.run import Demo, DemoError
from vrrpd.demo.setting import VRID, Setting
from vrrpd.demo.view import Lines, LiveView
from vrrpd.lan.hosts import HAS_IPV6
from vrrpd.supervisor.control import ControlError

DIRECTORY: Final = Path("/run/vrrpd-demo")
"""In a file system that only the demo sees."""


class PlayError(RuntimeError):
    """The demo failed; the message says why, and what to do where something can be done."""


def play(setting: Setting, faults: Sequence[Fault], *, json: bool, rootless: bool) -> None:
    """Show everything and print the summary.

    Args:
        setting: of the demo.
        faults: to inflict, in this order.
        json: print one object instead, and nothing else.
        rootless: whether all this happens in a user namespace, for the report.

    Raises:
        PlayError: it could not be played to the end.
    """
    if setting.family == 6 and not HAS_IPV6:
        raise PlayError("this kernel has no IPv6; use --family 4, or boot without ipv6.disable=1")
    console = Console(highlight=False)
    view = LiveView(console) if console.is_terminal and not json else Lines(console, silent=json)
    try:
        with Demo(setting, DIRECTORY, view.tell) as demo, view.shown(demo):
            demo.start()
            for fault in faults:
                demo.suffer(fault)
            about = _about(demo, rootless=rootless)
    except (DemoError, ControlError) as error:
        raise PlayError(str(error)) from error
    except NetlinkError as error:
        raise PlayError(f"{error}; the kernel must have bridge and veth: modprobe -a bridge veth") from error
    if json:
        print(as_json(about, demo.measurements))
    else:
        console.print(summary(demo.measurements))


def _about(demo: Demo, *, rootless: bool) -> dict[str, Any]:
    """What the JSON object says of the whole; docs/demo.md has the keys."""
    setting = demo.setting
    return {
        "version": __version__,
        "family": f"ipv{setting.family}",
        "virtual_router_id": VRID,
        "address": setting.address,
        "advert_int": setting.advert_int,
        "rootless": rootless,
        "seconds": round(demo.seconds, 3),
        "adverts": len(demo.capture.adverts(VRID)),
        "routers": [
            {"name": router.host.name, "priority": router.routers[0].priority, "mac": router.host.mac()}
            for router in demo.routers
        ],
    }
