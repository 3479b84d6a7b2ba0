"""The alerts fire when they should, and nothing asks for a metric that there is not."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.rendered import DEPLOY, charted, kustomized, objects, of_kind
from vrrpd.web.metrics import exposition

pytestmark = pytest.mark.deploy
MONITORING = DEPLOY / "monitoring"
BY_PROMETHEUS = {"job", "pod", "node", "le"}
"""Labels that a scrape or a histogram brings."""
HISTOGRAM = {"buckets": {"0.1": 1, "+Inf": 1}, "sum": 0.1}
ROUTER = {
    "name": "vips",
    "interface": "eth0",
    "family": "ipv4",
    "virtual_router_id": 50,
    "state": "MASTER",
    "effective_priority": 100,
    "vips": [{"address": "192.0.2.100", "present": True}],
    "counters": {
        "transitions": {"MASTER": 1},
        "adverts_sent": 1,
        "adverts_received": 1,
        "adverts_dropped": {"ttl": 1},
        "gratuitous_arp_sent": 1,
        "unsolicited_na_sent": 1,
        "anomalies": {},
    },
}
STATUS = {
    "version": "0",
    "uptime_seconds": 1,
    "drained": False,
    "speaker_restarts": 0,
    "director_restarts": 0,
    "proxy_restarts": 0,
    "loop_lag_seconds": HISTOGRAM,
    "routers": [ROUTER],
    "virtual_servers": [{"key": "TCP 192.0.2.100:80", "name": "", "quorum": True, "real_servers": []}],
    "ipvs": {"drift": 0, "refused": [], "draining": 0, "sync_seconds": HISTOGRAM},
    "kubernetes": {"watch_errors": 0, "problems": []},
}
"""Of a daemon of which everything can be told."""


def exported() -> dict[str, set[str]]:
    """The metrics of a daemon, and the labels of each."""
    text = exposition(STATUS, "text/plain")[0].decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: set(sample.labels) for sample in samples}


def alerts() -> list[dict[str, str]]:
    rule = of_kind("PrometheusRule", (MONITORING / "prometheusrule.yaml").read_text(encoding="utf-8"))
    return [alert for group in rule["spec"]["groups"] for alert in group["rules"]]


def queries() -> Iterator[tuple[str, str]]:
    """(where, expression)."""
    for alert in alerts():
        yield alert["alert"], alert["expr"]
    for panel in json.loads((MONITORING / "dashboard.json").read_bytes())["panels"]:
        for target in panel["targets"]:
            yield f"panel {panel['title']}", target["expr"].replace('"$job"', '".*"')


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A directory with the alerts as Prometheus itself reads them."""
    rule = of_kind("PrometheusRule", (MONITORING / "prometheusrule.yaml").read_text(encoding="utf-8"))
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]), encoding="utf-8")
    return tmp_path


def promtool(*arguments: str, directory: Path) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=directory, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_alerts(rules: Path) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", "rules.yaml", directory=rules)


def test_alerts_fire_when_they_should_and_not_otherwise(rules: Path) -> None:
    cases = Path(__file__).parent / "alerts.yaml"
    shutil.copy(cases, rules)
    promtool("test", "rules", "alerts.yaml", directory=rules)
    untested = {alert["alert"] for alert in alerts()} - set(re.findall(r'alertname="(\w+)"', cases.read_text()))
    assert not untested


def test_prometheus_understands_every_panel(tmp_path: Path) -> None:
    records = [{"record": f"panel:{number}", "expr": query} for number, (_, query) in enumerate(queries())]
    groups = {"groups": [{"name": "panels", "rules": records}]}
    (tmp_path / "panels.yaml").write_text(yaml.safe_dump(groups), encoding="utf-8")
    promtool("check", "rules", "panels.yaml", directory=tmp_path)


def test_every_metric_and_label_exists() -> None:
    known = exported()
    for where, query in queries():
        asked = set(re.findall(r"\bvrrpd_\w+", query))
        assert asked
        assert asked <= set(known), where
        labels = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
        assert labels <= BY_PROMETHEUS.union(*(known[metric] for metric in asked)), where


def test_panels_do_not_overlap() -> None:
    panels = json.loads((MONITORING / "dashboard.json").read_bytes())["panels"]
    cells = [
        (x, y)
        for at in (panel["gridPos"] for panel in panels)
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert max(x for x, _ in cells) < 24


def test_the_chart_has_the_same_as_the_kustomization() -> None:
    flags = ("podMonitor=true", "prometheusRule=true", "dashboard=true")
    chart = charted(*(f"--set={flag}" for flag in flags)).stdout
    plain = kustomized("monitoring")
    assert of_kind("PrometheusRule", chart)["spec"] == of_kind("PrometheusRule", plain)["spec"]
    dashboards = [
        json.loads(one["data"]["vrrpd.json"])
        for text in (chart, plain)
        for one in objects(text)
        if "dashboard" in one["metadata"]["name"]
    ]
    assert len(dashboards) == 2
    assert dashboards[0] == dashboards[1]
    ours, theirs = (of_kind("PodMonitor", text)["spec"] for text in (chart, plain))
    assert ours["podMetricsEndpoints"] == theirs["podMetricsEndpoints"]
    assert ours["selector"]["matchLabels"].items() >= theirs["selector"]["matchLabels"].items()
