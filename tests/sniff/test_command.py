"""`vrrpd sniff` as an administrator runs it: real routers, live and from files."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rich.console import Console
from scapy.layers.l2 import Dot1Q, Ether
from scapy.utils import PcapNgWriter

from benchmarks.peers import MASTER, Daemon, Frr, Keepalived, Vrrpd
from tests.namespaces.test_bad_packets import Crafter, bad_packets
from tests.peers import DEADLINE, Network, families, settings, start_as
from tests.sniff.crafted import R1, R2, advert, advert_v2, heard
from vrrpd.lan.hosts import Host
from vrrpd.sniff.files import CaptureError, Writer, read
from vrrpd.sniff.packets import Packet, Place
from vrrpd.sniff.routers import Routers
from vrrpd.sniff.view import Picture

SNIFF = (sys.executable, "-m", "vrrpd", "sniff")
MAKES: tuple[type[Daemon], ...] = (Vrrpd, Keepalived, Frr)
DOCUMENTATION = Path(__file__).parent.parent.parent / "docs" / "sniff.md"


def sniffed(*arguments: str, code: int = 0, **kwargs: Any) -> Any:
    """The object that `--json` prints."""
    done = subprocess.run([*SNIFF, *arguments, "--json"], capture_output=True, timeout=60, check=False, **kwargs)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


def complaint(*arguments: str, code: int = 1) -> str:
    done = subprocess.run([*SNIFF, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert "Traceback" not in done.stderr
    return done.stderr


class Listening:
    """A sniffer on a host, without a terminal."""

    def __init__(self, host: Host, *arguments: str) -> None:
        self.process = host.popen(
            [*SNIFF, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, bufsize=1
        )
        self.lines: list[str] = []

    def wait_for(self, *wanted: str) -> None:
        """Read until each of these was in a line."""
        missing = set(wanted)
        assert self.process.stdout is not None
        while missing:
            line = self.process.stdout.readline()
            assert line, f"it ended before {missing} came: {self.lines}"
            self.lines.append(line)
            missing -= {text for text in missing if text in line}

    def end(self, number: signal.Signals = signal.SIGINT) -> str:
        """As Ctrl-C does; the summary."""
        self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=DEADLINE)
        assert self.process.returncode == 0, rest
        return str(rest)


@pytest.mark.interop
@families
def test_adverts_of_every_make_are_shown_live_and_again_from_the_file(
    network: Network, family: int, tmp_path: Path
) -> None:
    listening = Listening(network.lan.host("watch"), "-i", "eth0", "-w", str(tmp_path / "live.pcap"))
    routers = {}
    for number, make in enumerate(MAKES):
        vip = f"192.0.2.{101 + number}" if family == 4 else f"2001:db8::{101 + number}"
        extra = ('checksum = "message"',) if make is Vrrpd and family == 4 else ()
        router = settings(
            family, 150 + number, *extra, vrid=51 + number, addresses=(f"{vip}/{32 if family == 4 else 128}",)
        )
        routers[51 + number] = (network.add(make, make.name, [router]), vip)
    for daemon, _ in routers.values():
        daemon.start()
    for daemon, _ in routers.values():
        daemon.wait_until(MASTER, DEADLINE)
    listening.wait_for(*(f"VRID {vrid} IPv{family}: " for vrid in routers))
    routers[51][0].stop()
    listening.wait_for("resigns")
    summary = listening.end()
    assert all(f" {vrid} " in summary for vrid in routers)
    assert "!" not in summary, "there is no conflict and no bad packet"
    found = sniffed("-r", str(tmp_path / "live.pcap"))
    assert [one["virtual_router_id"] for one in found["virtual_routers"]] == sorted(routers)
    for one in found["virtual_routers"]:
        daemon, vip = routers[one["virtual_router_id"]]
        (sender,) = one["senders"]
        assert (sender["mac"], sender["priority"]) == (daemon.mac(), daemon.routers[0].priority)
        assert (one["family"], sender["version"], sender["interval_seconds"]) == (f"ipv{family}", 3, 0.1)
        assert vip in sender["addresses"]
        form = "message" if isinstance(daemon, Vrrpd) and family == 4 else "pseudo_header"
        assert sender["checksum_form"] == form
        assert sender["resignations"] == (daemon.name == "vrrpd")
        assert one["conflicts"] == []
    assert found["bad_packets"] == []


@pytest.mark.interop
def test_keepalived_of_version_2_is_recognised(network: Network) -> None:
    listening = Listening(network.lan.host("watch"))
    keepalived = network.add(Keepalived, "old", [settings(4, 255, "state MASTER", version=2, advert_int=1)])
    start_as(MASTER, keepalived)
    listening.wait_for("VRRPv2, which a version 3 router discards")
    assert "speaks VRRPv2" in listening.end(signal.SIGTERM)


@pytest.mark.namespaces
def test_two_masters_and_bad_packets_are_told_live_with_their_vlan(network: Network) -> None:
    host = network.lan.host("watch")
    crafter = Crafter(network.lan.host("mallory"), 4)
    listening = Listening(host)
    host_of = Ether(advert().data).src
    tagged = Ether(src=host_of) / Dot1Q(vlan=7) / Ether(advert().data).payload
    bad = [crafter.frame(layers) for _, layers in bad_packets(crafter)]
    frames = [advert(R1, adv=100).data, advert(R2, adv=50).data, bytes(tagged), *bad]
    # It may not be listening yet, so all comes again until it was heard.
    heard = threading.Event()

    def send() -> None:
        while not heard.wait(0.05):
            crafter.send_frames(frames)

    sending = threading.Thread(target=send)
    sending.start()
    try:
        listening.wait_for("are masters at once", "intervals differ", ".7 VRID 51", "a bad packet of 192.0.2.66")
    finally:
        heard.set()
        sending.join()
    summary = listening.end()
    assert "! eth0 VRID 51 IPv4: intervals differ: " in summary
    assert "192.0.2.1 and 192.0.2.2 are masters at once" in summary
    assert " bad, eth0, 192.0.2.66: checksum: " in summary


@pytest.mark.namespaces
def test_a_terminal_gets_a_picture_and_ctrl_c_the_summary(network: Network) -> None:
    router = network.vrrpd("r1", settings(4))
    ours, theirs = pty.openpty()
    process = network.lan.host("watch").popen(
        [*SNIFF, "-i", "eth0"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    start_as(MASTER, router)
    text = ""
    while "Ctrl-C ends" not in text or "192.0.2.100" not in text:
        text += os.read(ours, 1 << 16).decode()
    process.send_signal(signal.SIGINT)
    rest = ""
    try:
        while chunk := os.read(ours, 1 << 16):
            rest += chunk.decode()
    except OSError:  # the other end is closed
        pass
    assert process.wait(DEADLINE) == 0
    assert "192.0.2.1 " in rest.rpartition("Link")[2]
    os.close(ours)


@pytest.mark.namespaces
def test_an_interface_that_is_not_there_or_goes_is_named(network: Network) -> None:
    host = network.lan.host("watch")
    done = host.run([*SNIFF, "-i", "eth7"], check=False)
    assert (done.returncode, done.stderr) == (
        1,
        "vrrpd sniff: there is no interface eth7; of Ethernet interfaces there are eth0\n",
    )
    assert "lo is no Ethernet interface" in host.run([*SNIFF, "-i", "lo"], check=False).stderr
    listening = Listening(host, "-i", "eth0")
    start_as(MASTER, network.vrrpd("r1", settings(4)))
    listening.wait_for("is master")
    host.remove_interface("eth0")
    rest, _ = listening.process.communicate(timeout=DEADLINE)
    assert "eth0 was removed" in rest
    assert "VRID" in rest, "what came before is summed up"
    assert listening.process.returncode == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give up being root")
def test_without_the_right_to_capture_it_says_what_is_missing() -> None:
    argv = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--reuid=65534", "--regid=65534", "--clear-groups"]
    done = subprocess.run([*argv, *SNIFF], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("vrrpd sniff: capturing needs CAP_NET_RAW: run it as root")


# Files


def written(path: Path, packets: Sequence[Packet]) -> str:
    with Writer(str(path)) as writer:
        for packet in packets:
            writer.write(packet)
    return str(path)


SOME = [
    advert(R1, 1_700_000_000.123456789, priority=200),
    advert(R2, 1_700_000_004),
    advert_v2(R2, 1_700_000_005, vrid=9),
]


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    first = list(read(written(tmp_path / "1.pcap", SOME)))
    assert [(one.time_ns, one.data) for one in first] == [(one.time_ns, one.data) for one in SOME]
    sniffed("-r", str(tmp_path / "1.pcap"), "-w", str(tmp_path / "2.pcap"))
    assert (tmp_path / "2.pcap").read_bytes() == (tmp_path / "1.pcap").read_bytes()


@pytest.mark.parametrize("name", ["1.pcap", "link.pcap"])
def test_a_file_is_not_written_over_while_it_is_read(tmp_path: Path, name: str) -> None:
    data = Path(written(tmp_path / "1.pcap", SOME)).read_bytes()
    (tmp_path / "link.pcap").symlink_to("1.pcap")
    assert "is what is read" in complaint("-r", str(tmp_path / "1.pcap"), "-w", str(tmp_path / name))
    assert (tmp_path / "1.pcap").read_bytes() == data


def test_a_time_that_no_clock_has_is_shown_all_the_same(tmp_path: Path) -> None:
    path = tmp_path / "1.pcapng"
    with PcapNgWriter(str(path)) as writer:
        frame = Ether(advert(R1).data)
        frame.time = 1e12
        writer.write(frame)
    done = subprocess.run([*SNIFF, "-r", str(path)], capture_output=True, text=True, timeout=60, check=True)
    assert f"{R1} is master" in done.stdout


def test_a_pipe_gets_whole_lines_with_every_column(tmp_path: Path) -> None:
    two = [advert(R1, at, priority=255) for at in range(9)] + [advert(R2, 9, adv=200, priority=255)]
    path = written(tmp_path / "1.pcap", two)
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    done = subprocess.run([*SNIFF, "-r", path], capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert re.search(rf"^ file +51 +{R2} +255 +2 s +192.0.2.100 +pseudo +10 *$", done.stdout, re.MULTILINE)
    assert f"! file VRID 51 IPv4: {R1} and {R2} both own the addresses (priority 255)\n" in done.stdout


def test_a_terminal_of_80_columns_has_room_for_all_of_them(tmp_path: Path) -> None:
    path = written(tmp_path / "1.pcap", [advert(R1)] * 12345)
    environment = os.environ | {"COLUMNS": "80"}
    done = subprocess.run([*SNIFF, "-r", path], capture_output=True, text=True, timeout=60, check=True, env=environment)
    assert "Adverts" in done.stdout
    assert " 12345" in done.stdout


def test_a_picture_of_a_thousand_routers_has_room_for_events_and_shows_what_to_look_after() -> None:
    out, routers = io.StringIO(), Routers()
    console = Console(width=100, height=30, file=out, force_terminal=True)
    picture = Picture(console, routers, "listening")
    for vlan in range(4):
        for vrid in range(1, 256):
            one = replace(heard(advert(R1, 10.0, vrid=vrid)), place=Place("eth0", (vlan,)))
            picture.tell(routers.take(one))
    for at in range(10, 20):  # both of them are masters
        for source in (R1, R2):
            one = replace(heard(advert(source, at + 0.5, vrid=200)), place=Place("eth0", (3,)))
            picture.tell(routers.take(one))
    with picture.shown():
        picture.refresh(20.0)
    shown = out.getvalue()
    assert "eth0.3" in shown, "it has a conflict, and stands before others"
    assert "are masters at once" in shown
    assert "more virtual routers" in shown
    assert "is master, priority 100" in shown, "events have room"


def test_standard_input_and_output_are_files_too(tmp_path: Path) -> None:
    data = Path(written(tmp_path / "1.pcap", SOME)).read_bytes()
    done = subprocess.run([*SNIFF, "-r", "-", "-w", "-"], input=data, capture_output=True, timeout=60, check=True)
    assert done.stdout == data
    assert R2.encode() in done.stderr


def test_pcapng_is_read_with_its_interfaces_and_times(tmp_path: Path) -> None:
    writer = PcapNgWriter(str(tmp_path / "1.pcapng"))
    for one in SOME:
        scapy_packet = Ether(one.data)
        scapy_packet.time = one.time
        scapy_packet.sniffed_on = "eth3"
        writer.write(scapy_packet)
    writer.close()
    found = list(read(str(tmp_path / "1.pcapng")))
    assert [one.interface for one in found] == ["eth3"] * 3
    assert [round(one.time, 4) for one in found] == [round(one.time, 4) for one in SOME]


HEADER, RECORD = 24, 16
"""Bytes that stand before all packets of a pcap file, and before each."""


@pytest.mark.parametrize(
    ("packets", "more", "packet"), [(0, 7, 1), (0, RECORD + 5, 1), (2, 7, 3), (2, RECORD, 3), (2, RECORD + 5, 3)]
)
def test_what_a_cut_file_has_is_shown_and_the_cut_is_told(tmp_path: Path, packets: int, more: int, packet: int) -> None:
    path = Path(written(tmp_path / "1.pcap", SOME))
    whole = HEADER + sum(RECORD + len(each.data) for each in SOME[:packets])
    path.write_bytes(path.read_bytes()[: whole + more])
    done = subprocess.run([*SNIFF, "-r", str(path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert f"is cut off or damaged within packet {packet}" in done.stderr
    assert (R1 in done.stdout) == ("what came before is shown" in done.stderr) == bool(packets)


def test_a_file_cut_within_its_header_is_no_capture(tmp_path: Path) -> None:
    path = Path(written(tmp_path / "1.pcap", SOME))
    path.write_bytes(path.read_bytes()[:10])
    assert "is not a capture file" in complaint("-r", str(path))


def test_a_cut_pcapng_is_told_of(tmp_path: Path) -> None:
    writer = PcapNgWriter(str(tmp_path / "1.pcapng"))
    for one in SOME:
        writer.write(Ether(one.data))
    writer.close()
    whole = (tmp_path / "1.pcapng").read_bytes()
    (tmp_path / "1.pcapng").write_bytes(whole[:-7])
    with pytest.raises(CaptureError, match="within packet 3"):
        list(read(str(tmp_path / "1.pcapng")))


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is no capture\n", encoding="ascii")
    (tmp_path / "empty").touch()
    for name in ("text", "empty"):
        assert f"{name} is not a capture file: neither pcap nor pcapng" in complaint("-r", str(tmp_path / name))
    assert "No such file" in complaint("-r", str(tmp_path / "nothing"))
    assert "Is a directory" in complaint("-r", str(tmp_path))
    assert "No such file" in complaint("-r", written(tmp_path / "1.pcap", SOME), "-w", "/nonexistent/x.pcap")


def test_links_without_ip_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "1.pcap", [replace(SOME[0], link_type=195)])
    assert "link type 195" in complaint("-r", path)
    with pytest.raises(CaptureError, match="one link type, these are 1 and 101"):
        written(tmp_path / "2.pcap", [SOME[0], replace(SOME[0], link_type=101)])


@pytest.mark.parametrize(
    "wrong", [("-i", "eth0", "-r", "x"), ("-t", "0"), ("-t", "soon"), ("-r", "x", "-t", "1"), ("x",)]
)
def test_wrong_usage_exits_with_2(wrong: Sequence[str]) -> None:
    assert complaint(*wrong, code=2)


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    two = [advert(R1, priority=150), advert(R1, priority=160)]
    path = written(tmp_path / "1.pcap", [replace(each, time_ns=at * 10**9) for at in range(1500) for each in two])
    with subprocess.Popen([*SNIFF, "-r", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


def test_json_has_the_documented_keys(tmp_path: Path) -> None:
    found = sniffed("-r", written(tmp_path / "1.pcap", [*SOME, advert(chksum=1)]))
    router = found["virtual_routers"][0]
    sender, reign, bad = router["senders"][0], router["reigns"][0], found["bad_packets"][0]
    conflict = {"kind", "text"}
    text = DOCUMENTATION.read_text(encoding="utf-8")
    for heading, keys in (
        ("The object", set(found)),
        ("`virtual_routers`", set(router)),
        ("`senders`", set(sender)),
        ("`reigns`", set(reign)),
        ("`conflicts`", conflict),
        ("`bad_packets`", set(bad)),
    ):
        _, _, after = text.partition(f"### {heading}\n")
        rows = [line.split("|")[1] for line in after.partition("\n#")[0].splitlines() if line.startswith("| `")]
        assert {key for row in rows for key in row.replace("`", "").replace(",", " ").split()} == keys, heading
    assert found["packets"] == 4
