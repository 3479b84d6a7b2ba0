"""What nftables is told about one table of ours, as netlink has it (include/uapi/linux/netfilter/nf_tables.h).

    table ip vrrpd {
        set addresses { type ipv4_addr; elements = { 192.0.2.100 } }
        chain postrouting {
            type nat hook postrouting priority srcnat; policy accept;
            ct direction original ct original ip daddr @addresses ip daddr != @addresses masquerade
        }
    }

A connection through IPVS has the virtual address as its original destination. `ct status dnat` does not match it: it is
IPVS, not a NAT rule, that sends it elsewhere. A packet of NAT's leaves for the real server's address; one of DR's is
still for the virtual address, and must keep the client's. TUN's is tracked anew, as one for the real server.
"""

import socket
import struct
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import vrrpd.net.messages  # noqa: F401 # enters pyroute2 without the rest of it, before anybody else does

# isort: split
from pyroute2.netlink.nfnetlink import NFNL_SUBSYS_NFTABLES, nfgen_msg
from pyroute2.netlink.nfnetlink import nftsocket as nft

from vrrpd.net.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST
from vrrpd.protocol.advert import Family, IPAddress

TABLE = "vrrpd"
_SET = "addresses"
_CHAIN = "postrouting"

NFGENMSG_SIZE = 4
"""struct nfgenmsg { u8 nfgen_family; u8 version; be16 res_id; }    include/uapi/linux/netfilter/nfnetlink.h"""
NFTA_GEN_ID = 1

_NFNL_MSG_BATCH_BEGIN = 16
_NFNL_MSG_BATCH_END = 17
_FLAGS_AT = 6
_NLM_F_CREATE = 0x400
_NLM_F_APPEND = 0x800

_NF_INET_POST_ROUTING = 4
_NF_IP_PRI_NAT_SRC = 100
_NF_ACCEPT = 1
_IP_CT_DIR_ORIGINAL = 0
_NFT_CT_DIRECTION = 1
_NFT_CT_DST = {Family.IPV4: 0x14, Family.IPV6: 0x16}
"""NFT_CT_DST_IP and NFT_CT_DST_IP6, since Linux 4.17."""
_DESTINATION_AT = {Family.IPV4: 16, Family.IPV6: 24}
"""Of the destination address in the header of IP."""
_NFT_PAYLOAD_NETWORK_HEADER = 1
_NFPROTO = {Family.IPV4: nft.NFPROTO_IPV4, Family.IPV6: nft.NFPROTO_IPV6}
_KEY_TYPE = {Family.IPV4: nft.DATA_TYPE_IPADDR, Family.IPV6: nft.DATA_TYPE_IP6ADDR}

ELEMENTS_MAX = 1024
"""In a message: the length of an attribute has 16 bits, and an element takes up to 28 bytes."""


def batch(requests: Sequence[bytes], *, rehearsal: bool = False) -> bytes:
    """The requests as one that is carried out whole or not at all; the kernel acknowledges it, or says what it refuses.

    Args:
        requests: in their order, at least one.
        rehearsal: the kernel checks them, answers and forgets them: that is what it does where the end is missing.
    """
    last = bytearray(requests[-1])  # Linux before 6.10 acknowledges no NFNL_MSG_BATCH_END
    (flags,) = struct.unpack_from("=H", last, _FLAGS_AT)
    struct.pack_into("=H", last, _FLAGS_AT, flags | NLM_F_ACK)
    end = b"" if rehearsal else _bracket(_NFNL_MSG_BATCH_END)
    return b"".join((_bracket(_NFNL_MSG_BATCH_BEGIN), *requests[:-1], last, end))


def new_table(family: Family) -> bytes:
    """Make the table unless it is there."""
    return _encode(nft.nft_table_msg, nft.NFT_MSG_NEWTABLE, family, [("NFTA_TABLE_NAME", TABLE)], _NLM_F_CREATE)


def remove_table(family: Family) -> bytes:
    """Remove the table with everything in it."""
    return _encode(nft.nft_table_msg, nft.NFT_MSG_DELTABLE, family, [("NFTA_TABLE_NAME", TABLE)])


def fill_table(family: Family, addresses: Iterable[IPAddress]) -> list[bytes]:
    """Put set, chain and rule into the new table."""
    new_set = [
        ("NFTA_SET_TABLE", TABLE),
        ("NFTA_SET_NAME", _SET),
        ("NFTA_SET_KEY_TYPE", _KEY_TYPE[family]),
        ("NFTA_SET_KEY_LEN", family.address_size),
        ("NFTA_SET_ID", 1),
    ]
    hook = [("NFTA_HOOK_HOOKNUM", _NF_INET_POST_ROUTING), ("NFTA_HOOK_PRIORITY", _NF_IP_PRI_NAT_SRC)]
    new_chain = [
        ("NFTA_CHAIN_TABLE", TABLE),
        ("NFTA_CHAIN_NAME", _CHAIN),
        ("NFTA_CHAIN_HOOK", {"attrs": hook}),
        ("NFTA_CHAIN_POLICY", _NF_ACCEPT),
        ("NFTA_CHAIN_TYPE", "nat"),
    ]
    new_rule = [
        ("NFTA_RULE_TABLE", TABLE),
        ("NFTA_RULE_CHAIN", _CHAIN),
        ("NFTA_RULE_EXPRESSIONS", _rule(family)),
    ]
    return [
        _encode(nft.nft_set_msg, nft.NFT_MSG_NEWSET, family, new_set, _NLM_F_CREATE),
        _encode(nft.nft_chain_msg, nft.NFT_MSG_NEWCHAIN, family, new_chain, _NLM_F_CREATE),
        _encode(nft.nft_rule_msg, nft.NFT_MSG_NEWRULE, family, new_rule, _NLM_F_CREATE | _NLM_F_APPEND),
        *add_addresses(family, addresses),
    ]


