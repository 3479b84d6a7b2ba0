"""What becomes of the words of an instance and of global_defs."""

import contextlib
import shutil
import subprocess
from typing import Any

import pytest

from tests.config.keepalived.files import GLOBAL, instance, remarks, router, said
from vrrpd.config.keepalived.elsewhere import GLOBAL as GLOBAL_WORDS
from vrrpd.config.keepalived.elsewhere import ROOT
from vrrpd.config.keepalived.reading import read_keepalived
from vrrpd.config.keepalived.routers import INSTANCE
from vrrpd.config.model import TrackedInterface, TrackedScript, VrrpScript
from vrrpd.config.problems import ConfigError

SPEAKS_2 = "keepalived speaks VRRPv2 without vrrp_version 3"


def told(*lines: str, head: str = GLOBAL) -> list[str]:
    """Remarks by what is said, without the place."""
    return [line.partition(": ")[2] for line in remarks(instance(*lines, head=head))]


@pytest.mark.parametrize(
    ("line", "field", "value"),
    [
        ("priority 150", "priority", 150),
        ('priority "150"', "priority", 150),
        ("advert_int 0.25", "advert_int", 0.25),
        ("advert_int 2", "advert_int", 2.0),
        ("nopreempt", "nopreempt", True),
        ("nopreempt\npreempt", "nopreempt", False),
        ("preempt_delay 4.12", "preempt_delay", 4.12),
        ("state BACKUP", "priority", 100),
        ("track_interface {\neth1\neth2 weight -20\neth3 weight 10\n}", "track_interface", ("eth1", -20, 10)),
        ("unicast_src_ip 192.0.2.1\nunicast_peer {\n192.0.2.2\n192.0.2.3\n}", "unicast_peer", "192.0.2.2 192.0.2.3"),
        ("notify /bin/notify", "notify", ("/bin/notify",)),
        ("notify \"/bin/notify 'a b' c\" root", "notify", ("/bin/notify", "a b", "c")),
        ("version 3\naccept\nnative_ipv6\ntrack_src_ip\ndown_timer_adverts 3\nstrict_mode off", "priority", 100),
        ("unicast_peer {\n192.0.2.2\n}\nunicast_fault_no_peer\ncheck_unicast_src", "unicast_peer", "192.0.2.2"),
    ],
)
def test_what_is_a_key_of_ours(line: str, field: str, value: object) -> None:
    text = instance(line)
    found: Any = getattr(router(text), field)
    if field == "track_interface":
        found = tuple(each.weight or each.interface for each in found)
    if field == "unicast_peer":
        found = " ".join(map(str, found))
    assert found == value
    assert remarks(text) == []


def test_addresses() -> None:
    lines = (
        "virtual_ipaddress {",
        "192.0.2.100/24 brd + dev eth1 label eth1:vip scope global noprefixroute",
        "192.0.2.101 scope link -nodad",
        "192.0.2.102/24 preferred_lft 0 no_track home",
        "}",
    )
    addresses = router(instance(*lines)).virtual_ipaddress
    assert [(str(each), each.dev, each.label, each.noprefixroute) for each in addresses] == [
        ("192.0.2.100/24", "eth1", "eth1:vip", True),
        ("192.0.2.101/32", "eth0", None, None),
        ("192.0.2.102/24", "eth0", None, None),
    ]
    assert [line.partition(":")[0] for line in told(*lines)] == ["brd", "scope", "preferred_lft", "no_track", "home"]


def test_addresses_of_the_other_family_are_left_out_as_keepalived_does() -> None:
    lines = ("virtual_ipaddress {", "192.0.2.100", "2001:db8::100", "192.0.2.101", "}")
    assert list(map(str, router(instance(*lines)).virtual_ipaddress)) == ["192.0.2.100/32", "192.0.2.101/32"]
    (line,) = remarks(instance(*lines))
    assert line.startswith("keepalived.conf:10: 2001:db8::100: it is of another family than the first")


