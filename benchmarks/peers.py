"""The daemons that are compared, on hosts of a LAN: vrrpd, keepalived 2.2 and FRR 8.4.

They differ in what they need around them, and that is written down here once: keepalived must not log through syslog,
FRR wants a macvlan of its own for each virtual router and family.
"""

import json
import os
import signal
import time
from typing import Any, ClassVar, Final

from vrrpd.lan.daemons import BACKUP, MASTER, Daemon, RouterSettings, Vrrpd

__all__ = ["BACKUP", "MASTER", "Daemon", "Frr", "Keepalived", "RouterSettings", "Vrrpd"]

_POLL: Final = 0.005
_START_TIMEOUT: Final = 20.0


class Keepalived(Daemon):
    """keepalived 2.2."""

    name = "keepalived"
    needs: ClassVar[dict[str, str]] = {"keepalived": "apt-get install keepalived"}

    def write_configuration(self) -> None:
        """Part of `Daemon`."""
        lines = [f"global_defs {{ router_id {self.host.name} }}"]
        for router in self.routers:
            lines += [
                f"vrrp_instance {router.name} {{",
                f"version {router.version}",
                "state BACKUP",
                f"interface {router.interface}",
                f"virtual_router_id {router.virtual_router_id}",
                f"priority {router.priority}",
                f"advert_int {router.advert_int}",
                *([] if router.preempt else ["nopreempt"]),
                *router.extra,
                "virtual_ipaddress {",
                *(f"{address} dev {router.interface}" for address in router.advertised),
                "}",
                "}",
            ]
        (self.directory / "keepalived.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")

    def start(self) -> None:
        """Part of `Daemon`."""
        self.write_configuration()
        pid_files = {"--pid": "keepalived.pid", "--vrrp_pid": "vrrp.pid", "--checkers_pid": "checkers.pid"}
        self._popen(
            [
                *("keepalived", "--vrrp", "--dont-fork", "--log-console", "--log-detail", "--no-syslog"),
                *("--use-file", str(self.directory / "keepalived.conf")),
                *(word for option, file in pid_files.items() for word in (option, str(self.directory / file))),
            ],
            # SIGUSR1 and SIGUSR2 write there.
            env=os.environ | {"TMPDIR": str(self.directory)},
        )

    def state(self, router: RouterSettings | None = None) -> str:
        """Part of `Daemon`: what it logged last, since asking would disturb it."""
        name = (router or self.routers[0]).name
        _, found, after = self.log.rpartition(f"({name}) Entering ")
        return after.split(maxsplit=1)[0] if found else ""

    def statistics(self, router: RouterSettings | None = None) -> dict[str, int]:
        """Its counters, with keepalived's own words for them, such as `Packet Errors: Checksum`.

        Raises:
            TimeoutError: it did not write them.
        """
        file = self.directory / "keepalived.stats"
        file.unlink(missing_ok=True)
        process = int((self.directory / "vrrp.pid").read_text(encoding="ascii"))
        os.kill(process, signal.SIGUSR2)
        name = (router or self.routers[0]).name
        deadline = time.monotonic() + _START_TIMEOUT
        while time.monotonic() < deadline:
            if file.exists() and (found := _statistics_in(file.read_text(encoding="utf-8"), name)):
                return found
            time.sleep(_POLL)
        raise TimeoutError(f"keepalived wrote no statistics of {name} to {file}\n{self.log}")


def _statistics_in(text: str, name: str) -> dict[str, int]:
    """The counters below `VRRP Instance: name`, headings joined to their lines; empty while the last is missing."""
    found: dict[str, int] = {}
    current = heading = ""
    for line in text.splitlines():
        key, _, value = line.strip().partition(":")
        if key == "VRRP Instance":
            current = value.strip()
        elif current == name and value.strip().isdigit():
            found[f"{heading}: {key}" if heading else key] = int(value)
        elif current == name:
            heading = key
    return found if any(key.startswith("Priority Zero") and key.endswith("Sent") for key in found) else {}


