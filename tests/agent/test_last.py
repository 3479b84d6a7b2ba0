"""The last configuration, kept for a start without an API server."""

import logging
from ipaddress import ip_interface
from pathlib import Path

import pytest
from msgspec.structs import replace

from vrrpd.agent.last import place, recall, remember
from vrrpd.agent.settings import Settings
from vrrpd.config.model import Config, VirtualAddress, VrrpInstance

VIP = VirtualAddress(ip_interface("192.0.2.100/32"), "eth0")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(("default", "vips"), node="n1", base=Config((), control_socket=tmp_path / "vrrpd.sock"))


@pytest.fixture
def config(settings: Settings) -> Config:
    return replace(settings.base, instances=(VrrpInstance("vips", "eth0", 50, (VIP,), notify=("/bin/true",)),))


def test_what_is_remembered_is_recalled(settings: Settings, config: Config) -> None:
    assert recall(settings) is None
    remember(config, settings)
    assert recall(settings) == config
    assert place(settings).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in place(settings).parent.iterdir()] == ["vrrpd.sock.toml"]


def test_another_pod_of_the_node_goes_on_with_it(settings: Settings, config: Config) -> None:
    remember(config, replace(settings, pod=("default", "vrrpd-1")))
    assert recall(replace(settings, pod=("default", "vrrpd-2"))) == config


def test_nothing_is_remembered_of_no_addresses(settings: Settings, config: Config) -> None:
    remember(config, settings)
    remember(settings.base, settings)
    assert recall(settings) is None


@pytest.mark.parametrize(
    "change",
    [
        {"config_map": ("default", "others")},
        {"virtual_router_id": 51},
        {"spread": (1, 9)},
        {"interface": "eth1"},
        {"unicast": True},
        {"node": "n2"},
        {"advert_int": 0.5},
    ],
    ids=str,
)
def test_it_counts_for_the_same_settings_only(settings: Settings, config: Config, change: dict[str, object]) -> None:
    remember(config, settings)
    assert recall(replace(settings, **change)) is None


@pytest.mark.parametrize("damage", [b"\xff", b"[[vrrp_instance", b""])
def test_one_that_cannot_be_read_is_passed_over(
    settings: Settings, config: Config, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    remember(config, settings)
    heading = place(settings).read_bytes().partition(b"\n")[0]
    place(settings).write_bytes(heading + b"\n" + damage)
    with caplog.at_level(logging.WARNING):
        assert recall(settings) is None
    assert str(place(settings)) in caplog.text


def test_a_directory_that_may_not_be_written_is_an_error_that_leaves_the_old_one(
    settings: Settings, config: Config
) -> None:
    remember(config, settings)
    place(settings).with_name("vrrpd.sock.toml.new").mkdir()
    with pytest.raises(OSError):  # noqa: PT011
        remember(replace(config, vip_lease=0), settings)
    assert recall(settings) == config
