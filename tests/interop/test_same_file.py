"""One keepalived.conf, run by a keepalived and by a vrrpd: they agree on the master, and take over from each other."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.peers import BACKUP, MASTER, Keepalived, RouterSettings, Vrrpd
from tests.peers import DEADLINE, Network, advert_of, eventually, ip_of, wait_served_by
from vrrpd.lan.capture import Capture
from vrrpd.lan.probe import Prober

pytestmark = pytest.mark.interop

OURS = socket.gethostname().partition(".")[0]
"""What conditions are compared with where nothing else is said, as vrrpd has it."""
ROUTER = RouterSettings(51, ("192.0.2.100/24",), advert_int=0.1)
FILE = f"""\
! Configuration File for keepalived

global_defs {{
   notification_email {{
     root@localhost
   }}
   router_id LVS_DEVEL
   vrrp_version 3
   vrrp_garp_master_refresh 60
   enable_script_security
   script_user root
}}

$NAME={ROUTER.name}

vrrp_script alive {{
    script "test -e ${{_PWD}}/alive"
    interval 1
    weight -150
}}

vrrp_instance $NAME
{{
    state BACKUP
    interface eth0
    virtual_router_id 51
    @{OURS}  priority 200
    @^{OURS} priority 100
    advert_int 0.1                # ten a second
    track_script {{
        alive
    }}
    include addresses/*.conf
    notify_master "/bin/sh -c 'echo master >> ${{_PWD}}/notified'"
    notify_backup "/bin/sh -c 'echo backup >> ${{_PWD}}/notified'"
}}
"""
ADDRESSES = """\
virtual_ipaddress {
    192.0.2.100/24 dev eth0 label eth0:vip
    192.0.2.7      # another
}
"""


class KeepalivedAsItIs(Keepalived):
    """A keepalived that is run with a file of its own."""

    def write_configuration(self) -> None:
        """Part of `Daemon`."""


class VrrpdAsItIs(Vrrpd):
    """A vrrpd that is run with a keepalived.conf, which has no word for a control socket: its /run is its own."""

    def write_configuration(self) -> None:
        """Part of `Daemon`."""

    def run(self) -> subprocess.Popen[bytes]:
        """Part of `Vrrpd`."""
        own_run = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh")
        command = (sys.executable, "-m", "vrrpd", "run", "-c", str(self.directory / "keepalived.conf"))
        process = self._popen([*own_run, *command])
        self.control_socket = Path(f"/proc/{process.pid}/root/run/vrrpd/vrrpd.sock")
        return process

    def command(self, name: str) -> str:
        """What another vrrpd command prints that is given the same file."""
        command = [sys.executable, "-m", "vrrpd", name, "-c", str(self.directory / "keepalived.conf")]
        result = self.host.run([*command, "--socket", str(self.control_socket)])
        return result.stdout + result.stderr


def write(directory: Path, text: str, addresses: str) -> Path:
    (directory / "addresses").mkdir(parents=True, exist_ok=True)
    (directory / "addresses" / "all.conf").write_text(addresses)
    (directory / "keepalived.conf").write_text(text)
    (directory / "alive").touch()
    return directory / "keepalived.conf"


@pytest.fixture
def pair(network: Network) -> tuple[KeepalivedAsItIs, VrrpdAsItIs]:
    theirs = network.add(KeepalivedAsItIs, "theirs", [ROUTER])
    ours = network.add(VrrpdAsItIs, "ours", [ROUTER])
    for daemon in (theirs, ours):
        write(daemon.directory, FILE, ADDRESSES)
    return theirs, ours


@pytest.fixture
def prober(network: Network) -> Iterator[Prober]:
    with Prober(network.lan.host("client"), ip_of(ROUTER.addresses[0]), interval=0.005) as prober:
        yield prober


def start_keepalived(theirs: KeepalivedAsItIs) -> None:
    """As the other host, though it has the name of this one."""
    theirs._popen(
        [
            *("keepalived", "--vrrp", "--dont-fork", "--log-console", "--no-syslog", "--config-id", "another"),
            *("--use-file", str(theirs.directory / "keepalived.conf")),
            *("--pid", str(theirs.directory / "pid"), "--vrrp_pid", str(theirs.directory / "vrrp.pid")),
        ]
    )


def test_they_agree_and_fail_over(pair: tuple[KeepalivedAsItIs, VrrpdAsItIs], network: Network, prober: Prober) -> None:
    theirs, ours = pair
    checked = theirs.host.run(["keepalived", "--config-test", "--use-file", str(theirs.directory / "keepalived.conf")])
    assert (checked.stdout, checked.stderr) == ("", "")
    with Capture(network.lan) as capture:
        start_keepalived(theirs)
        theirs.wait_until(MASTER, DEADLINE)
        ours.run()
        ours.wait_until(MASTER, DEADLINE)  # of the same file it has the better priority
        eventually(lambda: theirs.state() == BACKUP, "keepalived yields")
        wait_served_by(prober, ours)
        assert capture.wait_for(advert_of(ours, 200), DEADLINE)
        for address in ("192.0.2.100", "192.0.2.7"):
            assert ours.host.has_address(address)
            assert not theirs.host.has_address(address)

        (ours.directory / "alive").unlink()
        theirs.wait_until(MASTER, DEADLINE)
        ours.wait_until(BACKUP, DEADLINE)
        (ours.directory / "alive").touch()
        eventually(lambda: (ours.state(), theirs.state()) == (MASTER, BACKUP), "vrrpd is well again, and master")

        ours.host.silence()
        theirs.wait_until(MASTER, DEADLINE)
        wait_served_by(prober, theirs)
        ours.host.unsilence()
        eventually(lambda: (ours.state(), theirs.state()) == (MASTER, BACKUP), "vrrpd is the only master again")

        ours.stop()
        theirs.wait_until(MASTER, DEADLINE)
        wait_served_by(prober, theirs)
        assert not ours.host.has_address("192.0.2.100")
    for daemon in (ours, theirs):
        assert (daemon.directory / "notified").read_text().splitlines()[-1] == "master"
    assert "master" in (ours.directory / "notified").read_text()
    assert ours.log.count("vrrpd sends no mail") == 1


def test_a_change_is_applied_by_a_reload(pair: tuple[KeepalivedAsItIs, VrrpdAsItIs]) -> None:
    _, ours = pair
    ours.run()
    ours.wait_until(MASTER, DEADLINE)
    assert (
        f"valid, {1} virtual router"
        in ours.host.run([sys.executable, "-m", "vrrpd", "check", "-c", str(ours.directory / "keepalived.conf")]).stdout
    )
    write(ours.directory, FILE, ADDRESSES.replace("192.0.2.7 ", "192.0.2.8 "))
    assert ours.command("reload") == f"changed: {ROUTER.name}\n"
    eventually(lambda: ours.host.has_address("192.0.2.8"), "the new address is there")
    assert not ours.host.has_address("192.0.2.7")
    assert '"192.0.2.8/32"' in ours.command("show")

    write(ours.directory, FILE + "vrrp_sync_group G {\n}\n", ADDRESSES)
    with pytest.raises(subprocess.CalledProcessError) as caught:
        ours.command("reload")
    assert caught.value.returncode == 2
    assert "vrrp_sync_group: vrrpd has no groups" in caught.value.stderr
    assert ours.host.has_address("192.0.2.8")