def test_blocks_of_the_same_word_add_up_as_in_keepalived() -> None:
    blocks = ("virtual_ipaddress", "unicast_peer", "track_interface")
    values = (("192.0.2.100/24", "192.0.2.101/24"), ("192.0.2.2", "192.0.2.3"), ("eth1", "eth2"))
    lines = [f"{word} {{\n{each}\n}}" for word, both in zip(blocks, values, strict=True) for each in both]
    found = router(instance(*lines, "virtual_ipaddress\n{\n192.0.2.102/24\n}"))
    assert list(map(str, found.virtual_ipaddress)) == [*values[0], "192.0.2.102/24"]
    assert list(map(str, found.unicast_peer)) == list(values[1])
    assert [each.interface for each in found.track_interface] == list(values[2])
    (line,) = said(instance(*lines, "virtual_ipaddress {\n192.0.2.100\n}"))
    assert line.startswith("keepalived.conf:27: 192.0.2.100: 192.0.2.100 is in the list already")


def test_announcements_have_their_defaults_from_global_defs_wherever_that_is() -> None:
    text = instance("garp_master_delay 2") + "global_defs {\nvrrp_garp_master_delay 9\nvrrp_garp_master_refresh 60\n}\n"
    garp = router(text).garp
    assert (garp.master_delay, garp.master_repeat, garp.master_refresh) == (2, 5, 60)
    garp = router(instance("garp_master_repeat 2", head="global_defs {\nvrrp_version 3\nvrrp_min_garp\n}\n")).garp
    assert (garp.master_delay, garp.master_repeat) == (0, 2)


def test_what_is_for_the_process() -> None:
    text = instance(head="global_defs {\nvrrp_version 3\nvrrp_rt_priority 50\nvrrp_no_swap\n}\n")
    config = read_keepalived(text, "keepalived.conf").config
    assert (config.realtime_priority, config.memory_lock) == (50, True)


@pytest.mark.parametrize(
    ("lines", "field", "remark"),
    [
        (("state MASTER", "nopreempt"), "nopreempt", "nopreempt: keepalived ignores it beside state MASTER"),
        (
            ("state MASTER", "preempt_delay 3"),
            "preempt_delay",
            "preempt_delay: keepalived ignores it beside state MASTER",
        ),
        (("nopreempt", "preempt_delay 3"), "preempt_delay", "preempt_delay: nopreempt rules preemption out"),
        (("priority 255", "nopreempt"), "nopreempt", "nopreempt: an owner (priority 255) takes over at once"),
    ],
)
def test_what_does_not_go_together_is_dropped_as_keepalived_does(
    lines: tuple[str, ...], field: str, remark: str
) -> None:
    assert not getattr(router(instance(*lines)), field)
    assert [line for line in told(*lines) if line.startswith(remark)]


def test_the_own_interface_is_tracked_anyway() -> None:
    lines = ("track_interface {", "eth0", "eth1", "}")
    assert router(instance(*lines)).track_interface == (TrackedInterface("eth1"),)
    assert told(*lines) == ["eth0: it is the instance's own interface, which is tracked anyway"]


def called(text: str, state: str) -> str:
    """What the programs of a file print when they are called as vrrpd does."""
    notify = router(text).notify
    assert notify
    command = [*notify, "INSTANCE", "VI_1", state, "100"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_programs_of_single_states_become_one_of_all() -> None:
    lines = (
        "notify_master \"/bin/echo 'the  master' $HOME\"",
        "notify_backup /bin/echo",
        "notify '/bin/echo all' root",
    )
    assert called(instance(*lines), "MASTER") == "the  master $HOME\nall INSTANCE VI_1 MASTER 100\n"
    assert called(instance(*lines), "BACKUP") == "\nall INSTANCE VI_1 BACKUP 100\n"
    assert called(instance(*lines), "FAULT") == "all INSTANCE VI_1 FAULT 100\n"
    assert called(instance("notify_stop '/bin/echo stopped'"), "STOP") == "stopped\n"
    assert called(instance("notify_stop '/bin/echo stopped'"), "MASTER") == ""


CHECKED = """\
vrrp_script chk {
    script "pidof -x 'a b'"
    interval 2
    timeout 10
    weight -4
    fall 2
    rise 3
    init_fail
    user root
}
vrrp_script open {
    script "</dev/tcp/127.0.0.1/80"
    user nobody
}
"""


def test_scripts_that_are_tracked() -> None:
    text = instance("track_script {\nchk\nopen weight 20\n}") + CHECKED
    config = read_keepalived(text, "keepalived.conf").config
    assert config.scripts == (
        VrrpScript("chk", (str(shutil.which("pidof")), "-x", "a b"), 2, 10, 3, 2, init_fail=True),
        VrrpScript("open", ("/bin/sh", "-c", "</dev/tcp/127.0.0.1/80")),
    )
    assert config.instances[0].track_script == (TrackedScript("chk", -4), TrackedScript("open", 20))
    assert [line.partition(": ")[2] for line in remarks(text)] == [
        "user: programs run as vrrpd does, whatever user is named"
    ]


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("pidof", "no-such-program", 'script: there is no program "no-such-program" on this host'),
        ("'a b'", "'a b", 'script: "pidof -x \'a b" cannot be split into words'),
        ("weight -4", "weight -4 reverse", "weight: reverse: a weight is added while that is well"),
        ("chk {", "check {", 'chk: there is no vrrp_script named "chk"'),
        ("rise 3", "raise 3", "raise: it is not a known word of vrrp_script; did you mean rise?"),
    ],
)
def test_scripts_that_are_wrong(old: str, new: str, wrong: str) -> None:
    (problem,) = said(instance("track_script {\nchk\n}") + CHECKED.replace(old, new, 1))
    assert wrong in problem


