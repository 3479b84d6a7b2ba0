"""What is said of a wrong key: the line, the key, what is wrong and what to do."""

import pytest

from tests.config.samples import (
    BASE,
    NEVER,
    NOT_YET,
    USE_BOOLEAN,
    USE_COMMAND,
    USE_INTERFACE,
    USE_NAME,
    USE_PATH,
    problems_of,
    said,
)
from vrrpd.config.problems import Problem
from vrrpd.config.schema import TOP

USE_ONE = 'use an address, such as "192.0.2.100" or "2001:db8::100"'
USE_ADDRESSES = 'use a list of addresses, such as ["192.0.2.2", "192.0.2.3"]'
USE_OWN = "use the host's own address"
ONE_FAMILY = "use addresses of one family, or make one instance of each"


def with_line(line: str) -> tuple[str, int]:
    """BASE with the line of that key replaced, or else with one more; and which line it is."""
    lines = BASE.splitlines()
    key = line.split(" =", maxsplit=1)[0]
    for number, old in enumerate(lines):
        if old.startswith(f"{key} ="):
            return "\n".join([*lines[:number], line, *lines[number + 1 :]]), number + 1
    return "\n".join([*lines, line]), len(lines) + 1


@pytest.mark.parametrize(
    ("line", "wrong", "remedy"),
    [
        ("name = 1", "1 is not a string", USE_NAME),
        ('name = ""', "the name is empty", USE_NAME),
        ('name = " "', "the name is empty", USE_NAME),
        (r'name = "a\nb"', r'"a\nb" contains characters that cannot be printed', USE_NAME),
        ("interface = true", "true is not a string", USE_INTERFACE),
        ('interface = ""', "the name is empty", USE_INTERFACE),
        ('interface = ".."', '".." cannot be the name of an interface', USE_INTERFACE),
        ('interface = "eth0/1"', '"eth0/1" cannot be the name of an interface', USE_INTERFACE),
        ('interface = "eth0:1"', '"eth0:1" cannot be the name of an interface', USE_INTERFACE),
        ('interface = "eth 0"', '"eth 0" cannot be the name of an interface', USE_INTERFACE),
        (r'interface = "eth\t0"', r'"eth\t0" contains characters that cannot be printed', USE_INTERFACE),
        ('interface = "a23456789012345x"', '"a23456789012345x" has 16 bytes, 15 is the limit', USE_INTERFACE),
        ('interface = "üüüüüüüü"', '"üüüüüüüü" has 16 bytes, 15 is the limit', USE_INTERFACE),
        ("virtual_router_id = 0", "0 is out of range", "use 1-255"),
        ("virtual_router_id = 256", "256 is out of range", "use 1-255"),
        ("virtual_router_id = 51.0", "51.0 is not a whole number", "use 1-255"),
        ('virtual_router_id = "51"', '"51" is not a whole number', "use 1-255"),
        ("virtual_router_id = true", "true is not a whole number", "use 1-255"),
        ("priority = 0", "0 is out of range", "use 1-255"),
        ("priority = 256", "256 is out of range", "use 1-255"),
        ("priority = -1", "-1 is out of range", "use 1-255"),
        (f"priority = 0x{'f' * 5000}", "a number of 20000 bits is out of range", "use 1-255"),
        ("priority = [150]", "a list is not a whole number", "use 1-255"),
        ("priority = 1979-05-27", "1979-05-27 is not a whole number", "use 1-255"),
        ("advert_int = 41", "41 is out of range", "use 0.01-40.95 seconds"),
        ("advert_int = 40.96", "40.96 is out of range", "use 0.01-40.95 seconds"),
        ("advert_int = 0", "0 is out of range", "use 0.01-40.95 seconds"),
        ("advert_int = -1.0", "-1.0 is out of range", "use 0.01-40.95 seconds"),
        ("advert_int = nan", "nan is out of range", "use 0.01-40.95 seconds"),
        ("advert_int = inf", "inf is out of range", "use 0.01-40.95 seconds"),
        ("advert_int = true", "true is not a number", "use 0.01-40.95 seconds"),
        ('advert_int = "1"', '"1" is not a number', "use 0.01-40.95 seconds"),
        ("advert_int = {}", "a table is not a number", "use 0.01-40.95 seconds"),
        ("advert_int = 0.015", "0.015 is not a multiple of 0.01", "use 0.01-40.95 seconds in steps of 0.01"),
        ("nopreempt = 1", "1 is not a boolean", USE_BOOLEAN),
        ('nopreempt = "yes"', '"yes" is not a boolean', USE_BOOLEAN),
        ("preempt_delay = 1000.5", "1000.5 is out of range", "use 0-1000 seconds"),
        ("preempt_delay = -1", "-1 is out of range", "use 0-1000 seconds"),
        ("link_up_delay = 1001", "1001 is out of range", "use 0-1000 seconds"),
        ('link_up_delay = "500ms"', '"500ms" is not a number', "use 0-1000 seconds"),
        ("accept = false", "this release does not do false yet", "remove it, or use true"),
        ("accept = 1", "1 is not a boolean", USE_BOOLEAN),
        ('checksum = "none"', '"none" is not one of the choices', 'use "pseudo_header" or "message"'),
        ("checksum = {}", "a table is not one of the choices", 'use "pseudo_header" or "message"'),
        ("garp_master_delay = 3601", "3601 is out of range", "use 0-3600 seconds"),
        ("garp_master_repeat = 0", "0 is out of range", "use 1-1000"),
        ("garp_master_refresh = -1", "-1 is out of range", "use 0-86400 seconds"),
        ("garp_master_refresh_repeat = 0", "0 is out of range", "use 1-1000"),
        ('garp_form = "both"', '"both" is not one of the choices', 'use "request" or "reply"'),
        ('virtual_ipaddress = "192.0.2.1"', '"192.0.2.1" is not a list', 'use a list: ["ADDRESS/PREFIX", ...]'),
        ("virtual_ipaddress = []", "the list is empty", "add the addresses that clients use"),
        ("unicast_src_ip = '192.0.2.1'", "without unicast_peer it means nothing", "add unicast_peer, or remove it"),
        ("unicast_src_ip = 'eth0'", '"eth0" is not an IP address', USE_ONE),
        ("unicast_peer = '192.0.2.2'", '"192.0.2.2" is not a list', USE_ADDRESSES),
        ("unicast_peer = ['192.0.2.2/24']", '"192.0.2.2/24" is not an IP address', USE_ONE),
        ("unicast_peer = ['224.0.0.18']", '"224.0.0.18" is not the address of a host', USE_ONE),
        ("unicast_peer = ['192.0.2.2', '192.0.2.2']", "192.0.2.2 is in it twice", "remove one of them"),
        ("unicast_peer = ['2001:db8::1']", "2001:db8::1 is not IPv4, as virtual_ipaddress is", ONE_FAMILY),
        (
            "unicast_peer = ['192.0.2.100']",
            "192.0.2.100 is a virtual address, which moves",
            "use the host's own address",
        ),
        ("use_vmac = false", NOT_YET, "remove it"),
        ('notify = "notify.sh"', '"notify.sh" does not begin with an absolute path', USE_COMMAND),
        ('notify_master = "/etc/notify.sh"', NEVER, "use notify, which is called with the state"),
        ('state = "MASTER"', NEVER, "remove it: the election by priority decides who is master"),
        ("priorty = 1", "it is not a known key", "did you mean priority?"),
        ('Interface = "eth0"', "it is not a known key", "did you mean interface?"),
        ("advert_interval = 1", "it is not a known key", "did you mean advert_int?"),
        (
            "track_interfaces = []",
            "it is not a known key",
            "did you mean track_interface?",
        ),
        (
            "dev = 'eth0'",
            "it is a key of an entry of virtual_ipaddress, not of [[vrrp_instance]]",
            'move it into its entry: { address = "...", ... }',
        ),
    ],
)
def test_a_wrong_value_of_an_instance(line: str, wrong: str, remedy: str) -> None:
    text, number = with_line(line)
    key = line.split(" =", maxsplit=1)[0]
    assert problems_of(text) == (Problem("vrrpd.toml", number, f"vrrp_instance[0].{key}", wrong, remedy),)


