"""NAT's return path with iptables: this kernel has no nftables for IP."""

from tests.ipvs.return_path import ReturnPath
from vrrpd.net.iptables import Iptables


class TestReturnPath(ReturnPath):
    firewall = Iptables
