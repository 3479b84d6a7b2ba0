"""The agent's flags and environment, read and checked: kube-keepalived-vip's own ones, and ours.

Pure, and light: the supervisor reads them before it forks, and needs none of the libraries that ask the API server.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec import Struct

from vrrpd.agent.objects import Name
from vrrpd.config.kinds import PORT_MAX, interface_name, socket_path, whole, whole_centiseconds
from vrrpd.config.model import DEFAULT_CONTROL_SOCKET, Config, HttpAddress
from vrrpd.config.problems import Refused, shown
from vrrpd.config.service_kinds import command
from vrrpd.config.services import Command
from vrrpd.protocol.timing import ADVERT_INTERVAL_MAX, ADVERT_INTERVAL_MIN, seconds

T = TypeVar("T")

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_./-]*[A-Za-z0-9])?")
_TRUE, _FALSE = ("1", "t", "T", "true", "TRUE", "True"), ("0", "f", "F", "false", "FALSE", "False")
"""As Go's strconv.ParseBool."""


class Flag(Struct, frozen=True):
    """One flag of the command line."""

    name: str
    help: str
    default: str = ""
    metavar: str = ""
    """Empty: it is a switch, which stands alone or has a value after `=`."""

    @property
    def key(self) -> str:
        """Its name as an identifier."""
        return self.name.replace("-", "_")


FLAGS = (
    Flag("services-configmap", "the ConfigMap that maps addresses to services; required", metavar="NAMESPACE/NAME"),
    Flag("watch-namespace", "follow services and endpoints of this namespace alone; default: all", metavar="NAMESPACE"),
    Flag("use-unicast", "send adverts to each of the other nodes instead of the multicast group"),
    Flag("vrid", "of the virtual routers; default: 50", "50", "VRID"),
    Flag("iface", "for adverts and addresses; default: the one that has the node's address", metavar="INTERFACE"),
    Flag("http-port", "for /metrics, /health, /ready, /live and /status; 0: none; default: 8080", "8080", "PORT"),
    Flag("kubeconfig", "how to reach the API server; default: as the pod's service account", metavar="FILE"),
    Flag("apiserver-host", "the API server's URL, in place of the one that is configured", metavar="URL"),
    Flag("release-vips", "hand the addresses over at the end; =false: leave them as they are", "true"),
    Flag("proxy-protocol-mode", "means nothing: entries with :PROXY need no flag"),
    Flag("vrrp-version", "3, of RFC 9568, is the only one", "3", "3"),
    Flag("spread", "a virtual router for each address, with VRIDs from this range, masters all over", "", "FIRST-LAST"),
    Flag("advert-int", "seconds between adverts; default: 1", "1", "SECONDS"),
    Flag("node-name", "this node; default: $NODE_NAME, or what the pod says", metavar="NAME"),
    Flag("node-selector", "the nodes that take part, as labels; default: what the pod says", "", "KEY=VALUE,..."),
    Flag("control-socket", f"default: {DEFAULT_CONTROL_SOCKET}", str(DEFAULT_CONTROL_SOCKET), "SOCKET"),
    Flag("log-format", "default: text", "text", "text|json"),
    Flag("log-level", "default: info", "info", "debug|info|warning|error"),
)

IGNORED = (
    *("alsologtostderr", "logtostderr", "add_dir_header", "one_output", "skip_headers", "skip_log_headers"),
    *("log_backtrace_at", "log_dir", "log_file", "log_file_max_size", "stderrthreshold", "v", "vmodule"),
)
"""Flags of glog and klog, with a value or without."""


class FlagProblem(Struct, frozen=True):
    """One error: `--FLAG: what is wrong; what to do`."""

    flag: str
    wrong: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.flag}: {self.wrong}; {self.remedy}"


class FlagError(ValueError):
    """Flags that cannot be used, with everything that is wrong with them."""

    def __init__(self, problems: tuple[FlagProblem, ...]) -> None:
        self.problems = problems
        super().__init__("\n".join(map(str, problems)))


