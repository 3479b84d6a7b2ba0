"""What a right file means."""

import subprocess
import sys
import time
from ipaddress import IPv4Interface, IPv6Address, IPv6Interface, ip_address
from pathlib import Path

import pytest

from vrrpd.config.addresses import link_local_of
from vrrpd.config.load import load, parse
from vrrpd.config.model import DEFAULT_CONTROL_SOCKET, Config, GarpForm, GarpSettings, VirtualAddress, VrrpInstance
from vrrpd.protocol.advert import Advert, ChecksumForm, decode, encode
from vrrpd.protocol.timing import Centiseconds

MINIMAL = """\
[[vrrp_instance]]
name = "VI_1"
interface = "eth0"
virtual_router_id = 51
virtual_ipaddress = ["192.0.2.100"]
"""

EVERYTHING = """\
control_socket = "/tmp/vrrpd.sock"

[[vrrp_instance]]
name = "VI_1"
interface = "eth0"
virtual_router_id = 51
priority = 150
advert_int = 0.07
nopreempt = false
preempt_delay = 20
link_up_delay = 2.5
accept = true
checksum = "message"
garp_master_delay = 1
garp_master_repeat = 3
garp_master_refresh = 60
garp_master_refresh_repeat = 2
garp_form = "reply"
notify = "/etc/vrrpd/notify.sh --quiet"
virtual_ipaddress = [
  "192.0.2.100/32",
  { address = "192.0.2.101/24", dev = "eth1", label = "eth1:vip", noprefixroute = true },
]

[[vrrp_instance]]
name = "VI_1 over IPv6"
interface = "eth0"
virtual_router_id = 51
nopreempt = true
virtual_ipaddress = ["2001:db8::100/64"]
"""


def only_instance(text: str) -> VrrpInstance:
    (instance,) = parse(text, "test.toml").instances
    return instance


def ipv6(addresses: str, vrid: int = 51) -> VrrpInstance:
    return only_instance(
        MINIMAL.replace('["192.0.2.100"]', addresses).replace("virtual_router_id = 51", f"virtual_router_id = {vrid}")
    )


def test_a_minimal_file_leaves_the_defaults_of_the_model() -> None:
    vip = VirtualAddress(IPv4Interface("192.0.2.100/32"), "eth0")
    assert parse(MINIMAL, "test.toml") == Config((VrrpInstance("VI_1", "eth0", 51, (vip,)),), DEFAULT_CONTROL_SOCKET)


def test_every_key_arrives_where_it_belongs() -> None:
    config = parse(EVERYTHING, "test.toml")
    assert config.control_socket == Path("/tmp/vrrpd.sock")
    assert config.instances == (
        VrrpInstance(
            name="VI_1",
            interface="eth0",
            virtual_router_id=51,
            virtual_ipaddress=(
                VirtualAddress(IPv4Interface("192.0.2.100/32"), "eth0"),
                VirtualAddress(IPv4Interface("192.0.2.101/24"), "eth1", "eth1:vip", noprefixroute=True),
            ),
            priority=150,
            advert_int=0.07,
            preempt_delay=20.0,
            link_up_delay=2.5,
            checksum=ChecksumForm.MESSAGE,
            garp=GarpSettings(1.0, 3, 60.0, 2, GarpForm.REPLY),
            notify=("/etc/vrrpd/notify.sh", "--quiet"),
        ),
        VrrpInstance(
            name="VI_1 over IPv6",
            interface="eth0",
            virtual_router_id=51,
            virtual_ipaddress=(
                VirtualAddress(IPv6Interface("fe80::200:5eff:fe00:233/128"), "eth0"),
                VirtualAddress(IPv6Interface("2001:db8::100/64"), "eth0"),
            ),
            nopreempt=True,
        ),
    )


def test_every_interval_of_whole_centiseconds_is_taken_exactly() -> None:
    for centiseconds in range(1, 4096):
        text = f"{MINIMAL}advert_int = {centiseconds // 100}.{centiseconds % 100:02}"
        assert only_instance(text).parameters().advertisement_interval == Centiseconds(centiseconds)


def test_integers_are_seconds_too() -> None:
    instance = only_instance(f"{MINIMAL}advert_int = 2")
    assert instance.advert_int == 2.0
    assert isinstance(instance.advert_int, float)


