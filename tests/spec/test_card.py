"""The model card: complete in both languages, made from the bundle alone, open about what was not measured."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.window import as_of_moment
from models import card_texts
from models.bundle import Bundle, read_bundle
from models.card import card
from models.card_page import LANGUAGES, markdown
from serving.card import card as served
from tests.bundles import FACTS, small_bundle
from training.acceptance import LOSSES, Gate
from training.card import card_figures, write_card
from training.comparison import Comparison, Interval

CAUSAL = re.compile(r"导致|因为|造成|\bcaus|\bbecause\b", re.IGNORECASE)
NOT_REPORTED = card_texts.NOT_REPORTED
GATES = [
    Gate("observed_expected", True, 0.88, "0.9 to 1.1", "observed/expected is 0.880; needed: 0.9 to 1.1", False),
    Gate("positives_in_test", False, 40.0, "at least 50", "the number of positives is 40; needed: at least 50"),
    Gate("audit_recall_gap", True, 0.01, "above -0.10", "recall is 0.010; needed: above -0.10"),
]
PAIRS = [Comparison("ebm", "log_loss", 0.21, 0.2, Interval(0.01, -0.01, 0.03), "tied")]


def rows(n: int = 2_000) -> pd.DataFrame:
    """One row a household; each tenth has the outcome, the higher scores more often."""
    rng = np.random.default_rng(4)
    probability = np.sort(rng.beta(1, 9, n))
    return pd.DataFrame(
        {
            "household_id": [f"h-{i:07d}" for i in range(n)],
            "as_of": as_of_moment("2026-03-31", "Asia/Shanghai"),
            "outcome": (rng.random(n) < probability).astype(float),
            "probability": probability,
            "treated": np.arange(n) % 4 == 0,
            "abstained": np.arange(n) % 20 == 0,
        }
    )


def facts(figures: dict[str, Any] | None) -> dict[str, Any]:
    return FACTS | {
        "run_id": "r1",
        "data": FACTS["data"] | {"name": "county", "digest": "d1", "provenance": "synthetic | made up"},
        "training": {"rows": 9_000, "train_until": "2025-03-31", "split": {"kind": "time+household"}},
        "metrics": {"auc": 0.8123, "auc_low": 0.78, "auc_high": 0.84, "recall_at_5pct": 0.3, "observed_expected": 0.88},
        "baselines": {"ebm": {"auc": 0.81}, "somebodys_own": {"auc": 0.79}},
        "gates": [gate._asdict() for gate in GATES],
        "libraries": {"lightgbm": "4.7.0"},
        **({} if figures is None else {"card": figures}),
    }


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    test = rows()
    codes = {name: np.arange(len(test)) < n for name, n in (("coverage", 10), ("no_members", 9), ("opted_out", 0))}
    return card_figures(test, "Asia/Shanghai", comparisons=PAIRS, abstention_codes=codes, publication_lag_days=120)


@pytest.fixture(scope="module")
def full(figures: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return read_bundle(small_bundle(tmp_path_factory.mktemp("full") / "bundle", facts=facts(figures)))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle whose training said no more than it must."""
    return read_bundle(small_bundle(tmp_path_factory.mktemp("bare") / "bundle"))


def all_texts(value: Any) -> list[dict[str, str]]:
    """Every pair of texts in a card, however deep."""
    if isinstance(value, dict):
        own = [{name: value[name] for name in ("zh", "en")}] if {"zh", "en"} <= set(value) else []
        return own + [text for inner in value.values() for text in all_texts(inner)]
    return [text for inner in value for text in all_texts(inner)] if isinstance(value, list) else []


# --- what stands in it ----------------------------------------------------------------------------------------------


def test_the_card_names_its_uses_and_what_it_must_not_be_used_for(full: Bundle) -> None:
    made = card(full)
    assert [one["code"] for one in made["intended_uses"]] == ["prioritise_visit", "prepare_visit"]
    assert {one["code"] for one in made["forbidden_uses"]} >= {
        "deny_or_reduce_benefit", "remove_from_monitoring", "fraud_suspicion", "staff_appraisal", "public_ranking",
    }  # fmt: skip
    assert made["decision"]["authority"] == "human"
    assert {one["code"] for one in made["cannot_know"]} >= {"kin_support", "informal_debt", "last_weeks", "own_wishes"}
    assert made["objection"]


