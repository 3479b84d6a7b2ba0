"""The flags of `vrrpd agent` and its environment: what each means, and what is said of wrong ones."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import pytest

from vrrpd.agent.settings import FLAGS, FlagError, Settings, read_settings
from vrrpd.cli import agent, main
from vrrpd.config.model import Config, HttpAddress

NODE = {"NODE_NAME": "bs-01"}
NEEDED = "--services-configmap=default/vip-configmap"


def read(*arguments: str, environment: Mapping[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    agent.add_arguments(parser)
    parsed = parser.parse_args(arguments)
    flags = {flag.key: getattr(parsed, flag.key) for flag in FLAGS}
    return read_settings(flags, NODE if environment is None else environment)


def said(*arguments: str, environment: Mapping[str, str] | None = None) -> list[str]:
    with pytest.raises(FlagError) as caught:
        read(*arguments, environment=environment)
    return [str(problem) for problem in caught.value.problems]


def test_the_defaults_are_those_of_kube_keepalived_vip() -> None:
    settings = read(NEEDED)
    assert settings == Settings(("default", "vip-configmap"), node="bs-01", base=Config((), http=HttpAddress("", 8080)))
    assert (settings.virtual_router_id, settings.advert_int) == (50, 1.0)
    assert settings.release_vips
    assert not settings.unicast


@pytest.mark.parametrize(
    "arguments",
    [
        ("-services-configmap=a/b", "-vrid=7", "-use-unicast", "-release-vips=false", "-iface=eth1"),
        ("--services-configmap", "a/b", "--vrid", "7", "--use-unicast=true", "--release-vips=0", "--iface", "eth1"),
        ("-services-configmap", "a/b", "-vrid", "7", "--use-unicast=T", "--release-vips=False", "-iface", "eth1"),
        (
            *("--logtostderr", "--v=2", "-v", "3", "-stderrthreshold=ERROR", "-alsologtostderr=true", "--vmodule=x=1"),
            *("-v4", "--v"),
            *("--services-configmap=a/b", "--vrid=7", "--use-unicast", "--release-vips=f", "--iface=eth1"),
        ),
    ],
    ids=["one dash", "two dashes", "mixed", "glog"],
)
def test_flags_are_written_as_go_lets_them_be(arguments: tuple[str, ...]) -> None:
    settings = read(*arguments)
    assert (settings.config_map, settings.virtual_router_id, settings.interface) == (("a", "b"), 7, "eth1")
    assert settings.unicast
    assert not settings.release_vips


def test_all_the_others() -> None:
    settings = read(
        *(NEEDED, "--watch-namespace=web", "--spread=100-199", "--advert-int=0.25", "--http-port=0"),
        *("--kubeconfig=/etc/kube", "--apiserver-host=https://192.0.2.1:6443", "--control-socket=/run/a.sock"),
        *("--node-name=n1", "--node-selector=vip=yes, example.org/rack="),
        environment=NODE | {"POD_NAME": "p", "POD_NAMESPACE": "n", "KEEPALIVED_NOTIFY": "/bin/notify -x"},
    )
    assert (settings.watch_namespace, settings.spread, settings.advert_int) == ("web", (100, 199), 0.25)
    assert (settings.kubeconfig, settings.api_server) == ("/etc/kube", "https://192.0.2.1:6443")
    assert settings.base == Config((), control_socket=Path("/run/a.sock"))
    assert (settings.node, settings.node_selector) == ("n1", {"vip": "yes", "example.org/rack": ""})
    assert (settings.pod, settings.notify) == (("n", "p"), ("/bin/notify", "-x"))


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("--services-configmap=vips", '"vips" is no namespace and name; use NAMESPACE/NAME'),
        ("--services-configmap=a/B", '"a/B" is no namespace and name'),
        ("--services-configmap=a/b/c", '"a/b/c" is no namespace and name'),
        ("--watch-namespace=A", '"A" cannot be a namespace'),
        ("--use-unicast=yes", '"yes" is not a boolean; use true or false'),
        ("--vrid=0", "0 is out of range; use 1-255"),
        ("--vrid=x", '"x" is not a whole number; use 1-255'),
        ("--iface=a/b", '"a/b" cannot be the name of an interface'),
        ("--http-port=65536", "65536 is out of range; use 0-65535"),
        ("--apiserver-host=192.0.2.1", '"192.0.2.1" is no URL; use https://HOST:PORT'),
        ("--vrrp-version=2", "vrrpd does not speak VRRPv2; have all nodes speak VRRPv3 first, and use 3"),
        ("--proxy-protocol-mode=maybe", '"maybe" is not a boolean'),
        ("--spread=7", '"7" is no range of VRIDs; use FIRST-LAST'),
        ("--spread=9-3", '"9-3" ends before it begins; use 3-9'),
        ("--spread=0-9", "0 is out of range"),
        ("--advert-int=0.005", "0.005 is out of range"),
        ("--advert-int=0.123", "0.123 is not a multiple of 0.01"),
        ("--advert-int=nan", "nan is out of range"),
        ("--advert-int=fast", '"fast" is not a number'),
        ("--node-name=N 1", '"N 1" cannot be the name of a node'),
        ("--node-selector=a", '"a" is no label; use KEY=VALUE'),
        ("--node-selector==a", '"=a" is no label'),
        ("--control-socket=vrrpd.sock", '"vrrpd.sock" is not an absolute path'),
        ("--log-level=x", '"x" is none of the values that there are; use debug, info, warning, error'),
        ("--log-format=xml", '"xml" is none of the values that there are; use text, json'),
        ("--log-level", "its value is missing; write --log-level=VALUE"),
        ("--kubeconfig", "its value is missing"),
        ("-vrid", "its value is missing"),
    ],
)
def test_what_is_wrong_is_said_of_the_flag(argument: str, wrong: str) -> None:
    (problem,) = said(NEEDED, argument)
    assert problem.startswith(f"--{argument.partition('=')[0].lstrip('-')}: {wrong}"), problem


def test_all_of_it_is_said_at_once_and_the_exit_code_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "--vrid=300", "--spread=9-3"]) == 2
    told = capsys.readouterr().err
    assert all(f"--{flag}: " in told for flag in ("services-configmap", "vrid", "spread", "node-name"))


def test_what_there_is_not_is_said_with_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--vrid=300", "--use-unicasts", "--watch-all=true", "-nonsense", "stray", "--vrrp-version=2")
    assert main(["agent", *arguments]) == 2
    told = capsys.readouterr().err
    assert "--use-unicasts: there is no such flag; use --use-unicast\n" in told
    assert "--watch-all: there is no such flag; see `vrrpd agent --help`\n" in told
    assert "-nonsense: there is no such flag" in told
    assert '"stray": it belongs to no flag' in told
    assert "--vrrp-version: vrrpd does not speak VRRPv2" in told
    assert all(f"--{flag}: " in told for flag in ("services-configmap", "vrid", "node-name"))


def test_a_value_that_is_missing_is_said_with_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["agent", "--services-configmap", "--iface", "-x", "--node-name", "--vrid=0"]) == 2
    told = capsys.readouterr().err.splitlines()
    missing = [line.partition(":")[0] for line in told if ": its value is missing; write --" in line]
    assert missing == ["--services-configmap", "--iface", "--node-name"]
    assert len(told) == len(missing) + 2


def test_a_command_that_does_not_know_something_shows_its_own_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["check", "--nonsense"])
    assert capsys.readouterr().err.startswith("usage: vrrpd check ")


def test_it_must_be_said_which_node_this_is() -> None:
    (problem,) = said(NEEDED, environment={})
    assert problem.startswith("--node-name: it is not said which node this is; set POD_NAME and POD_NAMESPACE")
    assert read(NEEDED, environment={"POD_NAME": "p"}).pod == ("default", "p")


def test_a_wrong_variable_is_named() -> None:
    (problem,) = said(NEEDED, environment=NODE | {"KEEPALIVED_NOTIFY": "notify"})
    assert problem.startswith('KEEPALIVED_NOTIFY: "notify" does not begin with an absolute path')
