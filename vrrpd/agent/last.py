"""The last configuration, kept beside the control socket for a start at which no API server answers.

It counts for the same settings only: with others it would be another virtual router. It is TOML, as `vrrpd show` prints
it, below a line that says what it is of.
"""

import contextlib
import logging
from hashlib import blake2b
from pathlib import Path

from msgspec.structs import replace

from vrrpd.agent.settings import Settings
from vrrpd.config.load import parse
from vrrpd.config.model import Config
from vrrpd.config.problems import ConfigError

log = logging.getLogger(__name__)


def recall(settings: Settings) -> Config | None:
    """The last configuration that was made by these settings; None: there is none, or none that can be read."""
    path = place(settings)
    try:
        heading, _, text = path.read_text(encoding="utf-8").partition("\n")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeError) as error:
        log.warning("%s: cannot be read, so that the API server has to say everything: %s", path, error)
        return None
    if heading != _heading(settings):
        return None
    try:
        config = parse(text, str(path))
    except ConfigError as error:
        log.warning("passed over what an earlier life has left:\n%s", error)
        return None
    return replace(settings.base, instances=config.instances, virtual_servers=config.virtual_servers)


def remember(config: Config, settings: Settings) -> None:
    """Keep it for another life.

    Raises:
        OSError: it cannot be written.
    """
    from vrrpd.config.toml import as_toml  # noqa: PLC0415

    path = place(settings)
    if not config.instances:
        path.unlink(missing_ok=True)
        return
    new = path.with_name(f"{path.name}.new")
    try:
        new.write_text(f"{_heading(settings)}\n{as_toml(config)}", encoding="utf-8")
        new.chmod(0o600)
        new.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink(missing_ok=True)
        raise


def place(settings: Settings) -> Path:
    """Where it is."""
    socket = settings.base.control_socket
    return socket.with_name(f"{socket.name}.toml")


def _heading(settings: Settings) -> str:
    """Another pod of the same node goes on with it."""
    digest = blake2b(repr(replace(settings, pod=None)).encode(), digest_size=8).hexdigest()
    return f"# {settings}, made with the settings {digest}"
