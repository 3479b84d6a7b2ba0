"""Where HTTP is answered: what is taken, and what is said of what is not."""

import pytest

from tests.config.samples import BASE, said
from vrrpd.config.load import parse
from vrrpd.config.model import HttpAddress

REMEDY = 'use "ADDRESS:PORT", such as "127.0.0.1:9112" or "[::1]:9112", or ":9112" for every address'


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("127.0.0.1:9112", "127.0.0.1", 9112),
        ("[::1]:1", "::1", 1),
        (":65535", "", 65535),
        ("0.0.0.0:80", "0.0.0.0", 80),
    ],
)
def test_an_address_and_a_port(written: str, host: str, port: int) -> None:
    http = parse(f'http = "{written}"\n{BASE}', "vrrpd.toml").http
    assert http == HttpAddress(host, port)
    assert str(http) == written


def test_without_the_key_there_is_no_http() -> None:
    assert parse(BASE, "vrrpd.toml").http is None


@pytest.mark.parametrize(
    "written", ["127.0.0.1", "", "9112", "127.0.0.1:0", "[::1]:65536", "127.0.0.1:http", ":²", ":00655360", ":009112"]
)
def test_a_port_is_needed(written: str) -> None:
    assert said(f'http = "{written}"\n{BASE}') == [f'vrrpd.toml:1: http: "{written}" ends in no port; {REMEDY}']


@pytest.mark.parametrize("written", ["localhost:80", "::1:80", "[127.0.0.1]:80", "[]:80", "http://127.0.0.1:80"])
def test_an_address_is_a_number(written: str) -> None:
    assert said(f'http = "{written}"\n{BASE}') == [f'vrrpd.toml:1: http: "{written}" begins with no address; {REMEDY}']
