"""A sealed configuration says the same, and which virtual servers are other than they were."""

import pickle

from tests.config.samples import BASE
from vrrpd.config.load import parse
from vrrpd.config.model import Config
from vrrpd.config.sealed import seal
from vrrpd.supervisor.reload import changes


def config(*servers: tuple[int, str], base: str = BASE) -> Config:
    text = [base]
    for port, line in servers:
        text += ["[[virtual_server]]", 'address = "192.0.2.100"', f"port = {port}", line]
    return parse("\n".join(text), "vrrpd.toml")


def test_it_says_the_same() -> None:
    for whole in (config(), config((80, ""), (81, "quorum = 2"))):
        sealed = pickle.loads(pickle.dumps(seal(whole)))
        assert sealed.opened() == whole
        assert sealed.speakers.virtual_servers == ()


def test_what_is_other_than_it_was_is_known_without_opening_it() -> None:
    before = seal(config((80, ""), (81, ""), (82, "")))
    after = seal(config((81, "quorum = 2"), (82, ""), (83, ""), base=BASE.replace("/run/vrrpd", "/run/x")))
    assert changes(before, after) == {
        "settings": [],
        "at the next start": ["control_socket"],
        "scripts": [],
        "virtual servers added": ["TCP 192.0.2.100:83"],
        "virtual servers changed": ["TCP 192.0.2.100:81"],
        "virtual servers removed": ["TCP 192.0.2.100:80"],
    }
    assert not any(changes(before, before).values())


def test_programs_that_are_other_than_they_were_are_named() -> None:
    def scripts(*lines: str) -> Config:
        return config(base=BASE + "".join(f'\n[[vrrp_script]]\nscript = "/bin/true"\n{line}' for line in lines))

    before = seal(scripts('name = "kept"', 'name = "changed"', 'name = "removed"'))
    after = seal(scripts('name = "kept"', 'name = "changed"\nfall = 2', 'name = "added"'))
    assert changes(before, after)["scripts"] == ["changed", "removed", "added"]