def test_an_ipv6_list_without_a_link_local_starts_with_that_of_the_virtual_mac() -> None:
    for vrid, expected in ((1, "fe80::200:5eff:fe00:201"), (255, "fe80::200:5eff:fe00:2ff")):
        assert link_local_of(vrid) == IPv6Interface(f"{expected}/128")
        first, second = ipv6('["2001:db8::1/64"]', vrid).virtual_ipaddress
        assert str(first) == f"{expected}/128"
        assert first.dev == "eth0"
        assert str(second) == "2001:db8::1/64"


def test_a_link_local_of_the_file_comes_first_and_the_others_keep_their_order() -> None:
    vips = ipv6('["2001:db8::1/64", "2001:db8::2", "fe80::7/64", "2001:db8::3", "fe80::8"]').virtual_ipaddress
    assert list(map(str, vips)) == [
        "fe80::7/64",
        "2001:db8::1/64",
        "2001:db8::2/128",
        "2001:db8::3/128",
        "fe80::8/128",
    ]


def test_an_ipv6_instance_can_be_advertised() -> None:
    parameters = ipv6('["2001:db8::1/64"]').parameters()
    advert = Advert(51, parameters.priority, parameters.advertisement_interval, parameters.addresses)
    source, destination = IPv6Address("fe80::1"), advert.family.group
    assert decode(encode(advert, source), source=source, destination=destination)[0] == advert


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.100",
        "192.0.2.100/24",
        "192.0.2.0/31",
        "192.0.2.255/32",
        "169.254.1.1/16",
        "2001:db8::/127",
        "fd00::1/64",
    ],
)
def test_addresses_that_hosts_can_have(address: str) -> None:
    vip = ipv6(f'["{address}"]').virtual_ipaddress[-1]
    assert vip.address == ip_address(address.split("/", maxsplit=1)[0])


@pytest.mark.parametrize("label", ["eth0", "eth0:", "eth0:vip", "eth0:0123456789"])
def test_labels_that_tools_show(label: str) -> None:
    addresses = f'[{{ address = "192.0.2.100", label = "{label}" }}]'
    assert ipv6(addresses).virtual_ipaddress[0].label == label


@pytest.mark.parametrize("name", ["eth0.100", "br-lan", "wg0", "veth1a2b3c4d5e6", "e%d", "ü"])
def test_names_that_interfaces_can_have(name: str) -> None:
    assert only_instance(MINIMAL.replace("eth0", name)).interface == name


def test_one_vrid_may_serve_both_families_and_one_address_two_interfaces() -> None:
    other = MINIMAL.replace("VI_1", "VI_2").replace("eth0", "eth1")
    assert len(parse(EVERYTHING.replace("192.0.2.100/32", "192.0.2.99") + other, "test.toml").instances) == 3


def test_255_addresses_fit_into_one_advert() -> None:
    many = [f"192.0.2.{host}" for host in range(1, 255)]
    assert len(ipv6(f"{[*many, '192.0.3.1']}").virtual_ipaddress) == 255


def test_load_reads_the_file_and_names_it(tmp_path: Path) -> None:
    file = tmp_path / "vrrpd.toml"
    file.write_bytes(b"\xef\xbb\xbf" + EVERYTHING.replace("\n", "\r\n").encode())
    assert load(file) == parse(EVERYTHING, "test.toml")


def test_ten_times_as_many_instances_take_no_more_than_linear_time_to_load() -> None:
    few, many = (min(_seconds_to_parse(count) for _ in range(5)) for count in (25, 250))
    assert many < 3 * 10 * few


def _seconds_to_parse(count: int) -> float:
    text = "".join(
        f'[[vrrp_instance]]\nname = "VI_{vrid}"\ninterface = "eth0"\nvirtual_router_id = {vrid}\npriority = 150\n'
        f'advert_int = 0.1\nvirtual_ipaddress = ["10.0.{vrid}.1/24"]\n'
        for vrid in range(1, count + 1)
    )
    start = time.process_time()
    parse(text, "test.toml")
    return time.process_time() - start


def test_importing_the_loader_stays_light() -> None:
    heavy = ["tomllib", "difflib", "pyroute2", "scapy", "kubernetes", "pydantic", "json", "vrrpd.protocol.router"]
    command = f"import sys, vrrpd.config.load; print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", command], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]"