class Settings(Struct, frozen=True):
    """What the command line and the environment say."""

    config_map: Name
    watch_namespace: str = ""
    """Empty: all."""
    unicast: bool = False
    virtual_router_id: int = 50
    spread: tuple[int, int] | None = None
    """The lowest and the highest VRID of spread mode."""
    advert_int: float = 1.0
    """Seconds."""
    interface: str = ""
    """Empty: the one that has the node's address."""
    node: str = ""
    """Empty: what the pod says."""
    node_selector: Mapping[str, str] | None = None
    """None: the pod's."""
    pod: Name | None = None
    """Our own."""
    kubeconfig: str = ""
    api_server: str = ""
    release_vips: bool = True
    notify: Command | None = None
    base: Config = Config(())
    """What does not come from the cluster."""

    def __str__(self) -> str:
        """As what `vrrpd status` calls the configuration."""
        return f"ConfigMap {'/'.join(self.config_map)}"


def read_settings(
    flags: Mapping[str, str | None], environment: Mapping[str, str], unknown: Sequence[str] = ()
) -> Settings:
    """The settings.

    Args:
        flags: by `Flag.key`, all of them; None: it is there, and its value is missing.
        environment: the process's.
        unknown: what else stands on the command line.

    Raises:
        FlagError: something is wrong.
    """
    reading = _Reading(flags, environment)
    reading.problems += map(_unknown, unknown)
    settings = Settings(
        config_map=reading.flag("services-configmap", _config_map, ("", "")),
        watch_namespace=reading.flag("watch-namespace", _namespace, ""),
        unicast=reading.flag("use-unicast", _switch, False),
        virtual_router_id=reading.flag("vrid", lambda text: whole(1, 255)(_number(text)), 1),
        spread=reading.flag("spread", _range, None),
        advert_int=reading.flag("advert-int", _advert_int, 1.0),
        interface=reading.flag("iface", lambda text: text and interface_name(text), ""),
        node=reading.flag("node-name", _node, "") or environment.get("NODE_NAME", ""),
        node_selector=reading.flag("node-selector", _labels, None),
        pod=_pod(environment),
        kubeconfig=reading.flag("kubeconfig", str, ""),
        api_server=reading.flag("apiserver-host", _url, ""),
        release_vips=reading.flag("release-vips", _switch, True),
        notify=reading.variable("KEEPALIVED_NOTIFY", command, None),
        base=Config(
            (),
            control_socket=reading.flag("control-socket", socket_path, DEFAULT_CONTROL_SOCKET),
            http=reading.flag("http-port", _http, None),
        ),
    )
    reading.flag("proxy-protocol-mode", _switch, False)
    reading.flag("vrrp-version", _version, 3)
    reading.flag("log-format", _one_of("text", "json"), "")
    reading.flag("log-level", _one_of("debug", "info", "warning", "error"), "")
    if not settings.node and settings.pod is None and flags["node_name"] == "":
        remedy = "set POD_NAME and POD_NAMESPACE, or NODE_NAME, or this flag"
        reading.problems.append(FlagProblem("--node-name", "it is not said which node this is", remedy))
    if reading.problems:
        raise FlagError(tuple(reading.problems))
    return settings


class _Reading:
    def __init__(self, flags: Mapping[str, str | None], environment: Mapping[str, str]) -> None:
        self._flags = flags
        self._environment = environment
        self.problems: list[FlagProblem] = []

    def flag(self, name: str, read: Callable[[str], T], instead: T) -> T:
        """The flag's value; `instead` where it is wrong, which is noted."""
        place, text = f"--{name}", self._flags[name.replace("-", "_")]
        if text is None:
            self.problems.append(FlagProblem(place, "its value is missing", f"write {place}=VALUE"))
            return instead
        return self._read(place, text, read, instead)

    def variable(self, name: str, read: Callable[[str], T], instead: T) -> T:
        """The same of an environment variable; `instead` where there is none, too."""
        text = self._environment.get(name, "")
        return self._read(name, text, read, instead) if text else instead

    def _read(self, place: str, text: str, read: Callable[[str], T], instead: T) -> T:
        try:
            return read(text)
        except Refused as refused:
            self.problems.append(FlagProblem(place, refused.wrong, refused.remedy))
            return instead


