"""`vrrpd status`: what the running daemon is doing."""

import argparse
import json
import sys
import time
from typing import Any

from vrrpd.cli.daemon import add_daemon_arguments, control_socket
from vrrpd.supervisor.control import ControlError, result_of

EXAMPLE = "example: vrrpd status --watch"

EXIT_OK, EXIT_FAILED = 0, 1
WATCH_PAUSE = 1.0
_SERVER_COLUMNS = (
    f"{'VIRTUAL SERVER':<40}{'SCHED':<7}{'METHOD':<8}{'WEIGHT':<8}{'ACTIVE':<8}{'INACTIVE':<10}{'CONN/S':<8}HEALTH"
)
_CLEAR = "\x1b[2J\x1b[H"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own options."""
    add_daemon_arguments(parser)
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for machines")
    form.add_argument("--watch", action="store_true", help="again every second, until Ctrl-C")


def run(arguments: argparse.Namespace) -> int:
    """Ask once, or again and again, and print."""
    path = control_socket(arguments)
    try:
        while True:
            status = result_of(path, "status")
            if arguments.json:
                print(json.dumps(status, indent=2))
                return EXIT_OK
            print((_CLEAR if arguments.watch else "") + as_text(status), flush=True)
            if not arguments.watch:
                return EXIT_OK
            time.sleep(WATCH_PAUSE)
    except ControlError as error:
        print(error, file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_OK


def as_text(status: dict[str, Any]) -> str:
    """The status for people: a line a router, a line an address that is not where it should be."""
    count = len(status["routers"])
    lines = [
        f"vrrpd {status['version']}, up {status['uptime_seconds']:.0f} s, {count} virtual router{'s' * (count != 1)}",
        "",
        f"{'NAME':<16}{'INTERFACE':<12}{'VRID':<6}{'STATE':<8}{'PRIORITY':<10}{'MASTER':<36} {'VIPS':<9}SINCE",
    ]
    for router in status["routers"]:
        present = f"{sum(vip['present'] for vip in router['vips'])}/{len(router['vips'])}"
        master, since = router["master_address"] or "-", router["last_transition"] or "-"
        if router["master_priority"] is not None:
            master += f" ({router['master_priority']})"
        lines.append(
            f"{router['name']:<16}{router['interface']:<12}{router['virtual_router_id']:<6}{router['state']:<8}"
            f"{router['effective_priority']:<10}{master:<36} {present:<9}{since}"
        )
        lines += [f"    {router['reason']}"] if router["state"] in ("FAULT", "INIT") else []
        lines += ["    drained: it does not take over until `vrrpd undrain`"] if router["drained"] else []
        lines += [f"    handing over: {router['reason']}"] if router["yielding"] else []
        lines += [f"    {vip['address']}: {vip['error']}" for vip in router["vips"] if vip.get("error")]
        dropped = router["counters"]["adverts_dropped"]
        if dropped:
            lines.append("    dropped: " + ", ".join(f"{count} {reason}" for reason, count in dropped.items()))
    scripts = status.get("scripts", ())
    verbs = {None: "", False: " fails"}
    lines += [
        f"vrrp_script {each['name']}{verbs[each['works']]}: {each['reason']}" for each in scripts if not each["works"]
    ]
    for stranger in status.get("strangers", ()):
        lines.append(
            f"{stranger['interface']} ({stranger['family']}): {stranger['adverts_dropped']['vrid']} adverts of VRIDs "
            f"that are not configured there, the last of VRID {stranger['last_vrid']} from {stranger['last_source']}"
        )
    return "\n".join([*lines, *_virtual_servers(status), *_cluster(status)])


def _virtual_servers(status: dict[str, Any]) -> list[str]:
    """A line a virtual server, a line a real server."""
    servers = status["virtual_servers"]
    about = status.get("ipvs", {})
    lines = [f"virtual servers: {error}" for error in about.get("errors", ())]
    lines += [f"virtual servers: {name} {why}" for name, why in about.get("sysctls_missing", {}).items()]
    lines += [f"virtual servers: the kernel refuses {refused}" for refused in about.get("refused", ())]
    if servers:
        lines += ["", _SERVER_COLUMNS]
    for server in servers:
        absent = "not listening" if server["lvs_method"] == "PROXY" else "not in the kernel"
        health = [] if server["programmed"] else [absent]
        health += [] if server["quorum"] else ["no quorum"]
        rate = server["connections_per_second"]
        which = f"{server['key']:<40}{server['lvs_sched']:<7}{server['lvs_method']:<32}"
        lines.append(f"{which}{rate:<8}{', '.join(health)}".rstrip())
        lines += [_real_server(real) for real in server["real_servers"]]
    return lines


def _cluster(status: dict[str, Any]) -> list[str]:
    """Of an agent: what it follows, and what is wrong with it."""
    cluster = status.get("kubernetes")
    if cluster is None:
        return []
    lines = [""]
    if "config_map" in cluster:
        where = f"node {cluster['node'] or 'not known yet'}, interface {cluster['interface'] or 'not known yet'}"
        lines += [f"ConfigMap {cluster['config_map']}, {where}"]
        resources = cluster["resources"]
        lines += [f"    {each['reason']}; for {each['failing_seconds']} s" for each in resources if each["reason"]]
        lines += [f"    passed over: {wrong}" for each in resources for wrong in each["unreadable"]]
    return lines + [f"    {problem}" for problem in cluster["problems"]]


def _real_server(real: dict[str, Any]) -> str:
    health = {True: "well", False: "FAILS: ", None: "sorry server"}[real["healthy"]] + real.get("reason", "")
    health = "leaving" if real.get("draining") else health
    address = f"[{real['address']}]" if ":" in real["address"] else real["address"]
    where = f"  {address}:{real['port']}"
    return (
        f"{where:<47}{real['lvs_method']:<8}{real['weight']:<8}{real['active_connections']:<8}"
        f"{real['inactive_connections']:<10}{real['connections_per_second']:<8}{health}"
    )
