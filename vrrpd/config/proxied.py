"""What cannot be had of a virtual server whose connections our proxy makes (`lvs_method = "PROXY"`)."""

from collections.abc import Mapping
from typing import Any

from vrrpd.config.problems import KeyPath, Report
from vrrpd.config.services import Masquerade, RealServerSettings
from vrrpd.ipvs.model import FirewallMark, Method, Protocol, Scheduler, ServiceAddress, VirtualServerKey
from vrrpd.protocol.advert import Family

SCHEDULERS = (Scheduler.RR, Scheduler.WRR, Scheduler.LC, Scheduler.WLC)
"""Those that the proxy has."""


def refuse_proxied(
    values: Mapping[str, Any],
    keys: tuple[VirtualServerKey, ...],
    located: Mapping[KeyPath, RealServerSettings],
    path: KeyPath,
    report: Report,
) -> None:
    """Report what a proxy does not do, and a proxy for some of the real servers.

    Args:
        values: of the virtual server.
        keys: what clients ask for.
        located: the real servers and the sorry server, by where they stand.
        path: where the virtual server stands.
        report: takes what is wrong.
    """
    if values.get("lvs_method") is not Method.PROXY:
        if "proxy_protocol" in values:
            report.add((*path, "proxy_protocol"), "it goes with PROXY alone", 'remove it, or use lvs_method = "PROXY"')
        for place, real in located.items():
            if real.method is Method.PROXY:
                remedy = 'give the virtual server lvs_method = "PROXY", for all of them'
                report.add((*place, "lvs_method"), "one proxy serves all real servers, or none", remedy)
        return
    for place, real in located.items():
        if real.method is not Method.PROXY:
            wrong = f"the virtual server is proxied, and {real.method.name} is not"
            report.add((*place, "lvs_method"), wrong, "remove it, or make two virtual servers of two ports")
        if any(_is_itself(real, key) for key in keys):
            report.add(place, "the proxy would connect to itself, again and again", "use another address or port")
        for key in ("uthreshold", "lthreshold"):
            if getattr(real, key):
                report.add((*place, key), "the proxy knows no thresholds", "remove it, or use NAT")
    _refuse_keys(keys, path, report)
    if values.get("protocol", Protocol.TCP) is not Protocol.TCP:
        report.add((*path, "protocol"), "PROXY is for TCP", 'use protocol = "TCP", or NAT')
    if values.get("lvs_sched", Scheduler.WLC) not in SCHEDULERS:
        wrong = f'the proxy does not do "{values["lvs_sched"]}"'
        report.add((*path, "lvs_sched"), wrong, f"use one of {', '.join(SCHEDULERS)}")
    if values.get("persistence_timeout"):
        wrong = "the proxy sends each connection where there is least to do"
        report.add((*path, "persistence_timeout"), wrong, "remove it, or use NAT")
    if values.get("masquerade") is Masquerade.ALWAYS:
        wrong = "the proxy connects from this host, and says in a header who the client is"
        report.add((*path, "masquerade"), wrong, "remove it")


def _is_itself(real: RealServerSettings, key: VirtualServerKey) -> bool:
    return isinstance(key, ServiceAddress) and real.address == key.address and real.port in (-1, key.port)


def _refuse_keys(keys: tuple[VirtualServerKey, ...], path: KeyPath, report: Report) -> None:
    for key in keys:
        if isinstance(key, FirewallMark):
            report.add(path, f"a proxy cannot listen at {key}", "give it an address and a port, or use NAT")
        elif not key.port:
            report.add((*path, "port"), "a proxy cannot listen at every port", "use 1-65535")
        elif key.family is Family.IPV6 and key.address.is_link_local:
            wrong = f"{key.address} alone says on no interface where to listen"
            report.add((*path, "address"), wrong, "use an address that is not link-local")
