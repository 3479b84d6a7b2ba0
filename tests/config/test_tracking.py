"""`track_interface`: what is taken, and what is said of what is not."""

import pytest

from tests.config.samples import BASE, USE_INTERFACE, said
from vrrpd.config.load import parse
from vrrpd.config.model import TrackedInterface
from vrrpd.config.toml import as_toml


def test_names_and_weights() -> None:
    config = parse(f'{BASE}track_interface = ["eth1", {{ interface = "eth2", weight = -20 }}]\n', "vrrpd.toml")
    assert config.instances[0].track_interface == (TrackedInterface("eth1"), TrackedInterface("eth2", -20))
    assert parse(as_toml(config), "vrrpd.toml") == config


@pytest.mark.parametrize(
    ("value", "where", "wrong", "remedy"),
    [
        ('"eth1"', "", '"eth1" is not a list', 'use a list such as ["eth1", { interface = "eth2", weight = -20 }]'),
        ('["eth1", 5]', "[1]", "5 is not a string", USE_INTERFACE),
        ('["eth1", "eth1"]', "[1]", "eth1 is in the list already", "remove one of them"),
        ('["eth0"]', "[0]", "eth0 is the instance's own interface, without which it is in FAULT", "remove it"),
        ('[{ interface = "eth1", weight = 254 }]', "[0].weight", "254 is out of range", "use -253-253"),
        ("[{ weight = 1 }]", "[0].interface", "the key is missing", 'add interface = "..."'),
    ],
)
def test_what_is_wrong_is_said_at_its_place(value: str, where: str, wrong: str, remedy: str) -> None:
    assert said(f"{BASE}track_interface = {value}\n") == [
        f"vrrpd.toml:8: vrrp_instance[0].track_interface{where}: {wrong}; {remedy}"
    ]
