"""Hypothesis strategies for adverts and their senders."""

import hypothesis.strategies as st

from vrrpd.protocol.advert import Advert, IPAddress
from vrrpd.protocol.timing import Centiseconds

sources_ipv4 = st.ip_addresses(v=4)
sources_ipv6 = st.ip_addresses(v=6, network="fe80::/10")


def adverts(addresses: st.SearchStrategy[tuple[IPAddress, ...]]) -> st.SearchStrategy[Advert]:
    return st.builds(
        Advert,
        virtual_router_id=st.integers(1, 255),
        priority=st.integers(0, 255),
        max_advertise_interval=st.integers(1, 4095).map(Centiseconds),
        addresses=addresses,
    )


adverts_ipv4 = adverts(st.lists(st.ip_addresses(v=4), min_size=1, max_size=255).map(tuple))
adverts_ipv6 = adverts(
    st.builds(lambda first, others: (first, *others), sources_ipv6, st.lists(st.ip_addresses(v=6), max_size=254))
)