def test_the_figures_are_those_of_the_run(full: Bundle) -> None:
    made = card(full)
    assert (made["version"], made["bundle_sha256"], made["run_id"]) == (full.version, full.sha256, "r1")
    auc, recall = made["performance"]["metrics"][:2]
    assert (auc["metric"], auc["value"], auc["interval"]) == ("auc", 0.8123, [0.78, 0.84])
    assert (recall["metric"], recall["interval"]) == ("recall_at_5pct", None)
    assert made["performance"]["challengers"] == {"ebm": {"auc": 0.81}, "somebodys_own": {"auc": 0.79}}
    assert made["performance"]["comparisons"][0] == {
        "name": "ebm", "metric": "log_loss", "ours": 0.21, "theirs": 0.2, "verdict": "tied",
        "difference": 0.01, "low": -0.01, "high": 0.03,
    }  # fmt: skip
    assert made["gates"] == [gate._asdict() for gate in GATES]
    assert [one["from_probability"] for one in made["capacity"]] == [0.7, 0.6, 0.55]
    assert [one["reached"] for one in made["capacity"]] == [None, 0.3, None]
    domains = made["model"]["domains"]
    assert sum(one["features"] for one in domains) == made["model"]["features"] == len(full.catalogue.features)
    assert sum(one["share"] for one in domains) == pytest.approx(1.0)
    assert {one["code"] for one in made["absent_domains"]} == {"housing", "coping"}
    assert made["missing"] == ["label_honesty", "groups", "valid_until"]


def test_what_was_not_measured_is_named_and_never_zero(bare: Bundle) -> None:
    made = card(bare)
    assert made["missing"] == [
        "data", "label_honesty", "performance", "calibration", "groups", "abstention", "gates", "valid_until",
    ]  # fmt: skip
    for lang in LANGUAGES:
        page = markdown(made, lang)
        sections = dict(part.split("\n", 1) for part in page.split("\n## ")[1:])
        for name in ("performance", "calibration", "groups", "abstention", "gates"):
            assert getattr(NOT_REPORTED, lang) in sections[getattr(card_texts.TITLES[name], lang)]
        assert getattr(card_texts.INSUFFICIENT, lang) in sections[getattr(card_texts.TITLES["groups"], lang)]
        assert not re.search(r"\b(None|nan|null)\b", page)


# --- words ----------------------------------------------------------------------------------------------------------


def test_both_pages_have_every_section_in_the_same_order_and_the_same_figures(full: Bundle) -> None:
    pages = {lang: markdown(card(full), lang, picture="calibration.png") for lang in LANGUAGES}
    for lang, page in pages.items():
        titles = re.findall(r"^## (.+)$", page, re.M)
        assert titles == [getattr(text, lang) for text in card_texts.TITLES.values()]
        assert "(calibration.png)" in page
        columns = [line.count("|") for line in re.findall(r"^\|.*$", page, re.M)]
        assert min(columns) >= 3
    figures = {lang: re.findall(r"\d+\.\d{3}\b", page) for lang, page in pages.items()}
    assert figures["zh"] == figures["en"]
    assert "(calibration.png)" not in markdown(card(full), "en")
    with pytest.raises(ValueError, match="zh or en"):
        markdown(card(full), "fr")  # type: ignore[arg-type]


def test_undecided_and_failed_gates_are_called_so(full: Bundle) -> None:
    english, chinese = (markdown(card(full), lang) for lang in ("en", "zh"))
    assert "| Observed / expected | 0.880 | 0.9 to 1.1 | undecided |" in english
    assert "| Test rows with the outcome | 40 | at least 50 | FAILED |" in english
    assert "| audit_recall_gap | 0.010 | above -0.10 | passed |" in english
    assert "| 实际／预测 | 0.880 | 0.9 至 1.1 | 未能判定 |" in chinese
    assert "| 测试中出现结果的行数 | 40 | 至少 50 | 未通过 |" in chinese


def test_no_text_speaks_of_causes_and_each_is_there_in_both_languages(full: Bundle) -> None:
    said = all_texts(card(full))
    assert len(said) > 30
    for text in said:
        assert not CAUSAL.search(" ".join(text.values())), text
        assert re.search(r"[\u4e00-\u9fff]|AUC", text["zh"]), text
        assert re.search(r"[A-Za-z]{2}", text["en"]) and not re.search(r"[\u4e00-\u9fff]", text["en"]), text
    assert CAUSAL.search("hardship caused by illness")
    for lang in LANGUAGES:
        assert not CAUSAL.search(markdown(card(full), lang))


def test_chinese_sentences_are_short(full: Bundle) -> None:
    sentences = [part for text in all_texts(card(full)) for part in re.split("[。；]", text["zh"])]
    assert max(map(len, sentences)) <= 34, max(sentences, key=len)


