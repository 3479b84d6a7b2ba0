"""What all speakers are given to do."""

from typing import Final

from msgspec import Struct

VRID: Final = 51
ADDRESS: Final = {4: "192.0.2.100", 6: "2001:db8::100"}
MOST_ROUTERS: Final = 98
"""The client's address is the one after theirs, and before the virtual one."""
BEST, WORST = 200, 100
"""Priorities; the other routers are in between."""
PROBES: Final = {
    "icmp": ("vrrpd.lan.probe",),
    "udp": ("benchmarks.failover.transport", "udp"),
    "connect": ("benchmarks.failover.transport", "connect"),
    "flow": ("benchmarks.failover.transport", "flow"),
}
"""By name, the program of each."""
REFERENCE: Final = "icmp"
"""The probes that say who answers, and when all is well."""


class Setting(Struct, frozen=True):
    """What all speakers are given to do."""

    advert_int: float = 0.1
    """Seconds."""
    routers: int = 2
    family: int = 4
    probes: tuple[str, ...] = tuple(PROBES)
    probe_interval: float = 0.001
    """Seconds."""

    @property
    def address(self) -> str:
        """The virtual address."""
        return ADDRESS[self.family]

    @property
    def priorities(self) -> list[int]:
        """The routers', from the best to the worst."""
        steps = max(1, self.routers - 1)
        return [BEST - round(number * (BEST - WORST) / steps) for number in range(self.routers)]
