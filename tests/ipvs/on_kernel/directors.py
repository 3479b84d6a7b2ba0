"""Daemons with virtual servers on hosts of a LAN, and what the kernel has of them."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

from tests.peers import ADVERT_INT, DEADLINE
from vrrpd.ipvs.kernel import Ipvs
from vrrpd.ipvs.model import ServiceAddress, Table
from vrrpd.lan.daemons import MASTER, RouterSettings, Vrrpd
from vrrpd.lan.hosts import Host, Lan

VIP, VIP6 = "192.0.2.100", "2001:db8::100"
REALS = ("198.51.100.11", "198.51.100.12")


def virtual_server(address: str = VIP, port: int = 80, *lines: str, reals: tuple[str, ...] = REALS, **keys: Any) -> str:
    """A `[[virtual_server]]` with the keys, further lines, and a real server at each of the addresses."""
    text = ["[[virtual_server]]", f"address = {json.dumps(address)}", f"port = {port}"]
    text += [f"{name} = {json.dumps(value)}" for name, value in keys.items()]
    text += lines
    for real in reals:
        text += ["[[virtual_server.real_server]]", f"address = {json.dumps(real)}"]
    return "\n".join(text)


class Director(Vrrpd):
    """A vrrpd whose file ends with virtual servers."""

    servers: tuple[str, ...] = ()

    def write_configuration(self) -> None:
        super().write_configuration()
        with self.configuration.open("a", encoding="utf-8") as file:
            file.write("\n".join(self.servers) + "\n")

    def run_with(self, *servers: str) -> None:
        """Start with these, and wait until the kernel may have them."""
        self.servers = servers
        self.start()
        deadline = time.monotonic() + DEADLINE
        while not self.directs:
            assert time.monotonic() < deadline, self.log
            time.sleep(0.05)

    def reload_with(self, *servers: str) -> dict[str, Any]:
        """Apply these in place of the others; returns what the reload says."""
        self.servers = servers
        self.write_configuration()
        return self.ask("reload")

    @property
    def directs(self) -> bool:
        """Whether the director answers."""
        return bool(self.state()) and "ipvs" in self.status()

    def table(self) -> Table:
        """What the kernel of its host has."""
        kernel = self.host.call(Ipvs)
        try:
            return kernel.table()
        finally:
            kernel.close()

    def weights(self, port: int = 80, address: str = VIP) -> dict[str, int] | None:
        """Of the real servers, by address, as the kernel has them; None: no such virtual server."""
        for key, server in self.table().items():
            if isinstance(key, ServiceAddress) and (str(key.address), key.port) == (address, port):
                return {str(real.address): entry.weight for real, entry in server.real_servers.items()}
        return None

    def entry(self, port: int = 80) -> dict[str, Any]:
        """Its entry in the status."""
        found: dict[str, Any] = next(each for each in self.status()["virtual_servers"] if each["port"] == port)
        return found

    def ipvsadm(self, *arguments: str) -> None:
        """As an administrator would."""
        assert self.host.popen(["ipvsadm", *arguments]).wait(DEADLINE) == 0

    def sysctl_value(self, name: str) -> str:
        """A setting of its host's kernel."""
        path = f"/proc/sys/{name.replace('.', '/')}"
        with self.host.popen(["cat", path], stdout=subprocess.PIPE) as shown:
            return str(shown.communicate()[0], "ascii").strip()


def director(
    lan: Lan, host: Host | str, directory: Path, *addresses: str, priority: int = 100, **changes: Any
) -> Director:
    """A daemon that is not started; with addresses, it has an instance that holds them."""
    where = lan.host(host) if isinstance(host, str) else host
    settings = {"advert_int": ADVERT_INT, "priority": priority} | changes
    routers = [RouterSettings(51, addresses or (f"{VIP}/32",), **settings)]
    return Director(where, directory / where.name, routers)


def wait_for_master(daemon: Director) -> None:
    """Until it holds its addresses."""
    daemon.wait_until(MASTER, DEADLINE)
