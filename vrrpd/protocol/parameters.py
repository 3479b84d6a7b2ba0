"""What the configuration says about one virtual router."""

from msgspec import Struct

from vrrpd.protocol.advert import Family, IPAddress
from vrrpd.protocol.timing import PRIORITY_DEFAULT, PRIORITY_OWNER, Centiseconds


class Parameters(Struct, frozen=True):
    """The parameters per virtual router of RFC 9568 section 6.1, and those that operators add.

    Raises:
        ValueError: a value that no router can work with.
    """

    virtual_router_id: int
    addresses: tuple[IPAddress, ...]
    """The virtual addresses, all of one family. For IPv6 the first is link-local (section 5.2.9)."""
    priority: int = PRIORITY_DEFAULT
    advertisement_interval: Centiseconds = Centiseconds(100)
    preempt: bool = True
    """Whether a master of lower priority is preempted. An owner always does (section 6.1)."""
    preempt_delay: Centiseconds = Centiseconds(0)
    """How long a master of lower priority is tolerated before it is preempted."""
    recovery_delay: Centiseconds = Centiseconds(0)
    """How long a link must have been up again before the router takes part (debounce)."""
    hitless: bool = True
    """Whether a master keeps answering until its successor does. False: the letter of the RFC."""

    def __post_init__(self) -> None:
        if not 1 <= self.priority <= PRIORITY_OWNER:
            raise ValueError(f"priority is {self.priority}; it must be 1-255")
        if self.priority == PRIORITY_OWNER and not self.preempt:
            raise ValueError("the owner of the addresses (priority 255) preempts always")
        if not self.addresses:
            raise ValueError("a virtual router needs at least one address")

    @property
    def family(self) -> Family:
        """The family of the virtual addresses."""
        return Family.of(self.addresses[0])
