"""What a router depends on beside its own link: a source for unicast, and interfaces, by its addresses or by choice."""

from vrrpd.config.model import VrrpInstance
from vrrpd.net.links import LinkMonitor
from vrrpd.protocol.advert import IPAddress


def source_of(instance: VrrpInstance, primary: IPAddress | None, monitor: LinkMonitor) -> IPAddress | None:
    """Where adverts come from; None: it is not there.

    Args:
        instance: its configuration.
        primary: the interface's primary address.
        monitor: knows the host's addresses.
    """
    source = instance.unicast_src_ip
    return primary if source is None else source if monitor.has(instance.interface, source) else None


def lacking(instance: VrrpInstance, monitor: LinkMonitor) -> str:
    """Which interface is missing, without which nothing can be held; empty: none."""
    needed = {each.interface: "is tracked" for each in instance.track_interface if not each.weight}
    needed |= {vip.dev: "carries virtual addresses" for vip in instance.virtual_ipaddress}
    reason = ""
    for dev, role in sorted(needed.items()):
        if not _is_up(dev, monitor):
            what = "is down or has no carrier" if monitor.link(dev) else "does not exist"
            reason = f"{dev}, which {role}, {what}"
    return reason


def tracked_weight(instance: VrrpInstance, monitor: LinkMonitor) -> int:
    """What the tracked interfaces add to the priority, or take from it."""
    tracked = instance.track_interface
    return sum(each.weight for each in tracked if _is_up(each.interface, monitor) == (each.weight > 0))


def _is_up(interface: str, monitor: LinkMonitor) -> bool:
    link = monitor.link(interface)
    return link is not None and link.up
