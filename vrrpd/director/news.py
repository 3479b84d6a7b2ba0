"""What becomes of virtual servers, for the log and for the programs that are to be told."""

import logging
from collections.abc import Iterable

from vrrpd.config.services import RealServerSettings
from vrrpd.director.notify import Notifier
from vrrpd.director.service import Service

log = logging.getLogger(__name__)


def real_server_changed(notifier: Notifier, name: str, real: RealServerSettings, reasons: Iterable[str] | None) -> None:
    """It fails for these reasons; None: it is well."""
    where = f"{name}: {real.address} port {real.port}"
    if reasons is None:
        log.info("%s is well", where)
        notifier.tell(name, real.notify_up)
    else:
        what = "gets weight 0" if real.inhibit_on_failure else "is taken out"
        log.warning("%s fails and %s: %s", where, what, "; ".join(reasons))
        notifier.tell(name, real.notify_down)


def quorum_changed(notifier: Notifier, service: Service) -> None:
    """It is gained, or lost."""
    settings = service.settings
    if service.has_quorum:
        log.info("%s: the quorum is gained, weight %d", settings.name, service.weight)
        notifier.tell(settings.name, settings.quorum_up)
    else:
        instead = f"; {settings.sorry_server.address} serves instead" if settings.sorry_server else ""
        log.warning(
            "%s: the quorum of %d is lost, weight %d%s", settings.name, settings.quorum, service.weight, instead
        )
        notifier.tell(settings.name, settings.quorum_down)


def ended(notifier: Notifier, service: Service) -> None:
    """The daemon stops: with `omega` that is as if everything failed."""
    settings = service.settings
    if settings.omega:
        for real in settings.real_servers:
            if service.health[real.key].up:
                notifier.tell(settings.name, real.notify_down)
        if service.has_quorum:
            notifier.tell(settings.name, settings.quorum_down)
