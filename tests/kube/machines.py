"""Nodes that are machines of their own, with a kernel that has IPVS: User-Mode Linux, plugged into the LAN by a tap."""

import os
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.ipvs import uml
from tests.ipvs.inside import PROJECT
from vrrpd.lan.hosts import BRIDGE, Lan

_MEMORY: Final = "512M"
_NETWORK: Final = """
ip link set lo up
ip link set vec0 name eth0
ip link set eth0 address {mac} up
for address in {addresses}; do ip address add $address dev eth0 nodad; done
cd {directory}
exec env {environment} {command}
"""


class Machine:
    """One that is switched on, and what it says.

    Args:
        lan: where its eth0 is.
        name: 10 characters at most.
        command: what it runs, as its first process.
        directory: an existing one, for its first script and its log.
        environment: of the command.
    """

    def __init__(
        self, lan: Lan, name: str, command: Sequence[str], directory: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        number = lan.take_number()
        self.mac = lan.mac_address(number)
        self.addresses = lan.addresses_of(number)
        self._log = directory / f"{name}.log"
        init = directory / f"{name}.init"
        network = _NETWORK.format(
            mac=self.mac,
            addresses=" ".join(self.addresses),
            directory=shlex.quote(str(PROJECT)),
            environment=" ".join(f"{key}={shlex.quote(value)}" for key, value in environment.items()),
            command=shlex.join(command),
        )
        init.write_text(uml.PREPARATION + network, encoding="utf-8")
        init.chmod(0o755)
        tap = f"tap-{name}"
        lan.switch.netlink("link", "add", ifname=tap, kind="tuntap", mode="tap")
        lan.switch.set_link(tap, master=lan.switch.index(BRIDGE), state="up")
        with self._log.open("wb") as log:
            self._process: subprocess.Popen[bytes] = lan.switch.namespace.popen(
                uml.command_line(init, f"vec0:transport=tap,ifname={tap},depth=128", memory=_MEMORY),
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": "/dev/shm"},
            )

    @property
    def log(self) -> str:
        """What it has printed so far."""
        return self._log.read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """Cut its power."""
        self._process.kill()
        self._process.wait()


def agent_command(config_map: str, kubeconfig: Path, *flags: str) -> list[str]:
    """`vrrpd agent`, which logs to the machine's console."""
    program = [sys.executable, "-B", "-m", "vrrpd", "agent"]
    return [*program, f"--services-configmap={config_map}", f"--kubeconfig={kubeconfig}", *flags]
