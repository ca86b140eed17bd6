"""What /metrics tells: right numbers, joined over workers, in tens where they are about households, bounded labels."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families

from models.certainty import Certainty
from models.profile import Profile, psi
from serving import metrics, recent
from serving.heartbeat import REMEMBERED_S, Stops, rss_bytes
from serving.settings import Settings

NAMES = tuple(f"feature_{i}" for i in range(30))
# What is told does not depend on what the trees are, so a model without trees does.
IMPORTANCE = np.linspace(0.0, 1.0, 30)
SOURCES = ("医保", "民政")
Seen = dict[tuple[str, tuple[str, ...]], float]


def profile() -> Profile:
    rng = np.random.default_rng(0)
    months = np.full(4_000, "2024-01", object)
    return Profile.of(rng.normal(size=(4_000, 30)), NAMES, rng.beta(1, 20, 4_000), months)


def a_bundle(name: str = "a", **changed: Any) -> Any:
    parts = {
        "sha256": name * 64,
        "version": f"1+{name}",
        "time_zone": "Asia/Shanghai",
        "importance": IMPORTANCE,
        "sources": dict.fromkeys(SOURCES, (5, 60)),
        "certainty": Certainty(profile=profile()),
    }
    return SimpleNamespace(**{**parts, **changed})


def records(n: int, bundle: Any, *, tier: str = "green", status: str = "scored", **more: Any) -> list[dict[str, Any]]:
    plain = {
        "status": status,
        "tier": tier,
        "probability": 0.02,
        "abstention": [],
        "data_quality": {"sources": []},
        "model": {"bundle_sha256": bundle.sha256},
    }
    return [{**plain, **more} for _ in range(n)]


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[CollectorRegistry]:
    """Nothing counted yet."""
    fresh = CollectorRegistry()
    monkeypatch.setattr(metrics, "REGISTRY", fresh)
    empty = {"_families": {}, "_children": {}, "_held_back": Counter(), "_in_use": None, "_recent": None}
    for name, value in empty.items():
        monkeypatch.setattr(metrics, name, value)
    monkeypatch.setattr(recent, "current", lambda: Settings(today="2026-11-23"))
    yield fresh


def seen(registry: CollectorRegistry) -> Seen:
    """(name, label values in the order of the labels' names) of every sample."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {
        (s.name, tuple(s.labels[each] for each in sorted(s.labels))): s.value
        for family in families
        for s in family.samples
    }


def all_refreshed() -> None:
    for _ in range(3 * (recent.FEATURES + 2)):
        metrics.refresh()


# -- counting


def test_results_are_told_in_whole_tens(registry: CollectorRegistry) -> None:
    bundle = a_bundle()
    rng = np.random.default_rng(1)
    told, true = 0.0, 0
    for n in rng.integers(1, 8, 40).tolist():
        metrics.told(records(n, bundle, tier="red", abstention=[{"code": "no_events"}]))
        true += n
        now = seen(registry)
        count = now.get(("povrisk_assessments_total", ("scored", "red")), 0.0)
        # Whoever looks before and after a call learns of nobody, or of ten.
        assert (count - told) % 10 == 0
        assert 0 <= true - count < 10
        assert now.get(("povrisk_abstentions_total", ("no_events",)), 0.0) == count
        told = count
    assert told >= 100


def test_no_cell_of_fewer_than_ten_is_told(registry: CollectorRegistry) -> None:
    bundle = a_bundle()
    metrics.model_in_use(bundle, rules_only=False)
    news = {"sources": [{"source": "医保", "latest_known_at": "2026-11-20"}]}
    metrics.told(records(9, bundle, tier="red", status="abstained", abstention=[{"code": "x"}], data_quality=news))
    all_refreshed()
    about_households = [name for name, labels in seen(registry) if "red" in labels or "x" in labels or "age" in name]
    assert about_households == []
    metrics.told(records(1, bundle, tier="red", status="abstained", abstention=[{"code": "x"}], data_quality=news))
    all_refreshed()
    now = seen(registry)
    assert now["povrisk_assessments_total", ("abstained", "red")] == now["povrisk_abstentions_total", ("x",)] == 10
    assert now["povrisk_source_age_days", ("医保",)] == 3


def test_nothing_stands_at_zero_before_it_is_known(registry: CollectorRegistry) -> None:
    assert seen(registry) == {}
    metrics.store_state(True)
    assert seen(registry) == {("povrisk_store_up", ()): 1.0}


