"""Who is compared, and what all measurements give both of them to do."""

from typing import Final

from benchmarks.figures import Figure, Samples
from benchmarks.peers import Daemon, Keepalived, Vrrpd

KINDS: Final[tuple[type[Daemon], ...]] = (Vrrpd, Keepalived)
VRID: Final = 51
MASTER_PRIORITY: Final = 200
BACKUP_PRIORITY: Final = 100
OWNER_PRIORITY: Final = 255
STATE_TIMEOUT: Final = 20.0
"""Seconds after which a daemon that is not in the expected state never will be."""


def virtual_addresses(count: int) -> tuple[str, ...]:
    """That many addresses for one router."""
    return tuple(f"203.0.113.{number}/32" for number in range(1, count + 1))


def samples_of(figure: Figure, kind: type[Daemon]) -> Samples:
    """Where a run of that daemon belongs."""
    return figure.vrrpd if kind is Vrrpd else figure.keepalived
