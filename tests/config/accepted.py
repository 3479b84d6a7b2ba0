"""What the real keepalived says to a configuration of ours, on a host with the interface that it is for."""

from pathlib import Path

from vrrpd.config.keepalived import as_keepalived
from vrrpd.config.model import Config
from vrrpd.lan.hosts import Lan


def accepted(config: Config, tmp_path: Path) -> None:
    """Keepalived takes it without a word."""
    file = tmp_path / "keepalived.conf"
    file.write_text(as_keepalived(config))
    with Lan() as lan:
        result = lan.host("node").run(["keepalived", "--config-test", "--use-file", str(file)], check=False)
    assert (result.returncode, result.stdout + result.stderr) == (0, ""), file.read_text()