def test_the_first_failure_is_an_increase(registry: CollectorRegistry) -> None:
    metrics.model_in_use(a_bundle(), rules_only=False)
    now = seen(registry)
    assert now["povrisk_calls_total", ("/score", "500")] == now["povrisk_assessments_total", ("error", "grey")] == 0


def test_a_label_is_one_of_our_words_and_there_is_an_end_to_them(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    for strange in ("h 1", 'a"b', "x\ny", "x" * 65, "", "张三,李四"):
        metrics.call_done(strange, 200, 0.1)
        metrics.refused(strange)
        metrics.stage(strange, 0.1)
    labels = {label for _, labels in seen(registry) for label in labels}
    assert {"other"} <= labels and not labels & {"h 1", "x" * 65, ""}
    monkeypatch.setattr(metrics, "MOST_LABELS", 40)
    for i in range(200):
        metrics.refused(f"reason-{i}")
    reasons = [labels for name, labels in seen(registry) if name == "povrisk_refusals_total"]
    assert len(reasons) <= 40
    assert seen(registry)["povrisk_refusals_total", ("other",)] > 150


def test_a_source_that_the_model_does_not_know_has_no_name(registry: CollectorRegistry) -> None:
    bundle = a_bundle()
    metrics.model_in_use(bundle, rules_only=False)
    named = [{"source": "KANARIE", "latest_known_at": "2026-11-20"}]
    metrics.told(records(20, bundle, data_quality={"sources": named}))
    all_refreshed()
    assert {labels for name, labels in seen(registry) if name == "povrisk_source_age_days"} == {("other",)}


# -- beside training


def test_stability_is_that_of_the_profile_over_the_latest_rows(registry: CollectorRegistry) -> None:
    bundle, rng = a_bundle(), np.random.default_rng(3)
    metrics.model_in_use(bundle, rules_only=False)
    values = rng.normal(0.3, 1.2, size=(recent.ROWS + 700, 30))
    values[rng.random(values.shape) < 0.1] = np.nan
    scores = rng.beta(1, 12, len(values))
    for first in range(0, len(values), 64):
        part = slice(first, first + 64)
        batch = [
            {**each, "probability": p} for each, p in zip(records(64, bundle), scores[part].tolist(), strict=False)
        ]
        metrics.told(batch, values[part])
    all_refreshed()
    slow = psi(profile(), values[-recent.ROWS :])
    now = seen(registry)
    told = {labels[0]: value for (name, labels), value in now.items() if name == "povrisk_input_psi"}
    most_important = np.argsort(-IMPORTANCE)[: recent.FEATURES]
    assert told == pytest.approx({NAMES[i]: slow[i] for i in most_important}, abs=6e-5)
    one_column = replace(profile(), names=("score",), features=(profile().score,))
    assert now["povrisk_score_psi", ()] == pytest.approx(psi(one_column, scores[-recent.ROWS :, None])[0], abs=6e-5)


def test_few_rows_are_not_compared_with_training(registry: CollectorRegistry) -> None:
    bundle = a_bundle()
    metrics.model_in_use(bundle, rules_only=False)
    metrics.told(records(recent.FEWEST_ROWS - 1, bundle), np.zeros((recent.FEWEST_ROWS - 1, 30)))
    all_refreshed()
    assert not [name for name, _ in seen(registry) if "psi" in name]
    metrics.told(records(1, bundle), np.zeros((1, 30)))
    all_refreshed()
    assert len([name for name, _ in seen(registry) if "psi" in name]) == recent.FEATURES + 1


def test_another_model_is_measured_anew(registry: CollectorRegistry) -> None:
    old, new = a_bundle("a"), a_bundle("b")
    metrics.model_in_use(old, rules_only=False)
    metrics.told(records(600, old), np.zeros((600, 30)))
    all_refreshed()
    metrics.bundle_refused("golden rows")
    metrics.model_in_use(old, rules_only=True)
    assert seen(registry)["povrisk_score_psi", ()] > 0
    # Switching the model off does not change what lies in its folder.
    assert seen(registry)["povrisk_bundle_refused", ()] == seen(registry)["povrisk_rules_only", ()] == 1
    metrics.model_in_use(new, rules_only=False)
    # An answer of the old model that is told late.
    metrics.told(records(600, old), np.zeros((600, 30)))
    all_refreshed()
    now = seen(registry)
    assert {value for (name, _), value in now.items() if name.endswith("_psi")} == {metrics.NOT_TOLD}
    assert now["povrisk_bundle_info", ("a" * 12, "1+a")] == 0
    assert now["povrisk_bundle_info", ("b" * 12, "1+b")] == 1
    assert now["povrisk_bundle_refused", ()] == now["povrisk_rules_only", ()] == 0
    assert metrics.bundle_in_use() == "b" * 12


def test_a_model_without_a_profile_is_served_all_the_same(registry: CollectorRegistry) -> None:
    bundle = a_bundle(certainty=Certainty())
    metrics.model_in_use(bundle, rules_only=False)
    metrics.told(records(600, bundle), np.zeros((600, 30)))
    all_refreshed()
    assert not [name for name, _ in seen(registry) if "psi" in name]


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), max_size=8))
def test_the_age_of_a_source_is_that_of_its_tenth_newest_news(days: list[tuple[int, int]]) -> None:
    counted: Counter[str] = Counter()
    for ago, n in days:
        counted[f"2026-11-{23 - ago:02d}" if ago < 23 else ""] += n
    ages = sorted(ago for ago, n in days for _ in range(n))
    today = np.datetime64("2026-11-23").astype(object).toordinal()
    assert recent._age(counted, today) == ages[9:10]


