"""The status as Prometheus has it. Names and labels are a contract; docs/operation.md lists them."""

from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

JSON = dict[str, Any]

STATES = {"INIT": 0, "BACKUP": 1, "MASTER": 2, "FAULT": 3}
"""Values of `vrrpd_state`."""
_KINDS = {"gratuitous_arp_sent": "arp", "unsolicited_na_sent": "na"}
_CONFLICT = "conflicting_master"


def exposition(status: JSON, accept: str) -> tuple[bytes, str]:
    """The metrics, and the type of their content.

    Args:
        status: as of `vrrpd status --json`.
        accept: the header of the request; OpenMetrics for who wants it.
    """
    encode, content_type = choose_encoder(accept)
    registry = CollectorRegistry()
    registry.register(_Status(status))
    return encode(registry), content_type


class _Status(Collector):
    """One status, for one scrape."""

    def __init__(self, status: JSON) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        """Part of `Collector`."""
        status = self._status
        yield InfoMetricFamily("vrrpd", "The daemon that runs.", {"version": status["version"]})
        yield GaugeMetricFamily("vrrpd_uptime_seconds", "Since its start.", status["uptime_seconds"])
        yield GaugeMetricFamily("vrrpd_drained", "1 while it was told to hand over and stay BACKUP.", status["drained"])
        yield CounterMetricFamily(
            "vrrpd_speaker_restarts", "Speakers that died and were replaced.", status["speaker_restarts"]
        )
        yield CounterMetricFamily(
            "vrrpd_director_restarts", "Directors that died and were replaced.", status["director_restarts"]
        )
        yield CounterMetricFamily(
            "vrrpd_proxy_restarts", "Proxies that died and were replaced.", status["proxy_restarts"]
        )
        yield from _routers(status["routers"])
        if lag := status.get("loop_lag_seconds"):
            yield _histogram("vrrpd_loop_lag_seconds", "How late the speaker's timers were looked at.", lag)
        works = GaugeMetricFamily("vrrpd_script_works", "1: the tracked program succeeds.", labels=("script",))
        for script in status.get("scripts", ()):
            if script["works"] is not None:
                works.add_metric([script["name"]], script["works"])
        yield works
        yield from _ipvs(status)
        if kubernetes := status.get("kubernetes"):
            errors = kubernetes.get("watch_errors", 0)
            yield CounterMetricFamily("vrrpd_kube_watch_errors", "Lists and watches that failed or broke off.", errors)
            problems = len(kubernetes["problems"])
            yield GaugeMetricFamily("vrrpd_kube_problems", "Entries and objects that cannot be used as is.", problems)


def _routers(routers: list[JSON]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "vrrpd_state", "0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT.", labels=("instance", "interface", "vrid", "family")
    )
    priority = GaugeMetricFamily("vrrpd_priority", "What the router competes with.", labels=("instance",))
    transitions = CounterMetricFamily("vrrpd_transitions", "By the state entered.", labels=("instance", "to"))
    sent = CounterMetricFamily("vrrpd_adverts_sent", "Adverts sent.", labels=("instance",))
    received = CounterMetricFamily("vrrpd_adverts_received", "Valid adverts.", labels=("instance",))
    dropped = CounterMetricFamily("vrrpd_adverts_dropped", "Packets discarded.", labels=("instance", "reason"))
    gratuitous = CounterMetricFamily("vrrpd_gratuitous", "Gratuitous ARP and NA sent.", labels=("instance", "kind"))
    conflicts = CounterMetricFamily(
        "vrrpd_conflicting_masters", "Adverts of another while MASTER.", labels=("instance",)
    )
    present = GaugeMetricFamily("vrrpd_vip_present", "1: the address is here.", labels=("instance", "address"))
    for router in routers:
        name, counters = router["name"], router["counters"]
        place = [name, router["interface"], str(router["virtual_router_id"]), router["family"]]
        state.add_metric(place, STATES[router["state"]])
        priority.add_metric([name], router["effective_priority"])
        for to, count in counters["transitions"].items():
            transitions.add_metric([name, to], count)
        sent.add_metric([name], counters["adverts_sent"])
        received.add_metric([name], counters["adverts_received"])
        for reason, count in counters["adverts_dropped"].items():
            dropped.add_metric([name, reason], count)
        for key, kind in _KINDS.items():
            gratuitous.add_metric([name, kind], counters[key])
        conflicts.add_metric([name], counters["anomalies"].get(_CONFLICT, 0))
        for vip in router["vips"]:
            present.add_metric([name, vip["address"]], vip["present"])
    yield from (state, priority, transitions, sent, received, dropped, gratuitous, conflicts, present)


def _ipvs(status: JSON) -> Iterator[Metric]:
    servers = status["virtual_servers"]
    reals = sum(len(server["real_servers"]) for server in servers)
    yield GaugeMetricFamily("vrrpd_ipvs_services", "Virtual servers.", len(servers))
    yield GaugeMetricFamily("vrrpd_ipvs_real_servers", "Real servers, of all virtual servers.", reals)
    healthy = GaugeMetricFamily(
        "vrrpd_ipvs_healthy_real_servers", "Those that are well.", labels=("virtual_server", "name")
    )
    quorum = GaugeMetricFamily("vrrpd_ipvs_quorum", "1: enough of them are.", labels=("virtual_server", "name"))
    for server in servers:
        place = [server["key"], server["name"]]
        healthy.add_metric(place, sum(bool(real["healthy"]) for real in server["real_servers"]))
        quorum.add_metric(place, server["quorum"])
    yield from (healthy, quorum)
    ipvs = status.get("ipvs", {})
    if "drift" in ipvs:
        yield CounterMetricFamily("vrrpd_ipvs_drift", "What of ours somebody else had changed.", ipvs["drift"])
        yield GaugeMetricFamily("vrrpd_ipvs_refused", "Entries that the kernel refuses.", len(ipvs["refused"]))
        yield GaugeMetricFamily("vrrpd_ipvs_draining", "Real servers that are leaving.", ipvs["draining"])
        yield _histogram("vrrpd_ipvs_sync_seconds", "From a change to the kernel's answer.", ipvs["sync_seconds"])


def _histogram(name: str, what: str, histogram: JSON) -> Metric:
    return HistogramMetricFamily(name, what, buckets=[*histogram["buckets"].items()], sum_value=histogram["sum"])
