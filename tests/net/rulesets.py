"""All nftables of a namespace, written and read by `nft`."""

import json
import subprocess
from collections.abc import Set as AbstractSet
from functools import partial
from typing import Any

from vrrpd.lan.namespace import Namespace
from vrrpd.protocol.advert import IPAddress


def ours(addresses: AbstractSet[IPAddress]) -> str:
    """The tables that it comes to, in the words of nft."""
    text = ""
    for family, keyword, kind in ((4, "ip", "ipv4_addr"), (6, "ip6", "ipv6_addr")):
        if elements := ", ".join(str(address) for address in addresses if address.version == family):
            text += f"""
                table {keyword} vrrpd {{
                    set addresses {{ type {kind}; elements = {{ {elements} }}; }}
                    chain postrouting {{
                        type nat hook postrouting priority srcnat; policy accept;
                        ct direction original ct original {keyword} daddr @addresses \
                            {keyword} daddr != @addresses masquerade
                    }}
                }}
            """
    return text


class Ruleset:
    """All nftables of a namespace, in the hands of `nft`."""

    def __init__(self, name: str) -> None:
        self.namespace = Namespace(name)

    def write(self, text: str) -> None:
        self.namespace.call(partial(subprocess.run, ["nft", "-f", "-"], input=text.encode(), check=True))

    def read(self) -> Any:
        """What is there, in an order of its own and without what differs between two of the same kind."""
        listed = self.namespace.call(
            partial(subprocess.run, ["nft", "--json", "list", "ruleset"], capture_output=True, check=True)
        )
        found = json.loads(listed.stdout)["nftables"]
        return sorted(json.dumps(without_handles(entry), sort_keys=True) for entry in found if "metainfo" not in entry)

    def handles(self) -> list[int]:
        """The numbers of the tables; a table that is made anew gets a new one."""
        listed = self.namespace.call(
            partial(subprocess.run, ["nft", "--json", "list", "tables"], capture_output=True, check=True)
        )
        return sorted(entry["table"]["handle"] for entry in json.loads(listed.stdout)["nftables"] if "table" in entry)

    def meant_by(self, text: str) -> Any:
        """What `nft` reads where `nft` has written this and nothing else."""
        self.write("flush ruleset\n" + text)
        return self.read()


def without_handles(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {key: without_handles(value) for key, value in entry.items() if key != "handle"}
    if isinstance(entry, list):
        return sorted((without_handles(value) for value in entry), key=str)
    return entry
