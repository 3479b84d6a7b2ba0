"""What is wrong with an advert that is processed all the same."""

from vrrpd.protocol.effects import Anomaly, ReportAnomaly
from vrrpd.protocol.events import AdvertReceived
from vrrpd.protocol.parameters import Parameters
from vrrpd.protocol.timing import PRIORITY_OWNER


def anomalies(event: AdvertReceived, mine: Parameters) -> tuple[ReportAnomaly, ...]:
    """What RFC 9568 section 7.1 wants logged of an advert, to a router that has these parameters."""
    advert = event.advert
    found: list[Anomaly] = []
    if advert.max_advertise_interval != mine.advertisement_interval:
        found.append(Anomaly.INTERVAL_DIFFERS)
    if set(advert.addresses) != set(mine.addresses):
        found.append(Anomaly.ADDRESSES_DIFFER)
    if advert.priority == PRIORITY_OWNER == mine.priority:
        found.append(Anomaly.ANOTHER_OWNER)
    return tuple(ReportAnomaly(anomaly, event.source, advert) for anomaly in found)
