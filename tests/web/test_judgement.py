"""What is said of a status, and how it is shown."""

from html.parser import HTMLParser
from typing import Any

import pytest

from vrrpd.web.judgement import hindrances, mismatches
from vrrpd.web.page import page

JSON = dict[str, Any]


def router(state: str, *, present: bool, hosts_own: bool = False, name: str = "VI_1") -> JSON:
    vip = {"address": "192.0.2.100/32", "dev": "eth0", "present": present, "hosts_own": hosts_own}
    return {
        "name": name,
        "interface": "eth0",
        "virtual_router_id": 51,
        "family": "ipv4",
        "state": state,
        "reason": "eth0 is down",
        "last_transition": None,
        "effective_priority": 100,
        "master_address": None,
        "vips": [vip],
    }


def status(*routers: JSON, **more: Any) -> JSON:
    about = {"version": "1", "uptime_seconds": 1.0, "drained": False, "configuration": "vrrpd.toml"}
    return about | {"routers": [*routers], "virtual_servers": []} | more


@pytest.mark.parametrize(
    ("state", "present", "hosts_own", "wrong"),
    [
        ("MASTER", True, False, ""),
        ("MASTER", False, False, "VI_1: MASTER, and 192.0.2.100/32 is not on eth0"),
        ("BACKUP", False, False, ""),
        ("BACKUP", True, False, "VI_1: BACKUP, and 192.0.2.100/32 is still on eth0"),
        ("BACKUP", True, True, ""),
        ("FAULT", False, False, ""),
    ],
)
def test_a_mismatch(state: str, *, present: bool, hosts_own: bool, wrong: str) -> None:
    found = [*mismatches(status(router(state, present=present, hosts_own=hosts_own)))]
    assert found == ([wrong] if wrong else [])


def test_who_cannot_serve_is_not_ready() -> None:
    assert [*hindrances(status(router("FAULT", present=False)))] == ["VI_1: FAULT: eth0 is down"]
    resource = {"resource": "services", "listed": False, "reason": "403"}
    unread = {"resources": [resource], "problems": [], "configured": False}
    assert [*hindrances(status(kubernetes=unread))] == ["services: not read yet: 403"]
    asked = unread | {"resources": [resource | {"reason": ""}]}
    assert [*hindrances(status(kubernetes=asked))] == ["services: not read yet"]
    assert [*hindrances(status(kubernetes=unread | {"resources": []}))] == ["nothing was read yet"]
    assert [*hindrances(status(kubernetes={"problems": ["the watcher hangs"]}))] == ["the watcher hangs"]
    lost = unread | {"resources": [resource | {"listed": True}], "problems": ["Node n1: there is no such node"]}
    assert [*hindrances(status(kubernetes=lost))] == ["Node n1: there is no such node"]
    assert [*hindrances(status(kubernetes=unread | {"configured": True}))] == []  # Endpoints in the place of slices
    held = router("BACKUP", present=False)
    assert [*hindrances(status(held, kubernetes=unread))] == []  # by an earlier configuration


class Text(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, _: object) -> None:
        self.tags.add(tag)


def test_what_is_shown_is_text_whatever_it_is() -> None:
    reader = Text()
    reader.feed(page(status(router("FAULT", present=False, name="<script>x</script>"))))
    assert "script" not in reader.tags
    assert "<script>x</script> on eth0" in reader.text
    assert "FAULT: eth0 is down" in reader.text
