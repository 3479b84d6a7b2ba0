"""keepalived's own samples: each is translated, or what it has that vrrpd has not is named."""

import shutil
from pathlib import Path

import pytest

from tests.config.keepalived.files import SAMPLES
from vrrpd.config.keepalived.reading import read_keepalived
from vrrpd.config.load import load, parse
from vrrpd.config.model import Config
from vrrpd.config.problems import ConfigError
from vrrpd.config.toml import as_toml
from vrrpd.director import check as director_check

pytestmark = pytest.mark.interop

REFUSED: dict[str, set[str]] = {
    "HTTP_GET.port": set(),
    "IPv6": set(),
    "PING_CHECK": set(),
    "SMTP_CHECK": set(),
    "SSL_GET": set(),
    "UDP_CHECK": set(),
    "conditional_conf": {"net_namespace", "use_vmac"},
    "fwmark": set(),
    "inhibit": set(),
    "misc_check": set(),
    "misc_check_arg": set(),
    "quorum": set(),
    "sample": set(),
    "status_code": set(),
    "track_interface": {"static_routes", "virtual_routes"},
    "virtual_server_group": set(),
    "virtualhost": set(),
    "vrrp": {"192.168.200.18"},  # the address stands twice
    "vrrp.localcheck": set() if shutil.which("killall") else {"script"},
    "vrrp.lvs_syncd": {"lvs_sync_daemon_interface", "vrrp_sync_group"},
    "vrrp.routes": {"static_routes", "virtual_routes"},
    "vrrp.rules": {"static_rules", "virtual_rules"},
    "vrrp.scripts": {"vrrp_sync_group"},
    "vrrp.static_ipaddress": {"static_ipaddress", "virtual_routes"},
    "vrrp.sync": {"vrrp_sync_group"},
}
"""By the end of the sample's name, the words that are refused."""


def sample(name: str) -> Path:
    return SAMPLES / f"keepalived.conf.{name}"


def require_usable(config: Config) -> None:
    assert config.instances or config.virtual_servers
    assert parse(as_toml(config), "vrrpd.toml") == config
    assert all(map(str, director_check.findings(config, {})))


def test_there_is_none_that_is_not_known() -> None:
    assert {path.name.removeprefix("keepalived.conf.") for path in SAMPLES.glob("keepalived.conf.*")} == set(REFUSED)


@pytest.mark.parametrize("name", [name for name, words in REFUSED.items() if not words])
def test_one_that_is_translated(name: str) -> None:
    require_usable(load(sample(name)))


@pytest.mark.parametrize("name", [name for name, words in REFUSED.items() if words])
def test_one_that_has_more_than_vrrpd(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_keepalived(sample(name).read_text(), str(sample(name)), "high")
    assert {problem.key for problem in caught.value.problems} == REFUSED[name]
    text = sample(name).read_text()
    assert all(problem.key in text.splitlines()[(problem.line or 0) - 1] for problem in caught.value.problems)


@pytest.mark.parametrize(
    "name",
    [name for name, words in REFUSED.items() if words and "vrrp" not in (name, name.removesuffix(".localcheck"))],
)
def test_the_rest_of_it(name: str) -> None:
    imported = read_keepalived(sample(name).read_text(), str(sample(name)), "high", partial=True)
    assert {problem.key for problem in imported.left_out} == REFUSED[name]
    require_usable(imported.config)
