"""What `vrrpd check` reads of a host."""

from vrrpd.config.host import present_interfaces
from vrrpd.lan.hosts import Lan


def test_who_tells_of_addresses_of_other_interfaces() -> None:
    with Lan() as lan:
        host = lan.host("r1")
        assert host.call(present_interfaces)["eth0"].tells_of_others
        host.sysctl("net.ipv4.conf.all.arp_ignore", 1)
        assert host.call(present_interfaces)["eth0"].tells_of_others
        host.sysctl("net.ipv4.conf.eth0.arp_announce", 2)
        assert not host.call(present_interfaces)["eth0"].tells_of_others
