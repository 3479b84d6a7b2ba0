"""The daemons that are compared, on hosts of a LAN: vrrpd, keepalived 2.2 and FRR 8.4.

They differ in what they need around them, and that is written down here once: keepalived must not log through syslog,
FRR wants a macvlan of its own for each virtual router and family.
"""

import json
import os
import re
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

    def adverts_received(self, router: RouterSettings | None = None) -> int:
        """Adverts that it has accepted."""
        return self.statistics(router)["Advertisements: Received"]

    def objections(self, router: RouterSettings | None = None) -> list[str]:
        """What it found wrong with packets that it received, from its error counters."""
        return [key for key, count in self.statistics(router).items() if "Errors" in key and count]

    def learned_interval(self, router: RouterSettings | None = None) -> float | None:
        """Seconds between adverts of the master as it was told last, if that is not its own `advert_int`."""
        name = re.escape((router or self.routers[0]).name)
        told = re.findall(rf"\({name}\) advertisement interval updated from \d+ms to (\d+)ms by master", self.log)
        return int(told[-1]) / 1000 if told else None

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
        (self.directory / "vrrpd.conf").write_text("\n".join(self._lines()) + "\n", encoding="utf-8")
        (self.directory / "zebra.conf").write_text("", encoding="utf-8")

    def _lines(self) -> list[str]:
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
        return lines

    def reload(self) -> None:
        """Part of `Daemon`: by vtysh, since its vrrpd does nothing on SIGHUP. What is there no longer stays."""
        self.write_configuration()
        commands = [word for line in ("configure terminal", *self._lines()) for word in ("-c", line.strip())]
        self.host.run(["vtysh", "--vty_socket", str(self.directory), "-d", "vrrpd", *commands])

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

    def mac(self, router: RouterSettings | None = None) -> str:
        """Part of `Daemon`: the virtual MAC."""
        wanted = router or self.routers[0]
        return f"00:00:5e:00:0{1 if wanted.family == 4 else 2}:{wanted.virtual_router_id:02x}"

    def adverts_received(self, router: RouterSettings | None = None) -> int:
        """Adverts that it has accepted; 0 while it does not answer."""
        return int(self.router_status(router).get("stats", {}).get("adverRx", 0))

    def objections(self, router: RouterSettings | None = None) -> list[str]:
        """What it found wrong with packets that it received; it has no counters for that, but logs each."""
        vrid = (router or self.routers[0]).virtual_router_id
        return [line for line in self.log.splitlines() if f"[VRID {vrid}]" in line and "Datagram invalid" in line]

    def learned_interval(self, router: RouterSettings | None = None) -> float | None:
        """Seconds between adverts of the master as it was told last; None while it does not answer."""
        found = self.router_status(router).get("masterAdverInterval")
        return found and found / 1000

    def macvlan(self, router: RouterSettings | None = None) -> str:
        """The interface that carries the router's addresses."""
        wanted = router or self.routers[0]
        return f"vr{wanted.family}-{self.host.index(wanted.interface)}-{wanted.virtual_router_id}"

    def _make_macvlan(self, router: RouterSettings) -> None:
        host, base = self.host, router.interface
        name = self.macvlan(router)
        if host.netlink("link_lookup", ifname=name):
            return
        for scope in ("all", base):
            # Else eth0 answers for addresses of the macvlan, and speaks in their name.
            host.sysctl(f"net.ipv4.conf.{scope}.arp_ignore", 1)
            host.sysctl(f"net.ipv4.conf.{scope}.arp_announce", 2)
        host.netlink("link", "add", ifname=name, kind="macvlan", link=host.index(base), macvlan_mode="bridge")
        host.set_link(name, address=self.mac(router))
        # An EUI-64 link-local would be the same on every router of the VRID.
        host.sysctl(f"net/ipv6/conf/{name}/addr_gen_mode", 3)
        for address in router.advertised:
            # FRR sends from the first link-local address that it finds there, which must not be the one that moves.
            if not address.is_link_local:
                host.add_address(str(address), name)
        host.set_link(name, state="up")
