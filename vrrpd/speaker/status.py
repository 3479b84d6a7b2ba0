"""The speaker's part of `vrrpd status --json`: keys and units as the documentation promises them."""

from typing import Any

from vrrpd.config.model import VrrpInstance
from vrrpd.protocol.effects import State
from vrrpd.protocol.timing import seconds
from vrrpd.speaker.counters import Counters
from vrrpd.speaker.driver import RouterDriver
from vrrpd.speaker.port import Port


def router_status(driver: RouterDriver) -> dict[str, Any]:
    """One entry of `routers`."""
    instance, router = driver.instance, driver.router
    driver.catch_up()
    master_address, master_priority = None, None
    if router.state is State.MASTER:
        master_address, master_priority = router.address, router.priority
    elif router.master is not None:
        master_address, master_priority = router.master.source, router.master.advert.priority
    return {
        "name": instance.name,
        "interface": instance.interface,
        "family": f"ipv{instance.family.value}",
        "virtual_router_id": instance.virtual_router_id,
        "state": str(router.state.shown),
        "yielding": router.state is State.YIELDING,
        "drained": router.state is State.DRAINED,
        "reason": driver.last_reason,
        "priority": instance.priority,
        "effective_priority": router.priority,
        "advert_int": instance.advert_int,
        "unicast_peer": [str(peer) for peer in instance.unicast_peer],
        "master_advert_int": seconds(router.active_adver_interval),
        "master_down_interval": seconds(router.active_down_interval),
        "master_address": None if master_address is None else str(master_address),
        "master_priority": master_priority,
        "last_transition": driver.last_transition.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "vips": [
            {
                "address": vip.shown,
                "dev": vip.config.dev,
                "present": vip.present or vip.foreign,
                "hosts_own": vip.hosts_own,
            }
            | ({"error": vip.error} if vip.error else {})
            for vip in driver.vips
        ],
        "counters": driver.counters.as_dict(),
    }


def fault_status(instance: VrrpInstance, reason: str) -> dict[str, Any]:
    """The same for a router that no speaker drives."""
    return {
        "name": instance.name,
        "interface": instance.interface,
        "family": f"ipv{instance.family.value}",
        "virtual_router_id": instance.virtual_router_id,
        "state": str(State.FAULT),
        "yielding": False,
        "drained": False,
        "reason": reason,
        "priority": instance.priority,
        "effective_priority": instance.priority,
        "advert_int": instance.advert_int,
        "master_address": None,
        "master_priority": None,
        "last_transition": None,
        "unicast_peer": [str(peer) for peer in instance.unicast_peer],
        "vips": [
            {"address": str(vip), "dev": vip.dev, "present": False, "hosts_own": False}
            for vip in instance.virtual_ipaddress
        ],
        "counters": Counters().as_dict(),
    }


def strangers_status(port: Port) -> dict[str, Any]:
    """One entry of `strangers`: adverts of VRIDs that no router here has (drop reason `vrid`)."""
    return {
        "interface": port.interface,
        "family": f"ipv{port.family.value}",
        "adverts_dropped": {"vrid": port.strangers.count},
        "last_source": str(port.strangers.last_source),
        "last_vrid": port.strangers.last_vrid,
    }
