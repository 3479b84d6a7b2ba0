"""`track_interface` and `track_script`: what is taken, and what is said of what is not."""

import pytest

from tests.config.samples import BASE, USE_COMMAND, USE_INTERFACE, said
from vrrpd.config.load import parse
from vrrpd.config.model import TrackedInterface, TrackedScript, VrrpScript
from vrrpd.config.sealed import seal
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


INSTANCE = BASE.partition("\n\n")[2]
SCRIPTS = """\
[[vrrp_script]]
name = "chk_a"
script = "/usr/bin/pgrep -x haproxy"
weight = -20

[[vrrp_script]]
name = "chk_b"
script = ["/bin/test", "-e", "/etc/passwd"]
interval = 2
rise = 2
fall = 3
init_fail = true

"""


def test_programs_and_their_weights() -> None:
    config = parse(
        f'{SCRIPTS}{INSTANCE}track_script = ["chk_a", "chk_b", {{ script = "chk_c", weight = 5 }}]\n'
        '[[vrrp_script]]\nname = "chk_c"\nscript = "/bin/true"\ntimeout = 0.5\n',
        "vrrpd.toml",
    )
    assert config.scripts == (
        VrrpScript("chk_a", ("/usr/bin/pgrep", "-x", "haproxy")),
        VrrpScript("chk_b", ("/bin/test", "-e", "/etc/passwd"), 2.0, 2.0, rise=2, fall=3, init_fail=True),
        VrrpScript("chk_c", ("/bin/true",), timeout=0.5),
    )
    tracked = config.instances[0].track_script
    assert tracked == (TrackedScript("chk_a", -20), TrackedScript("chk_b"), TrackedScript("chk_c", 5))
    assert parse(as_toml(config), "vrrpd.toml") == config
    assert seal(config).spoken.scripts == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            f'{SCRIPTS}{INSTANCE}track_script = ["chk_x"]\n',
            (
                '19: vrrp_instance[0].track_script[0]: there is no vrrp_script named "chk_x"; '
                'use "chk_a" or "chk_b", or add one of that name, or remove it'
            ),
        ),
        (
            f'{INSTANCE}track_script = ["chk_x"]\n',
            (
                '6: vrrp_instance[0].track_script[0]: there is no vrrp_script named "chk_x"; '
                "add one of that name, or remove it"
            ),
        ),
        (
            f'{SCRIPTS}{INSTANCE}track_script = ["chk_a", {{ script = "chk_a", weight = 1 }}]\n',
            "19: vrrp_instance[0].track_script[1]: chk_a is in the list already; remove one of them",
        ),
        (
            f'[[vrrp_script]]\nname = "a"\n{INSTANCE}',
            '1: vrrp_script[0].script: the key is missing; add script = "/path/to/script"',
        ),
        (
            f'[[vrrp_script]]\nscript = "/bin/true"\n{INSTANCE}track_script = ["x"]\n',
            '1: vrrp_script[0].name: the key is missing; add name = "..."',
        ),
        (
            f'[[vrrp_script]]\nname = "a"\nscript = "true"\n{INSTANCE}',
            f'3: vrrp_script[0].script: "true" does not begin with an absolute path; {USE_COMMAND}',
        ),
        (
            f'{SCRIPTS}[[vrrp_script]]\nname = "chk_a"\nscript = "/bin/true"\n{INSTANCE}',
            '15: vrrp_script[2].name: "chk_a" is in use already; use another name',
        ),
        (
            f"vrrp_script = 5\n{INSTANCE}",
            "1: vrrp_script: 5 is not a table; write [[vrrp_script]] and its keys below it",
        ),
        (
            f'vrrp_script = {{ name = "a", script = "/bin/true" }}\n{INSTANCE}track_script = ["a"]\n',
            "1: vrrp_script: it is a single table; write [[vrrp_script]], with two brackets, for each",
        ),
        (
            f'{SCRIPTS}user = "nobody"\n{INSTANCE}',
            "14: vrrp_script[1].user: vrrpd does without this key; remove it: it runs as vrrpd does",
        ),
    ],
)
def test_what_is_wrong_with_programs_is_said_at_its_place(text: str, problem: str) -> None:
    assert said(text) == [f"vrrpd.toml:{problem}"]
