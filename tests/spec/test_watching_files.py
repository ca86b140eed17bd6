"""Dashboard, alerts and runbook speak of metrics that are told, and of each other, and of nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from serving.errors import Refusal
from serving.guard.rules import RULES
from serving.metrics import METRICS, STAGES

ROOT = Path(__file__).parents[2]
DASHBOARD = ROOT / "ops" / "grafana" / "povrisk.json"
ALERTS = ROOT / "ops" / "prometheus" / "alerts.yml"
SCRAPING = ROOT / "ops" / "prometheus" / "prometheus.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"
HOW_TO = ROOT / "docs" / "how-to" / "watch-the-service.md"
PARTS = {"_bucket", "_sum", "_count"}
NAME = re.compile(r"\b(povrisk_\w+)(?:\{([^}]*)\})?")
LABEL = re.compile(r"(\w+)\s*(=~|!~|!=|=)\s*\"([^\"]*)\"")


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text("utf-8"))["panels"]
    return found


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text("utf-8"))["groups"] for rule in group["rules"]]


def expressions() -> dict[str, str]:
    shown = {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels()
        for target in panel.get("targets", ())
    }
    return {**shown, **{rule["alert"]: rule["expr"] for rule in alerts()}}


def known(name: str) -> str | None:
    """The metric that a sample of this name belongs to."""
    if name in METRICS:
        return None if isinstance(METRICS[name].how, tuple) else name
    base, _, part = name.rpartition("_")
    return base if f"_{part}" in PARTS and base in METRICS and isinstance(METRICS[base].how, tuple) else None


@pytest.mark.parametrize("where", expressions())
def test_every_expression_asks_for_what_is_told(where: str) -> None:
    expression = expressions()[where]
    found = NAME.findall(expression)
    assert found or "up{" in expression
    for name, selected in found:
        metric = known(name)
        assert metric is not None, f"{where}: {name} is not told"
        for label, _, value in LABEL.findall(selected):
            assert label in (*METRICS[metric].labels, "job"), f"{where}: {metric} has no label {label}"
            if label == "address":
                assert value in RULES, where
            if label == "reason":
                assert set(value.split("|")) <= refusal_names(), where
    for grouped in re.findall(r"\b(?:by|ignoring)\s*\(([^)]*)\)", expression):
        labels = {each for name, _ in found for each in METRICS[str(known(name))].labels} | {"le"}
        assert set(re.split(r",\s*", grouped)) <= labels, where
    assert expression.count("(") == expression.count(")") and expression.count("{") == expression.count("}")


def refusal_names() -> set[str]:
    todo, names = [Refusal], set()
    while todo:
        each = todo.pop()
        todo += each.__subclasses__()
        names.add(getattr(each, "name", ""))
    return names


def test_nothing_that_is_told_is_without_a_place_to_look_at_it() -> None:
    shown = {known(name) for panel in panels() for t in panel.get("targets", ()) for name, _ in NAME.findall(t["expr"])}
    assert shown == set(METRICS)


def test_every_metric_says_what_it_is_and_is_named_as_prometheus_wants_it() -> None:
    listed = HOW_TO.read_text("utf-8")
    for name, metric in METRICS.items():
        assert metric.about[0].isupper() and len(metric.about) < 120
        assert name.endswith("_total") == (metric.how is None)
        assert f"`{name}`" in listed, f"{name} is not in {HOW_TO.name}"
    assert set(re.findall(r"`(povrisk_\w+)`", listed)) <= set(METRICS)
    assert {"read", "wait", "assess", "compare", "keep", "write"} == STAGES


def test_every_alert_has_its_section_in_the_runbook_and_none_is_left_over() -> None:
    sections = re.findall(r"^## (Povrisk\w+)$", RUNBOOK.read_text("utf-8"), re.MULTILINE)
    assert sorted(sections) == sorted(rule["alert"] for rule in alerts())
    for rule in alerts():
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (ROOT / page) == RUNBOOK and anchor == rule["alert"].lower()
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]


def test_every_section_says_what_it_means_how_to_check_and_what_to_do() -> None:
    for section in re.split(r"^## ", RUNBOOK.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        if section.startswith("Povrisk"):
            for part in ("**Means.**", "**Check.**", "**Do.**"):
                assert part in section, section.splitlines()[0]


def test_the_dashboard_opens_in_any_grafana() -> None:
    shown = json.loads(DASHBOARD.read_text("utf-8"))
    assert len({panel["id"] for panel in panels()}) == len(panels())
    assert {variable["name"] for variable in shown["templating"]["list"]} == {"datasource", "job"}
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] in range(25 - place["w"])
        if panel["type"] != "row":
            assert panel["description"] and panel["datasource"]["uid"] == "${datasource}"
            assert all("$job" in target["expr"] for target in panel["targets"])


def test_the_scraping_example_asks_with_a_token_from_a_file() -> None:
    read = yaml.safe_load(SCRAPING.read_text("utf-8"))
    [job] = read["scrape_configs"]
    assert (job["job_name"], job["metrics_path"]) == ("povrisk", "/metrics")
    assert set(job["authorization"]) == {"type", "credentials_file"}
    assert read["rule_files"] == [ALERTS.name]
    assert "/metrics" in RULES
