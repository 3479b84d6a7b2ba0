"""The virtual servers that our proxy serves, as the director knows them: what it is told, and what it says."""

from collections.abc import Callable, Mapping

from vrrpd.channel import Proxied, SetProxied
from vrrpd.ipvs.model import Activity, RealServerKey, ServiceActivity, Table, VirtualServer, VirtualServerKey


class Proxying:
    """The proxy, which runs where there is something for it.

    Args:
        tell: takes what it is to be told.
    """

    def __init__(self, tell: Callable[[SetProxied], None]) -> None:
        self.table: Table = {}
        """What it was told last, maybe by an earlier director."""
        self._tell = tell
        self._told = False
        """Whether that was by us: it says then how all of it goes."""
        self._activity: dict[VirtualServerKey, ServiceActivity] = {}
        self._errors: Mapping[VirtualServerKey, str] = {}

    def take(self, wanted: dict[VirtualServerKey, VirtualServer]) -> dict[VirtualServerKey, VirtualServer]:
        """Have the proxy serve its part of what is wanted; returns the rest, which is the kernel's."""
        table = {key: server for key, server in wanted.items() if server.proxy_protocol}
        if table != self.table or (table and not self._told):
            self.table, self._told = table, True
            self._activity = {key: seen for key, seen in self._activity.items() if key in table}
            self._tell(SetProxied(table))
        return {key: server for key, server in wanted.items() if key not in table} if table else wanted

    def hear(self, news: Proxied) -> None:
        """It says how things are."""
        self._activity.update((key, seen) for key, seen in news.activity.items() if key in self.table)
        self._errors = news.errors

    @property
    def activity(self) -> dict[VirtualServerKey, ServiceActivity]:
        """What it does, where it listens."""
        return {key: seen for key, seen in self._activity.items() if key not in self._errors}

    def activity_of(self, key: VirtualServerKey) -> Mapping[RealServerKey, Activity]:
        """What it does for each real server of a virtual server."""
        return self._activity[key].real_servers if key in self._activity else {}

    @property
    def errors(self) -> list[str]:
        """Why it does not listen where it should."""
        return [why for key, why in self._errors.items() if key in self.table]
