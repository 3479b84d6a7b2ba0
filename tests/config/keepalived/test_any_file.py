"""What is written for keepalived is read as it was; and whatever a file holds, it is that, or an error to be read."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.config.accepted import accepted
from tests.config.keepalived.configs import configs
from tests.config.keepalived.files import FILE, instance, server
from vrrpd.config.keepalived import as_keepalived
from vrrpd.config.load import load, parse
from vrrpd.config.model import Config
from vrrpd.config.problems import ConfigError
from vrrpd.config.syntax import is_keepalived
from vrrpd.config.toml import as_toml
from vrrpd.protocol.timing import PRIORITY_OWNER

EVERYTHING = "$X=1\n" + instance(
    "state MASTER",
    "nopreempt",
    "track_interface {",
    "eth1 weight -2",
    "}",
    "unicast_peer {",
    "192.0.2.2",
    "}",
    'notify_master "/bin/x \\"a b\\"" root',
    "authentication {",
    "auth_type PASS",
    "}",
)
EVERYTHING += server(
    "sorry_server 198.51.100.9 80",
    "lb_algo rr",
    real='HTTP_GET {\nurl {\npath /\nregex "a{2}"\n}\n}\nMISC_CHECK {\nmisc_path /x\n}',
)
FRAGMENTS = st.sampled_from(
    [
        *("{", "}", "\n", '"', "'", "\\", "#", "!", "@here", "@^", "$X", "${X}", "$X=", "~SEQ(", "-1", "0", "1e9", "x"),
        *("\0", "\r", "\x85", "é", "\udcff", " ", "[", "=", "${_PWD}", "include ", "/dev/null", "192.0.2.1", "fe80::1"),
        *EVERYTHING.splitlines(keepends=True),
    ]
)


@given(configs())
def test_what_is_written_for_keepalived_is_read_as_it_was(config: Config) -> None:
    text = as_keepalived(config)
    assert is_keepalived(text)
    assert parse(text, FILE) == config
    assert parse(as_toml(config), "vrrpd.toml") == config


def no_owner_has_weights(config: Config) -> bool:
    """Of weights that have no effect keepalived tells in its way, and `vrrpd check` in its own."""
    return not any(instance.priority == PRIORITY_OWNER and instance.weights for instance in config.instances)


@pytest.mark.interop
@given(config=configs(others=(), marks=False).filter(no_owner_has_weights))
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_keepalived_takes_it_as_well(config: Config, tmp_path: Path) -> None:
    accepted(config, tmp_path)


@st.composite
def mutations(draw: st.DrawFn) -> str:
    """A right file in which a few pieces are gone, doubled or something else."""
    text = EVERYTHING
    for _ in range(draw(st.integers(1, 5))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 40)))
        text = text[:start] + draw(FRAGMENTS | st.just("") | st.just(text[start:end] * 2)) + text[end:]
    return text


def require_config_or_error(text: str) -> None:
    try:
        config = parse(text, FILE, require_printable)
    except ConfigError as error:
        for problem in error.problems:
            require_printable(str(problem))
    else:
        assert parse(as_toml(config), "vrrpd.toml") == config


def require_printable(line: str) -> None:
    assert line.isprintable()
    assert line.startswith(f"{FILE}:") or not line.startswith("keepalived.conf")


@given(mutations())
def test_any_mutation_of_a_right_file(text: str) -> None:
    require_config_or_error(text)


@given(st.lists(FRAGMENTS).map("".join))
def test_any_fragments(text: str) -> None:
    require_config_or_error(f"! keepalived\n{text}")


@given(st.text())
def test_any_text(text: str) -> None:
    require_config_or_error(f"! keepalived\n{text}")


@given(st.binary())
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = Path(tmp_path_factory.getbasetemp(), FILE)
    file.write_bytes(b"! keepalived\n" + content)
    with pytest.raises(ConfigError):
        load(file)


@pytest.mark.parametrize(
    "text",
    [
        "! Configuration File for keepalived\n",
        "# comment\n\n  \t\r\n# another\nglobal_defs {\n",
        "global_defs\n{\n}\n",
        "vrrp_instance VI_1 {\n",
        "vrrp_instanc VI_1 {\n",
        "include /etc/keepalived/conf.d/*.conf\n",
        "$PRIORITY=150\n",
        "@one $PRIORITY=150\n",
        "net_namespace x\n",
        "\ufeffvirtual_server 192.0.2.1 80 {\n",
    ],
)
def test_a_keepalived_conf_is_told_by_its_content(text: str) -> None:
    assert is_keepalived(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# comment\n",
        'control_socket = "/run/x"\nhttp = ":1"\n',
        "[[vrrp_instance]]\nname = 'VI_1'\n",
        "vrrp_instance = [{ name = 'VI_1' }]\n",
        "vrrp_instance=[{\n",
        "virtual_server.x = {\n",
        "nothing that anybody knows\n",
        "# vrrp_instance VI_1 {\n\n# {\n[[vrrp_instance]]\n",
        '"key" = 1\n',
    ],
)
def test_toml_is_not_taken_for_one(text: str) -> None:
    assert not is_keepalived(text)
