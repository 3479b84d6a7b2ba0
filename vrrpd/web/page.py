"""The status as a page for people. It is made anew with each request, and asks for itself again every few seconds."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

from vrrpd.web.judgement import hindrances

JSON = dict[str, Any]

_REFRESH: Final = 5
"""Seconds."""
_REAL_SERVERS_SHOWN: Final = 20
"""Of one virtual server."""
_STYLE: Final = """
body { font: 1rem/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } caption { font-weight: 600; text-align: left; padding: .5rem 0 }
th, td { border-bottom: 1px solid #8888; padding: .3rem .6rem; text-align: left; vertical-align: top }
.wrong { border-left: .4rem solid #b00; padding-left: .6rem } :root { color-scheme: light dark }
"""


def page(status: JSON) -> str:
    """One page of HTML without anything from elsewhere.

    Args:
        status: as of `vrrpd status --json`.
    """
    problems = [*hindrances(status), *status.get("ipvs", {}).get("errors", ())]
    scripts = status.get("scripts", ())
    problems += [f"vrrp_script {each['name']}: {each['reason']}" for each in scripts if each["works"] is False]
    problems += status.get("kubernetes", {}).get("problems", ())
    parts = [
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>vrrpd</title>',
        f'<meta http-equiv="refresh" content="{_REFRESH}"><meta name="viewport" content="width=device-width">',
        f"<style>{_STYLE}</style><h1>vrrpd {escape(status['version'])}</h1>",
        _about(status),
        *(f"<p class=wrong>{escape(problem)}</p>" for problem in problems),
        _table(
            "Virtual routers",
            ("name", "VRID", "state", "since", "priority", "master", "addresses"),
            map(_router, status["routers"]),
        ),
    ]
    if status["virtual_servers"]:
        titles = ("address", "method", "scheduler", "active", "real servers")
        parts.append(_table("Virtual servers", titles, map(_server, status["virtual_servers"])))
    return "\n".join(parts)


def _about(status: JSON) -> str:
    drained = "drained; " if status["drained"] else ""
    links = "<a href=status?format=json>JSON</a>, <a href=metrics>metrics</a>"
    return f"<p>{drained}up for {status['uptime_seconds']:.0f} s; {escape(status['configuration'])}; {links}</p>"


def _router(router: JSON) -> Sequence[str]:
    addresses = [vip["address"] + (" here" if vip["present"] else "") for vip in router["vips"]]
    return (
        f"{router['name']} on {router['interface']}",
        f"{router['virtual_router_id']} {router['family']}",
        router["state"],
        router["last_transition"] or "",
        str(router["effective_priority"]),
        router["master_address"] or "",
        ", ".join(addresses),
    )


def _server(server: JSON) -> Sequence[str]:
    reals = server["real_servers"]
    shown = [f"{real['address']} port {real['port']} weight {real['weight']}{_how(real)}" for real in reals]
    more = [f"and {len(shown) - _REAL_SERVERS_SHOWN} more"] if len(shown) > _REAL_SERVERS_SHOWN else []
    active = sum(real["active_connections"] for real in reals)
    listed = ", ".join([*shown[:_REAL_SERVERS_SHOWN], *more])
    return server["key"], server["lvs_method"], server["lvs_sched"], str(active), listed


def _how(real: JSON) -> str:
    if real.get("draining"):
        return " (leaving)"
    return f" (fails: {real.get('reason', '')})" if real["healthy"] is False else ""


def _table(caption: str, titles: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th scope=col>{escape(title)}" for title in titles)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}" for cell in row) for row in rows)
    return f"<table><caption>{escape(caption)}</caption><tr>{head}{body}</table>"