@pytest.mark.parametrize(
    ("line", "wrong", "remedy"),
    [
        ("control_socket = 1", "1 is not a string", USE_PATH),
        ('control_socket = ""', '"" is not an absolute path', USE_PATH),
        ('control_socket = "run/vrrpd.sock"', '"run/vrrpd.sock" is not an absolute path', USE_PATH),
        ('control_socket = "/run/vrrpd/"', '"/run/vrrpd/" names a directory', USE_PATH),
        (r'control_socket = "/run/\u0000"', r'"/run/\x00" contains characters that cannot be printed', USE_PATH),
        (
            f'control_socket = "/{"a" * 107}"',
            f'"/{"a" * 58}... has 108 bytes, 107 is the limit',
            "use a shorter path",
        ),
        (
            "priority = 1",
            "it is a key of [[vrrp_instance]], not of the file itself",
            "move it below a [[vrrp_instance]]",
        ),
        ("'contrl socket' = 1", "it is not a known key", "did you mean control_socket?"),
        ("xyz = 1", "it is not a known key", f"remove it; the known keys are {', '.join(TOP.names)}"),
    ],
)
def test_a_wrong_value_at_the_top(line: str, wrong: str, remedy: str) -> None:
    text = BASE.replace('control_socket = "/run/vrrpd/vrrpd.sock"', line)
    key = line.split(" =", maxsplit=1)[0].replace("'", '"')
    assert problems_of(text) == (Problem("vrrpd.toml", 1, key, wrong, remedy),)


@pytest.mark.parametrize("line", ['checksum = "message"', 'garp_form = "reply"'])
def test_keys_for_ipv4_in_an_ipv6_instance(line: str) -> None:
    text = BASE.replace('["192.0.2.100/24"]', '["2001:db8::1"]') + line
    key = f"vrrp_instance[0].{line.split(' =', maxsplit=1)[0]}"
    assert said(text) == [f"vrrpd.toml:8: {key}: it is for IPv4 only, and this is IPv6; remove it"]


def test_nopreempt_contradicts_an_owner() -> None:
    wrong = "an owner of the addresses (priority 255) takes over at once, whoever is master"
    assert problems_of(f"{BASE}priority = 255\nnopreempt = true") == (
        Problem("vrrpd.toml", 9, "vrrp_instance[0].nopreempt", wrong, "remove it, or use priority 1-254"),
    )


@pytest.mark.parametrize(
    ("key", "line", "remedy"),
    [
        ("name", 'name = "VI_1"\n', 'add name = "..."'),
        ("interface", 'interface = "eth0"\n', 'add interface = "...", the interface that the adverts use'),
        (
            "virtual_router_id",
            "virtual_router_id = 51\n",
            "add virtual_router_id = 1-255, the same on all its routers",
        ),
        (
            "virtual_ipaddress",
            'virtual_ipaddress = ["192.0.2.100/24"]\n',
            'add virtual_ipaddress = ["ADDRESS/PREFIX"]',
        ),
    ],
)
def test_a_missing_key_is_reported_at_the_header(key: str, line: str, remedy: str) -> None:
    expected = Problem("vrrpd.toml", 3, f"vrrp_instance[0].{key}", "the key is missing", remedy)
    assert problems_of(BASE.replace(line, "")) == (expected,)