def test_the_chinese_limits_of_the_gates_are_the_gates_own() -> None:
    from training.acceptance import FEWEST_POSITIVES, MOST_ABSTAINED, OBSERVED_EXPECTED, SLOPE, TOP_DECILE

    needed = {name: text for name, (_, text) in card_texts.GATES.items()}
    for name, (low, high) in {
        "observed_expected": OBSERVED_EXPECTED[:2],
        "observed_expected_top_decile": TOP_DECILE[:2],
        "calibration_slope": SLOPE[:2],
    }.items():
        assert needed[name] == f"{low:g} 至 {high:g}"
    assert needed["positives_in_test"] == f"至少 {FEWEST_POSITIVES}"
    assert needed["abstention_share"] == f"至多 {MOST_ABSTAINED:g}"
    assert {name for name in needed if name.startswith("champion_")} == {f"champion_{name}" for name in LOSSES}


# --- figures from the test rows -------------------------------------------------------------------------------------


def test_the_test_rows_are_counted(figures: dict[str, Any]) -> None:
    test = rows()
    assert figures["test"] == {
        "rows": 2_000, "households": 2_000, "positives": int(test["outcome"].sum()),
        "first": "2026-03-31", "last": "2026-03-31",
    }  # fmt: skip
    assert figures["label"] == {"treated_share": 0.25, "routes": None, "publication_lag_days": 120}


def test_the_calibration_table_adds_up_to_the_rows(figures: dict[str, Any]) -> None:
    test, groups = rows(), figures["deciles"]
    assert sum(one["rows"] for one in groups) == len(test)
    assert sum(one["rows"] * one["observed"] for one in groups) == pytest.approx(test["outcome"].sum())
    assert sum(one["rows"] * one["foretold"] for one in groups) == pytest.approx(test["probability"].sum())
    assert [one["foretold"] for one in groups] == sorted(one["foretold"] for one in groups)
    # No group tells of fewer than ten households with the outcome, or without.
    assert all(one["rows"] * min(one["observed"], 1 - one["observed"]) >= 10 - 1e-9 for one in groups)


def test_groups_too_small_to_publish_are_withheld() -> None:
    few = rows().assign(outcome=0.0)
    few.loc[few.index[-9:], "outcome"] = 1.0
    found = card_figures(few, "Asia/Shanghai")
    assert found["test"]["positives"] is None
    assert found["deciles"] == [{"rows": None, "foretold": None, "observed": None}]
    assert found["groups"] is found["comparisons"] is None
    # Nine rows of one household are one household.
    many = few.assign(outcome=(np.arange(len(few)) >= 1_900) * 1.0)
    many.loc[many["outcome"] == 1.0, "household_id"] = "h-1"
    assert card_figures(many, "Asia/Shanghai")["test"]["positives"] is None


def test_a_withheld_route_cannot_be_worked_out_from_the_others(figures: dict[str, Any]) -> None:
    test = rows()
    positive = test.index[test["outcome"] == 1.0]
    test["discovery_route"] = None
    for route, part in (("push", positive[:5]), ("self", positive[5:40]), ("visit", positive[40:])):
        test.loc[part, "discovery_route"] = route
    found = card_figures(test, "Asia/Shanghai")["label"]["routes"]
    assert found == {"push": None, "self": None, "visit": len(positive) - 40}
    assert figures["abstention"] == {"share": 0.05, "codes": {"coverage": 10, "no_members": None, "opted_out": 0}}


# --- files and service ----------------------------------------------------------------------------------------------


def test_the_written_card_is_made_from_the_bundle_alone_and_again_the_same(full: Bundle, tmp_path: Path) -> None:
    first, second = (write_card(full, tmp_path / name) for name in ("a", "b"))
    again = write_card(full, tmp_path / "a")
    names = ["calibration.png", "card.en.md", "card.json", "card.zh.md"]
    assert [file.name for file in sorted(first.iterdir())] == names
    assert all((again / name).read_bytes() == (second / name).read_bytes() for name in names)
    assert json.loads((first / "card.json").read_text("utf-8")) == json.loads(json.dumps(card(full)))
    assert [path.name for path in first.parent.iterdir()] == ["card"]


def test_without_figures_there_is_no_picture(bare: Bundle, tmp_path: Path) -> None:
    folder = write_card(bare, tmp_path)
    assert sorted(file.name for file in folder.iterdir()) == ["card.en.md", "card.json", "card.zh.md"]
    assert "png" not in (folder / "card.en.md").read_text("utf-8")


def test_no_household_is_named(full: Bundle, tmp_path: Path) -> None:
    folder = write_card(full, tmp_path)
    assert not [file.name for file in folder.iterdir() if re.search(rb"h-\d{7}", file.read_bytes())]


def test_the_service_shows_the_same_card_with_every_feature(full: Bundle) -> None:
    shown, made = served(full), card(full)
    assert [feature["name"] for feature in shown["features"]] == list(full.catalogue.names)
    assert {name: shown[name] for name in made} == made
    assert shown["metrics"] == full.manifest["metrics"]
    assert shown["limits"] and shown["decision_authority"] == "human"
    json.dumps(shown, allow_nan=False)
