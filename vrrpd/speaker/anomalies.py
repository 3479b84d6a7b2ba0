"""What other routers do that they should not, in words for the log."""

from vrrpd.config.model import VrrpInstance
from vrrpd.protocol.effects import Anomaly, ReportAnomaly
from vrrpd.protocol.timing import seconds


def explain(effect: ReportAnomaly, instance: VrrpInstance) -> str:
    """What is wrong with an advert that was accepted all the same, and what to do."""
    source, advert = effect.source, effect.advert
    match effect.anomaly:
        case Anomaly.INTERVAL_DIFFERS:
            theirs = seconds(advert.max_advertise_interval)
            return f"{source} advertises every {theirs:g} s, we every {instance.advert_int:g} s; configure one interval"
        case Anomaly.ADDRESSES_DIFFER:
            theirs_only = {str(address) for address in advert.addresses} - _addresses(instance)
            ours_only = _addresses(instance) - {str(address) for address in advert.addresses}
            return (
                f"{source} advertises other addresses: it alone has {_listed(theirs_only)}, "
                f"we alone have {_listed(ours_only)}; configure one list"
            )
        case Anomaly.ANOTHER_OWNER:
            return f"{source} also claims to own the addresses (priority 255); only one router may"
        case Anomaly.CONFLICTING_MASTER:
            return f"{source} is MASTER too, with priority {advert.priority}; answering it"
        case Anomaly.DUPLICATE_SOURCE:
            return f"{source} is our own address, yet another router sends from it; give each router its own"


def _addresses(instance: VrrpInstance) -> set[str]:
    return {str(vip.address) for vip in instance.virtual_ipaddress}


def _listed(addresses: set[str]) -> str:
    return ", ".join(sorted(addresses)) or "none"