class Frr(Daemon):
    """FRR 8.4: zebra and vrrpd."""

    name = "frr"
    needs: ClassVar[dict[str, str]] = {
        "/usr/lib/frr/zebra": "apt-get install frr",
        "/usr/lib/frr/vrrpd": "apt-get install frr",
        "vtysh": "apt-get install frr",
    }

    def write_configuration(self) -> None:
        """Part of `Daemon`."""
        lines = []
        for router in self.routers:
            vrrp = f" vrrp {router.virtual_router_id}"
            lines += [
                f"interface {router.interface}",
                f"{vrrp} version {router.version}",
                f"{vrrp} priority {router.priority}",
                f"{vrrp} advertisement-interval {round(router.advert_int * 1000)}",
                f"{vrrp} preempt" if router.preempt else f" no{vrrp} preempt",
                *(f"{vrrp} ip{'v6' if address.version == 6 else ''} {address.ip}" for address in router.advertised),
                *router.extra,
                "exit",
            ]
        (self.directory / "vrrpd.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (self.directory / "zebra.conf").write_text("", encoding="utf-8")

    def start(self) -> None:
        """Part of `Daemon`. The macvlans stay when it stops, as on a real machine."""
        for router in self.routers:
            self._make_macvlan(router)
        self.write_configuration()
        for program in ("zebra", "vrrpd"):
            (self.directory / f"{program}.vty").unlink(missing_ok=True)
            self._popen(
                [
                    *(f"/usr/lib/frr/{program}", "-u", "root", "-g", "frrvty", "-P", "0", "--log", "stdout"),
                    *("-f", str(self.directory / f"{program}.conf"), "-i", str(self.directory / f"{program}.pid")),
                    *("-z", str(self.directory / "zserv.api"), "--vty_socket", str(self.directory)),
                ]
            )
            self._wait_for(self.directory / f"{program}.vty")

    def show(self, command: str) -> Any:
        """The JSON that vtysh prints; None while vrrpd does not answer."""
        argv = ["vtysh", "--vty_socket", str(self.directory), "-d", "vrrpd", "-c", command]
        answer = self.host.run(argv, check=False)
        try:
            return json.loads(answer.stdout)
        except ValueError:
            return None

    def router_status(self, router: RouterSettings | None = None) -> dict[str, Any]:
        """The router's part of `show vrrp json`, of its family; empty while there is none."""
        wanted = router or self.routers[0]
        for entry in self.show("show vrrp json") or []:
            if (entry["vrid"], entry["interface"]) == (wanted.virtual_router_id, wanted.interface):
                status: dict[str, Any] = entry[f"v{wanted.family}"]
                return status
        return {}

    def state(self, router: RouterSettings | None = None) -> str:
        """Part of `Daemon`."""
        word: str = self.router_status(router).get("status", "")
        return {"Master": MASTER, "Backup": BACKUP}.get(word, word)

    def _make_macvlan(self, router: RouterSettings) -> None:
        host, base, vrid = self.host, router.interface, router.virtual_router_id
        name = f"vr{router.family}-{host.index(base)}-{vrid}"
        if host.netlink("link_lookup", ifname=name):
            return
        for scope in ("all", base):
            # Else eth0 answers for addresses of the macvlan, and speaks in their name.
            host.sysctl(f"net.ipv4.conf.{scope}.arp_ignore", 1)
            host.sysctl(f"net.ipv4.conf.{scope}.arp_announce", 2)
        mac = f"00:00:5e:00:0{1 if router.family == 4 else 2}:{vrid:02x}"
        host.netlink("link", "add", ifname=name, kind="macvlan", link=host.index(base), macvlan_mode="bridge")
        host.set_link(name, address=mac)
        # An EUI-64 link-local would be the same on every router of the VRID.
        host.sysctl(f"net/ipv6/conf/{name}/addr_gen_mode", 3)
        for address in router.advertised:
            # FRR sends from the first link-local address that it finds there, which must not be the one that moves.
            if not address.is_link_local:
                host.add_address(str(address), name)
        host.set_link(name, state="up")
