"""A configuration that can be handed on without a look at its virtual servers.

There may be thousands, and a process that has them among its objects is busy for a second when it reads them, and forks
slowly ever after. Who hands them on has them as bytes.
"""

import pickle
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from vrrpd.config.model import Config


class SealedConfig(Struct, frozen=True):
    """What `seal` makes of a `Config`."""

    speakers: Config
    """Without virtual servers."""
    services: bytes
    """These."""
    hashes: Mapping[str, int]
    """Of each virtual server by its name, to see which is other than it was. Only processes that were forked from one
    hash alike."""

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

    def opened(self) -> Config:
        """The whole configuration; some hundred milliseconds for 50,000 real servers."""
        if not self.hashes:
            return self.speakers
        return replace(self.speakers, virtual_servers=pickle.loads(self.services))  # noqa: S301 - what `seal` made


def seal(config: Config) -> SealedConfig:
    """The same, sealed."""
    return SealedConfig(
        replace(config, virtual_servers=()),
        pickle.dumps(config.virtual_servers, pickle.HIGHEST_PROTOCOL),
        {server.name: hash(server) for server in config.virtual_servers},
    )
