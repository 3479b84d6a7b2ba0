"""Requests read by pyroute2's decoder, and read again by our own."""

from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.generic.ipvs import ipvsmsg

from tests.ipvs.tables import KEYS, tables, virtual_servers
from vrrpd.ipvs.model import ASKED_FOR, FirewallMark, Table, VirtualServer
from vrrpd.ipvs.wire import key_request, read_virtual_server, real_server_request, virtual_server_request
from vrrpd.net.netlink import HEADER

NEW_SERVICE, NEW_DEST, DEL_SERVICE = 1, 5, 3
FAMILY_ID = 31


def decoded(data: bytes) -> ipvsmsg:
    message = ipvsmsg(data)
    message.decode()
    assert message["header"]["type"] == FAMILY_ID
    assert message["header"]["length"] == len(data)
    return message


@given(st.sampled_from(KEYS).flatmap(virtual_servers))
def test_a_virtual_server(server: VirtualServer) -> None:
    data = virtual_server_request(NEW_SERVICE, FAMILY_ID, server)
    message = decoded(data)
    assert message["cmd"] == NEW_SERVICE
    service = message.get_attr("IPVS_CMD_ATTR_SERVICE")
    if isinstance(server.key, FirewallMark):
        assert service.get_attr("IPVS_SVC_ATTR_FWMARK") == server.key.mark
    else:
        assert service.get_attr("IPVS_SVC_ATTR_ADDR") == str(server.key.address)
        assert service.get_attr("IPVS_SVC_ATTR_PORT") == server.key.port
        assert service.get_attr("IPVS_SVC_ATTR_PROTOCOL") == server.key.protocol
    assert service.get_attr("IPVS_SVC_ATTR_SCHED_NAME") == server.scheduler
    assert service.get_attr("IPVS_SVC_ATTR_TIMEOUT") == server.persistence_timeout
    flags = service.get_attr("IPVS_SVC_ATTR_FLAGS")
    assert (flags["flags"] & ASKED_FOR, flags["mask"]) == (server.flags, 0xFFFFFFFF)
    assert read_virtual_server(data[HEADER.size :]).settings == server.settings


@given(tables())
def test_real_servers(table: Table) -> None:
    for key, server in table.items():
        for real_server in server.real_servers.values():
            message = decoded(real_server_request(NEW_DEST, FAMILY_ID, key, real_server))
            dest = message.get_attr("IPVS_CMD_ATTR_DEST")
            assert dest.get_attr("IPVS_DEST_ATTR_ADDR") == str(real_server.key.address)
            assert dest.get_attr("IPVS_DEST_ATTR_PORT") == real_server.key.port
            assert dest.get_attr("IPVS_DEST_ATTR_FWD_METHOD") == real_server.method
            assert dest.get_attr("IPVS_DEST_ATTR_WEIGHT") == real_server.weight
            assert dest.get_attr("IPVS_DEST_ATTR_U_THRESH") == real_server.upper_threshold
            assert dest.get_attr("IPVS_DEST_ATTR_L_THRESH") == real_server.lower_threshold


def test_a_removal_names_the_virtual_server_alone() -> None:
    for key in KEYS:
        message = decoded(key_request(DEL_SERVICE, FAMILY_ID, key))
        assert message["cmd"] == DEL_SERVICE
        assert message.get_attr("IPVS_CMD_ATTR_DEST") is None
