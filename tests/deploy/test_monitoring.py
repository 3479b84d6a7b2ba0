"""The alerts fire when they should, and nothing asks for a metric that there is not."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.rendered import DEPLOY, charted, kustomized, objects, of_kind

pytestmark = pytest.mark.deploy
MONITORING = DEPLOY / "monitoring"
METRICS = {
    *("vrrpd_state", "vrrpd_transitions_total", "vrrpd_adverts_sent_total", "vrrpd_adverts_received_total"),
    *("vrrpd_adverts_dropped_total", "vrrpd_gratuitous_total", "vrrpd_loop_lag_seconds_bucket"),
    *("vrrpd_conflicting_masters_total", "vrrpd_vip_present", "vrrpd_speaker_restarts_total"),
    *("vrrpd_ipvs_services", "vrrpd_ipvs_real_servers", "vrrpd_ipvs_drift_total", "vrrpd_ipvs_sync_seconds_bucket"),
    "vrrpd_kube_watch_errors_total",
}


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


def test_every_metric_exists() -> None:
    asked = {(metric, where) for where, query in queries() for metric in re.findall(r"\bvrrpd_\w+", query)}
    assert {metric for metric, _ in asked} <= METRICS, sorted(found for found in asked if found[0] not in METRICS)


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
