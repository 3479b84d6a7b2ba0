"""What of a status is wrong enough to say so to who asks whether all is well."""

from collections.abc import Iterator
from typing import Any

JSON = dict[str, Any]


def mismatches(status: JSON) -> Iterator[str]:
    """Where the addresses on the interfaces and the state disagree: what `/health` of kube-keepalived-vip is about.

    Args:
        status: as of `vrrpd status --json`.
    """
    for router in status["routers"]:
        master = router["state"] == "MASTER"
        for vip in router["vips"]:
            if vip["hosts_own"] or vip["present"] == master:
                continue
            what = "is not on" if master else "is still on"
            yield f"{router['name']}: {router['state']}, and {vip['address']} {what} {vip['dev']}"


def hindrances(status: JSON) -> Iterator[str]:
    """Why this host could not serve, or take over, now."""
    yield from mismatches(status)
    for router in status["routers"]:
        if router["state"] in ("FAULT", "INIT"):
            yield f"{router['name']}: {router['state']}: {router['reason']}"
    kubernetes = status.get("kubernetes")
    if kubernetes and not status["routers"] and not kubernetes.get("configured"):
        # Else all of a rolling update would be ready, and hold no address.
        resources = kubernetes.get("resources", ())
        unread = (f"{each['resource']}: not read yet: {each['reason']}" for each in resources if not each["listed"])
        yield from kubernetes["problems"] or [each.removesuffix(": ") for each in unread] or ["nothing was read yet"]
