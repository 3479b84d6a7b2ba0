"""Whatever a file holds, it is a configuration that works, or a ConfigError that can be read."""

from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.config.documents import SCALARS, Document, documents, tables
from tests.config.test_load import EVERYTHING
from tests.config.test_virtual_servers import SERVICES
from vrrpd.config.by_blocks import read_by_blocks
from vrrpd.config.keepalived import as_keepalived
from vrrpd.config.load import load, parse
from vrrpd.config.model import Config
from vrrpd.config.problems import ConfigError
from vrrpd.config.schema import ADDRESS, INSTANCE, TOP
from vrrpd.config.service_keys import TABLES
from vrrpd.config.toml import as_toml
from vrrpd.director import check as director_check
from vrrpd.director.service import Service
from vrrpd.ipvs.wire import real_server_request, virtual_server_request
from vrrpd.protocol.advert import Advert, Family, encode

KNOWN_KEYS = st.sampled_from(
    [key for table in (TOP, INSTANCE, ADDRESS) for key in (*table.names, *table.not_yet, *table.never)]
)
SERVICE_KEYS = st.sampled_from(
    sorted({key for table in TABLES for key in (*table.names, *table.not_yet, *table.never)} | {"type"})
)
VALUES = SCALARS | st.sampled_from(
    [
        "eth0",
        "eth0:vip",
        "192.0.2.1",
        "192.0.2.2/24",
        "2001:db8::1",
        "fe80::1/64",
        "/run/a",
        "message",
        "reply",
        1,
        0.01,
    ]
)
SERVICE_VALUES = VALUES | st.sampled_from(
    [
        *("TCP", "UDP", "wlc", "mh", "sh", "DR", "NAT", "auto", "HTTP", "MISC", "DNS", "/bin/x y", "192.0.2.1-9 80"),
        80,
        0,
    ]
)
FRAGMENTS = st.sampled_from(
    [
        *(
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            "=",
            ",",
            '"',
            "'",
            '"""',
            "'''",
            "#",
            "\n",
            "\\",
            ".",
            "-1",
            "0",
            "51",
            "1e400",
        ),
        *("true", "nan", "1979-05-27", '"2001:db8::1"', '"192.0.2.100"', "\ufeff", "\0", "\r", "\f", "\x85", "é"),
        *EVERYTHING.splitlines(keepends=True),
        *SERVICES.splitlines(keepends=True),
    ]
)


def require_config_or_error(text: str) -> None:
    quickly = read_by_blocks(text, None)
    try:
        config = parse(text, "vrrpd.toml")
    except ConfigError as error:
        require_readable(error, text)
        assert quickly is None
    else:
        require_usable(config)
        assert quickly is None or quickly.opened() == config


def require_readable(error: ConfigError, text: str) -> None:
    assert error.problems
    for problem in error.problems:
        assert problem.file == "vrrpd.toml"
        assert problem.line is not None
        assert 1 <= problem.line <= text.count("\n") + 1
        assert problem.wrong
        assert problem.remedy
        assert str(problem).isprintable()


def require_usable(config: Config) -> None:
    for instance in config.instances:
        parameters = instance.parameters()
        source = IPv4Address("192.0.2.1") if instance.family is Family.IPV4 else IPv6Address("fe80::1")
        interval = parameters.advertisement_interval
        assert encode(Advert(instance.virtual_router_id, parameters.priority, interval, parameters.addresses), source)
    table = {
        key: server
        for settings in config.virtual_servers
        for key, server in Service(settings).table(frozenset()).items()
    }
    assert len(table) == sum(len(settings.keys) for settings in config.virtual_servers)
    for server in table.values():
        assert virtual_server_request(1, 1, server)
        assert all(real_server_request(1, 1, server.key, real) for real in server.real_servers.values())
    assert all(map(str, director_check.findings(config, {})))
    assert parse(as_toml(config), "shown") == config
    assert as_keepalived(config)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A right file in which a few pieces are gone, doubled or something else."""
    text = draw(st.sampled_from([EVERYTHING, SERVICES]))
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        text = text[:start] + draw(FRAGMENTS | st.just("") | st.just(text[start:end] * 2)) + text[end:]
    return text


@st.composite
def instances(draw: st.DrawFn) -> dict[str, Any]:
    """Instances that have their required keys, and others with any value."""
    required = {"interface": "eth0", "virtual_ipaddress": ["192.0.2.1"]}
    others = draw(st.lists(tables(KNOWN_KEYS, VALUES), min_size=1, max_size=3))
    return {
        "vrrp_instance": [
            {"name": f"VI_{vrid}", "virtual_router_id": vrid, **required, **other}
            for vrid, other in enumerate(others, start=1)
        ]
    }


@st.composite
def services(draw: st.DrawFn) -> dict[str, Any]:
    """Virtual servers that have an address, and real servers, and otherwise any value."""
    others = draw(st.lists(tables(SERVICE_KEYS, SERVICE_VALUES), min_size=1, max_size=3))
    reals = draw(st.lists(tables(SERVICE_KEYS, SERVICE_VALUES), max_size=3))
    real_servers = [{"address": f"192.0.2.{last}", **real} for last, real in enumerate(reals, start=1)]
    return {
        "virtual_server": [
            {"address": "192.0.2.100", "port": port, **other, "real_server": real_servers}
            for port, other in enumerate(others, start=1)
        ]
    }


@given(st.text())
def test_any_text(text: str) -> None:
    require_config_or_error(text)


@given(mutations())
def test_any_mutation_of_a_right_file(text: str) -> None:
    require_config_or_error(text)


@given(mutations(), mutations())
def test_what_is_known_of_one_file_changes_nothing_in_another(first: str, second: str) -> None:
    alone = read_by_blocks(second, None)
    after = read_by_blocks(second, read_by_blocks(first, None))
    assert (after and after.opened()) == (alone and alone.opened())


@given(documents(tables(KNOWN_KEYS, VALUES)))
def test_any_document_of_known_keys(document: Document) -> None:
    require_config_or_error(document.text)


@given(documents(instances()))
def test_any_values_in_instances(document: Document) -> None:
    require_config_or_error(document.text)


@given(documents(services()))
def test_any_values_in_virtual_servers(document: Document) -> None:
    require_config_or_error(document.text)


@given(st.binary())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = Path(tmp_path_factory.getbasetemp(), "vrrpd.toml")
    file.write_bytes(content)
    with pytest.raises(ConfigError):
        load(file)