def test_a_user_that_programs_run_as_is_told() -> None:
    assert told("notify /bin/true nobody") == ["notify: programs run as vrrpd does, whatever user is named"]


def test_the_version_that_peers_must_have_is_told_once() -> None:
    text = instance(head="") + instance(head="").replace("VI_1", "VI_2").replace(" 51", " 52").replace(".100", ".101")
    (line,) = remarks(text)
    assert line.startswith(f"keepalived.conf:1: vrrp_instance: {SPEAKS_2}")
    assert told("virtual_ipaddress {\n2001:db8::1\n}", head="") == []
    assert told("version 3", head="") == []


@pytest.mark.parametrize("head", ["", GLOBAL])
def test_authentication_is_left_out_with_a_word(head: str) -> None:
    found = told("authentication {", "auth_type PASS", "auth_pass 1111", "}", head=head)
    assert found[-1].startswith("authentication: VRRPv3 has none, so that it is left out")
    assert any(SPEAKS_2 in line for line in found) is (not head)


def test_the_version_of_an_instance_goes_before_that_of_all() -> None:
    assert router(instance("version 3", head="global_defs {\nvrrp_version 2\n}\n"))
    assert router(instance("virtual_ipaddress {\n2001:db8::1\n}", head="global_defs {\nvrrp_version 2\n}\n"))
    other = instance("version 3", head="").replace("VI_1", "VI_2").replace("eth0", "eth1")
    (line,) = said(instance(head="global_defs {\nvrrp_version 2\n}\n") + other)
    assert line.startswith("keepalived.conf:2: vrrp_version: vrrpd speaks VRRPv3 alone")


@pytest.mark.parametrize(
    "line",
    [
        "version 2",
        "track_process {\nhaproxy\n}",
        "track_file {\nfile\n}",
        "track_bfd {\nbfd\n}",
        "track_interface {\neth1 weight 5 reverse\n}",
        "use_vmac",
        "use_vmac vrrp.51",
        "use_ipvlan",
        "dont_track_primary",
        "no_accept",
        "strict_mode",
        "strict_mode on",
        "mcast_src_ip 192.0.2.1",
        "mcast_dst_ip 224.0.0.18",
        "unicast_fault_no_peer",
        "vrf blue",
        "down_timer_adverts 5",
        "old_unicast_checksum",
        "unicast_peer {\n192.0.2.2 min_ttl 255\n}",
        "virtual_ipaddress_excluded {\n192.0.2.7\n}",
        "virtual_ipaddress {\n192.0.2.7 peer 192.0.2.8\n}",
        "virtual_ipaddress {\n192.0.2.7 use_vmac\n}",
        "virtual_routes {\n192.0.2.0/24 via 192.0.2.1\n}",
        "virtual_rules {\nfrom 192.0.2.0/24 table 2\n}",
        "lvs_sync_daemon_interface eth1",
        "notify_master_rx_lower_pri /bin/x",
    ],
)
def test_what_matters_and_is_not_here_is_refused_unless_it_may_be_left_out(line: str) -> None:
    text = instance(line)
    (problem,) = said(text)
    assert ": " in problem
    assert "; " in problem
    imported = read_keepalived(text, "keepalived.conf", partial=True)
    assert list(map(str, imported.left_out)) == [problem]
    assert len(imported.config.instances) == 1


