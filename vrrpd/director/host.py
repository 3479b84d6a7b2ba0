"""What virtual servers need of the host besides IPVS: settings of the kernel, and masqueraded clients."""

import logging
import time
from collections.abc import Set as AbstractSet

from vrrpd.config.model import Config
from vrrpd.config.services import DRAIN_TIMEOUT, NodeSettings
from vrrpd.director.belongings import Belongings
from vrrpd.director.masquerade import Masquerade, masqueraded
from vrrpd.director.node import Node, kernel_version, needed
from vrrpd.protocol.advert import IPAddress

log = logging.getLogger(__name__)


class HostPreparation:
    """Makes it so, and unmakes it; what was changed is written down before.

    Args:
        belongings: what an earlier life has changed, and where to write.
    """

    def __init__(self, belongings: Belongings) -> None:
        self._belongings = belongings
        self._node = Node(belongings.sysctls)
        self._masquerade = Masquerade()
        self._policy = NodeSettings.KEEP
        self._settings: dict[str, str] = {}
        self._to_hide: frozenset[IPAddress] = frozenset()
        """Virtual addresses the clients of which are to be masqueraded."""
        self._hidden: frozenset[IPAddress] = frozenset()
        """Those the clients of which are."""
        self._fading: dict[IPAddress, float] = {}
        """Those that are to be masqueraded no more, and until when they are, on `time.monotonic`."""
        self._due = False
        self.drift = 0
        """Settings that others had changed, and times that they had our rules in the firewall."""

    def want(self, config: Config) -> None:
        """This is the configuration now; nothing is done yet."""
        own = [vip.interface_address for instance in config.instances for vip in instance.virtual_ipaddress]
        self._policy = config.node_settings
        self._to_hide = masqueraded(config.virtual_servers, own)
        self._settings = needed(config.virtual_servers, kernel_version(), masquerades=bool(self._to_hide))
        self._due = True

    @property
    def missing(self) -> dict[str, str]:
        """Settings that are not as they should be, and why."""
        return {name.replace("/", "."): why for name, why in self._node.missing.items()}

    def prepare(self, in_use: AbstractSet[IPAddress]) -> None:
        """Have it so, if that is not done yet; the kernel must have IPVS, else it has no settings of it.

        The kernel translates a connection no more when its rule is gone, so rules go some time after they are needed.

        Args:
            in_use: addresses through which connections may still go on: their clients stay masqueraded.

        Raises:
            MasqueradeError: clients cannot be masqueraded.
        """
        now = time.monotonic()
        for address in self._hidden - self._to_hide:
            self._fading.setdefault(address, now + DRAIN_TIMEOUT)
        self._fading = {
            each: until for each, until in self._fading.items() if until > now and each not in self._to_hide
        }
        hidden = self._to_hide | (self._hidden & (in_use | self._fading.keys()))
        if self._due:
            self._due = False
            self._set()
        if hidden or self._belongings.masquerade:  # else the firewall is none of our business
            self._hidden = hidden
            self._hide()

    def _set(self) -> int:
        return self._node.want(self._settings, self._belongings.write, may_write=self._policy is not NodeSettings.OFF)

    def _hide(self) -> None:
        if not self._belongings.masquerade:
            self._belongings.masquerade = True
            self._belongings.write()
        self._masquerade.want(self._hidden)
        if not self._hidden:
            self._belongings.masquerade = False
            self._belongings.write()

    def resync(self) -> None:
        """Look whether others have changed it, mend that, and count it.

        Raises:
            MasqueradeError: clients cannot be masqueraded.
        """
        self.drift += self._set()
        if self._belongings.masquerade and self._masquerade.resync():
            self.drift += 1
            log.warning("somebody had changed our rules in the firewall; mended")

    def leave(self) -> None:
        """Remove our rules, and put the settings back if that was asked for.

        Raises:
            MasqueradeError: our rules stay; a later life will try again.
        """
        if self._policy is NodeSettings.RESTORE:
            self._node.restore()
        self._node.originals.clear()
        try:
            if self._belongings.masquerade:
                self._masquerade.close()
                self._belongings.masquerade = False
        finally:
            self._belongings.write()