def _config_map(text: str) -> Name:
    remedy = "use NAMESPACE/NAME of a ConfigMap, such as default/vip-configmap"
    if not text:
        raise Refused("it is missing", remedy)
    namespace, _, name = text.partition("/")
    if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(name)):
        raise Refused(f"{shown(text)} is no namespace and name", remedy)
    return namespace, name


def _namespace(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        raise Refused(f"{shown(text)} cannot be a namespace", "name one, or leave it out to follow all")
    return text


def _node(text: str) -> str:
    if text and not _NAME.fullmatch(text):
        raise Refused(f"{shown(text)} cannot be the name of a node", "use one that `kubectl get nodes` shows")
    return text


def _switch(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE or not text:
        return False
    raise Refused(f"{shown(text)} is not a boolean", "use true or false")


def _one_of(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise Refused(f"{shown(text)} is none of the values that there are", f"use {', '.join(words)}")
        return text

    return read


def _unknown(argument: str) -> FlagProblem:
    name, _, _ = argument.partition("=")
    if not name.startswith("-"):
        return FlagProblem(shown(argument), "it belongs to no flag", "remove it, or write --FLAG=VALUE")
    import difflib  # noqa: PLC0415  (only wrong flags need it, and every daemon would wait for it)

    close = difflib.get_close_matches(name.lstrip("-"), [flag.name for flag in FLAGS], 1)
    return FlagProblem(name, "there is no such flag", f"use --{close[0]}" if close else "see `vrrpd agent --help`")


def _version(text: str) -> int:
    if text != "3":
        raise Refused(f"vrrpd does not speak VRRPv{text}", "have all nodes speak VRRPv3 first, and use 3")
    return 3


def _number(text: str) -> object:
    """An int for what is one; anything else as it is, for whom it is no number either."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else text


def _advert_int(text: str) -> float:
    try:
        value: object = float(text)
    except ValueError:
        value = text
    return whole_centiseconds(seconds(ADVERT_INTERVAL_MIN), seconds(ADVERT_INTERVAL_MAX))(value)


def _range(text: str) -> tuple[int, int] | None:
    if not text:
        return None
    first, dash, last = text.partition("-")
    if not dash:
        raise Refused(f"{shown(text)} is no range of VRIDs", "use FIRST-LAST, such as 100-199")
    lowest, highest = (whole(1, 255)(_number(end)) for end in (first, last))
    if lowest > highest:
        raise Refused(f"{shown(text)} ends before it begins", f"use {highest}-{lowest}")
    return lowest, highest


def _labels(text: str) -> Mapping[str, str] | None:
    if not text:
        return None
    labels: dict[str, str] = {}
    for label in text.split(","):
        key, equals, value = label.strip().partition("=")
        if not (equals and _LABEL.fullmatch(key) and (not value or _LABEL.fullmatch(value))):
            raise Refused(f"{shown(label)} is no label", "use KEY=VALUE, and a comma between two")
        labels[key] = value
    return labels


def _http(text: str) -> HttpAddress | None:
    port = whole(0, PORT_MAX)(_number(text))
    return HttpAddress("", port) if port else None


def _url(text: str) -> str:
    if text and not re.match(r"https?://[^/\s]", text):
        raise Refused(f"{shown(text)} is no URL", "use https://HOST:PORT")
    return text


def _pod(environment: Mapping[str, str]) -> Name | None:
    name = environment.get("POD_NAME", "")
    return (environment.get("POD_NAMESPACE") or "default", name) if name else None
