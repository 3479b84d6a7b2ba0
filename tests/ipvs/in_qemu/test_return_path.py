"""NAT's return path with nftables: this kernel has both that and IPVS."""

from tests.ipvs.return_path import ReturnPath
from vrrpd.net.nftables import Nftables


class TestReturnPath(ReturnPath):
    firewall = Nftables
