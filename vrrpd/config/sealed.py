"""A configuration that can be handed on without a look at its virtual servers.

There may be thousands, and a process that has them among its objects is busy for a second when it reads them, and forks
slowly ever after. Who hands them on has each as bytes, and hands on only those that are other than they were.
"""

import pickle
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.config.model import Config
from vrrpd.config.services import Masquerade, VirtualServerSettings
from vrrpd.ipvs.model import VirtualServerKey

_NONE: Mapping[str, VirtualServerSettings] = MappingProxyType({})


class SealedServer(Struct, frozen=True, gc=False):
    """A virtual server."""

    digest: int
    """To see whether it is other than it was. Only processes that were forked from one hash alike."""
    settings: bytes
    """Its `VirtualServerSettings`."""
    keys: tuple[VirtualServerKey, ...]
    """As there: no other may have them."""
    masquerade: Masquerade
    """As there: no other of the same address may have it otherwise."""
    block: int | None = None
    """The hash of what the file says of it; see `vrrpd.config.by_blocks`."""

    def opened(self) -> VirtualServerSettings:
        """What it says."""
        found: VirtualServerSettings = pickle.loads(self.settings)  # noqa: S301 - what `seal_server` made
        return found


class SealedConfig(Struct, frozen=True):
    """A whole configuration, or what is other than in an earlier one."""

    speakers: Config
    """Without virtual servers."""
    servers: Mapping[str, SealedServer | None]
    """By their names, in their order. None: as it was."""
    rest: int | None = None
    """The hash of what the file says beside virtual servers; None: it was not read by blocks."""

    @property
    def spoken(self) -> Config:
        """What of it means something to a speaker."""
        nothing = Config(())
        return replace(
            self.speakers,
            http=nothing.http,
            node_settings=nothing.node_settings,
            resync_interval=nothing.resync_interval,
            scripts=nothing.scripts,
        )

    @property
    def digests(self) -> dict[str, int]:
        """Of the virtual servers of a whole configuration."""
        return {name: each.digest for name, each in self.servers.items() if each}

    def since(self, before: "SealedConfig") -> "SealedConfig":
        """What is other than in `before`."""
        old = before.servers
        return replace(
            self, servers={name: None if old.get(name) == each else each for name, each in self.servers.items()}
        )

    def upon(self, before: "SealedConfig") -> "SealedConfig":
        """The whole again."""
        old = before.servers
        return replace(self, servers={name: each or old[name] for name, each in self.servers.items()})

    def opened(self, before: Mapping[str, VirtualServerSettings] = _NONE) -> Config:
        """The whole configuration; some hundred milliseconds for 50,000 real servers.

        Args:
            before: virtual servers by their names, where this says only what is other than it was.
        """
        opened = tuple(each.opened() if each else before[name] for name, each in self.servers.items())
        return replace(self.speakers, virtual_servers=opened)


def seal(config: Config) -> SealedConfig:
    """The same, sealed."""
    return SealedConfig(
        replace(config, virtual_servers=()), {each.name: seal_server(each) for each in config.virtual_servers}
    )


def seal_server(server: VirtualServerSettings, block: int | None = None) -> SealedServer:
    """A virtual server, sealed, and the hash of what the file says of it, if that is known."""
    settings = pickle.dumps(server, pickle.HIGHEST_PROTOCOL)
    return SealedServer(hash(server), settings, server.keys, server.masquerade, block)