def test_telling_costs_next_to_nothing(registry: CollectorRegistry) -> None:
    bundle = a_bundle()
    metrics.model_in_use(bundle, rules_only=False)
    news = [{"source": name, "latest_known_at": "2026-11-20"} for name in SOURCES * 5]
    batch, values = records(64, bundle, data_quality={"sources": news}), np.zeros((64, 30))

    def spent() -> float:
        begun = time.process_time()
        for _ in range(20):
            metrics.told(batch, values)
        return (time.process_time() - begun) / 20

    assert min(spent() for _ in range(5)) < 1e-3


# -- several workers

WORKER = """
    import sys
    from serving import metrics
    stop, is_up = float(sys.argv[1]), sys.argv[2] == "up"
    for _ in range(3):
        metrics.call_done("/score", 200, 0.02)
    metrics.stage("assess", 0.004)
    metrics.batch(2, 30)
    metrics.told([{"status": "scored", "tier": "red", "abstention": []}] * 25)
    metrics.store_state(is_up)
    metrics.process_state(stop, 1000)
    metrics._child("povrisk_bundle_info", "1", "abc").set(1)
    print("told", flush=True)
    sys.stdin.read()
"""


def workers(folder: Path, *arguments: tuple[str, str]) -> list[subprocess.Popen[str]]:
    """Processes that count into one folder, as BentoML's workers do, and stay."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WORKER), *each],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for each in arguments
    ]
    assert [each.stdout is not None and each.stdout.readline() for each in started] == ["told\n"] * len(started)
    return started


def test_workers_are_added_up_and_a_killed_one_leaves_only_its_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    first, second = workers(tmp_path, ("0.1", "up"), ("0.7", "away"))

    def joined() -> Seen:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return seen(registry)

    try:
        both = joined()
        assert both["povrisk_calls_total", ("/score", "200")] == both["povrisk_call_seconds_count", ("/score",)] == 6
        assert both["povrisk_batch_households_sum", ()] == 60
        assert both["povrisk_stage_seconds_count", ("assess",)] == 2
        assert both["povrisk_assessments_total", ("scored", "red")] == 40
        # One worker that cannot reach the store is enough to be told; the longest stop counts; models are counted.
        assert both["povrisk_store_up", ()] == 0
        assert both["povrisk_loop_stop_seconds", ()] == 0.7
        assert both["povrisk_bundle_info", ("abc", "1")] == 2
        assert len([name for name, _ in both if name == "povrisk_process_rss_bytes"]) == 2
        second.kill()
        second.wait()
        metrics.forget_dead_workers()
        after = joined()
        assert after["povrisk_store_up", ()] == 1
        assert after["povrisk_loop_stop_seconds", ()] == 0.1
        assert after["povrisk_bundle_info", ("abc", "1")] == 1
        assert after["povrisk_calls_total", ("/score", "200")] == 6
    finally:
        for each in (first, second):
            each.kill()
            each.communicate()


# -- the pulse


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(0, 9)), min_size=1, max_size=40))
def test_the_longest_stop_is_that_of_the_last_minute(gaps: list[tuple[float, float]]) -> None:
    stops, moment, so_far = Stops(), 0.0, []
    for gap, stop in gaps:
        moment += gap
        stops.add(moment, stop)
        so_far.append((moment, stop))
        assert stops.longest(moment) == max(length for at, length in so_far if moment - at <= REMEMBERED_S)


def test_the_memory_is_that_of_this_process() -> None:
    found = rss_bytes()
    assert found is not None and 20e6 < found < 100e9