@pytest.mark.parametrize(
    "head",
    [
        "vrrp_sync_group G {\nVI_1\n}\n",
        "static_ipaddress {\n192.0.2.7 dev eth0\n}\n",
        "static_routes {\n}\n",
        "static_rules {\n}\n",
        "net_namespace x\n",
        "interface_up_down_delays {\neth0 1\n}\n",
        *(
            f"global_defs {{\n{word}\n}}\n"
            for word in (
                "vrrp_version 2",
                "vrrp_strict",
                "vrrp_mcast_group4 224.0.0.19",
                "vrrp_mcast_group6 ff02::13",
                "vrrp_down_timer_adverts 4",
                "vrrp_startup_delay 5",
                "notify_fifo /run/fifo",
                "startup_script /bin/x",
                "lvs_sync_daemon eth1",
                "lvs_timeouts tcp 900",
            )
        ),
    ],
)
def test_so_is_what_stands_elsewhere(head: str) -> None:
    (problem,) = said(instance(head=head))
    assert ": " in problem


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("priority", "its value is missing"),
        ("priority 100 200", '"100 200" is more than a value'),
        ("priority high", '"high" is not a whole number'),
        ("priority 99999999999999999999999", '"99999999999999999999999" is not a whole number'),
        ("advert_int 0.005", "0.005 is out of range"),
        ("nopreempt maybe", '"maybe" is neither on nor off'),
        ("priority 100 {\n}", "no block belongs to it"),
        ("unicast_peer 192.0.2.2", "it has no block"),
        ("unicast_peer {\nx\n}", '"x" is not an IP address'),
        ("track_interface {\neth1 weigth 5\n}", '"weigth 5" is not understood'),
        ("virtual_ipaddress {\n192.0.2.1 dev\n}", 'the value of "dev" is missing'),
        ("virtual_ipaddress {\n192.0.2.1 192.0.2.2\n}", '"192.0.2.2" is not a known word of an address'),
        ("virtual_ipaddress {\n192.0.2.1 vde eth0\n}", '"vde" is not a known word of an address'),
        ("virtual_ipaddress {\n192.0.2.1\n192.0.2.1\n}", "192.0.2.1 is in the list already"),
        ("notify", "its value is missing"),
        ("notify notify.sh", 'there is no program "notify.sh" on this host\'s path'),
        ("notify_master ./notify.sh", 'there is no program "./notify.sh"'),
        ("notify ''", "there is no program"),
        ("notify /bin/x\\000", "contains a NUL"),
        ("priorty 100", "it is not a known word of vrrp_instance"),
    ],
)
def test_what_is_wrong(line: str, wrong: str) -> None:
    (problem,) = said(instance(line))
    assert wrong in problem


def test_what_is_missing_is_told_by_the_instance() -> None:
    text = "vrrp_instance VI_1 {\nvirtual_router_id 51\n}\n"
    where = "keepalived.conf:1: vrrp_instance VI_1"
    assert said(text) == [
        f"{where}: interface: the key is missing; add interface and its value",
        f"{where}: virtual_ipaddress: the key is missing; add virtual_ipaddress and its value",
    ]
    (line,) = said("! empty\n")
    assert line.startswith("keepalived.conf:1: the file has no keys; add a [[vrrp_instance]]")


@pytest.mark.parametrize("words", [GLOBAL_WORDS, ROOT, INSTANCE])
def test_any_word_alone_is_translated_or_told(words: dict[str, object]) -> None:
    """None of them raises anything but what is to be told."""
    for word in words:
        for rest in ("", " 1", " x y z", " {\n}", " {\nx\n}"):
            line = f"{word}{rest}"
            text = instance(line) if words is INSTANCE else instance(head=f"global_defs {{\n{line}\n}}\n{line}\n")
            with contextlib.suppress(ConfigError):
                read_keepalived(text, "keepalived.conf", partial=True)