def _rule(family: Family) -> list[dict[str, Any]]:
    register = nft.Regs.NFT_REG_1
    original = {"attrs": [("NFTA_DATA_VALUE", bytes([_IP_CT_DIR_ORIGINAL]))]}
    return [
        _expression("ct", ("NFTA_CT_DREG", register), ("NFTA_CT_KEY", _NFT_CT_DIRECTION)),
        _expression(
            "cmp", ("NFTA_CMP_SREG", register), ("NFTA_CMP_OP", nft.Cmp.NFT_CMP_EQ), ("NFTA_CMP_DATA", original)
        ),
        _expression(
            "ct",
            ("NFTA_CT_DREG", register),
            ("NFTA_CT_KEY", _NFT_CT_DST[family]),
            ("NFTA_CT_DIRECTION", _IP_CT_DIR_ORIGINAL),
        ),
        _expression("lookup", ("NFTA_LOOKUP_SET", _SET), ("NFTA_LOOKUP_SREG", register)),
        _expression(
            "payload",
            ("NFTA_PAYLOAD_DREG", register),
            ("NFTA_PAYLOAD_BASE", _NFT_PAYLOAD_NETWORK_HEADER),
            ("NFTA_PAYLOAD_OFFSET", _DESTINATION_AT[family]),
            ("NFTA_PAYLOAD_LEN", family.address_size),
        ),
        _expression(
            "lookup",
            ("NFTA_LOOKUP_SET", _SET),
            ("NFTA_LOOKUP_SREG", register),
            ("NFTA_LOOKUP_FLAGS", ("NFT_LOOKUP_F_INV",)),
        ),
        _expression("masq"),
    ]


def _expression(name: str, *attrs: tuple[str, Any]) -> dict[str, Any]:
    return {"attrs": [("NFTA_EXPR_NAME", name), ("NFTA_EXPR_DATA", {"attrs": list(attrs)})]}


def add_addresses(family: Family, addresses: Iterable[IPAddress]) -> list[bytes]:
    """Add them to the set; one that is there already does no harm."""
    return _elements(nft.NFT_MSG_NEWSETELEM, family, addresses, _NLM_F_CREATE)


def remove_addresses(family: Family, addresses: Iterable[IPAddress]) -> list[bytes]:
    """Remove them from the set; all must be there."""
    return _elements(nft.NFT_MSG_DELSETELEM, family, addresses, 0)


def _elements(kind: int, family: Family, addresses: Iterable[IPAddress], flags: int) -> list[bytes]:
    elements = (_element(address) for address in addresses)
    encoded = []
    while some := list(islice(elements, ELEMENTS_MAX)):
        attrs = [*_THE_SET, ("NFTA_SET_ELEM_LIST_ELEMENTS", some)]
        encoded.append(_encode(nft.nft_set_elem_list_msg, kind, family, attrs, flags))
    return encoded


_THE_SET = [("NFTA_SET_ELEM_LIST_TABLE", TABLE), ("NFTA_SET_ELEM_LIST_SET", _SET)]


def _element(address: IPAddress) -> dict[str, Any]:
    return {"attrs": [("NFTA_SET_ELEM_KEY", {"attrs": [("NFTA_DATA_VALUE", address.packed)]})]}


def get_generation() -> bytes:
    """Ask for NFTA_GEN_ID, which grows by one with each change that anybody makes."""
    return _encode(nft.nft_gen_msg, nft.NFT_MSG_GETGEN, None, [], NLM_F_ACK)


def get_table(family: Family) -> bytes:
    """Ask for the table; ENOENT: there is none."""
    return _encode(nft.nft_table_msg, nft.NFT_MSG_GETTABLE, family, [("NFTA_TABLE_NAME", TABLE)], NLM_F_ACK)


def get_contents(family: Family) -> list[bytes]:
    """Ask for the rules of the table, and for the elements of its set."""
    return [
        _encode(nft.nft_rule_msg, nft.NFT_MSG_GETRULE, family, [("NFTA_RULE_TABLE", TABLE)], NLM_F_DUMP),
        _encode(nft.nft_set_elem_list_msg, nft.NFT_MSG_GETSETELEM, family, [*_THE_SET], NLM_F_DUMP),
    ]


def _encode(
    message_class: Any, kind: int, family: Family | None, attrs: list[tuple[str, Any]], flags: int = 0
) -> bytes:
    message = message_class()
    message["nfgen_family"] = socket.AF_UNSPEC if family is None else _NFPROTO[family]
    message["attrs"] = attrs
    message["header"]["type"] = NFNL_SUBSYS_NFTABLES << 8 | kind
    message["header"]["flags"] = NLM_F_REQUEST | flags
    message.encode()
    return bytes(message.data)


def _bracket(kind: int) -> bytes:
    message = nfgen_msg()
    message["res_id"] = NFNL_SUBSYS_NFTABLES
    message["header"]["type"] = kind
    message["header"]["flags"] = NLM_F_REQUEST
    message.encode()
    return bytes(message.data)
