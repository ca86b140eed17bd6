"""Banned sources: traces of daily life are refused by name at every door, and the refusal repeats nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from features.banned import BANNED, BannedSource, why_code_banned, why_source_banned
from features.catalogue import Catalogue, catalogue, catalogue_from_json
from features.codes import is_code
from features.command_line import main
from features.dataset import write_dataset
from features.definition import Text
from features.intake import admit, event_problems
from tests.records import CORE, dataset, event

KIND = CORE.by_code["CLM//INPATIENT"]
# What may be asked for and looks a little like what may not.
ALLOWED = (
    *(
        "医保支付",
        "医疗救助支付中心",
        "公安交管",
        "供电供水供气",
        "微信小程序",
        "12345热线",
        "网络求助平台",
        "市场监管",
    ),
    *("社会救助", "社会组织", "社会保险", "移动审批窗口", "电信诈骗反制中心", "交通运输局", "地震局", "北斗镇"),
    *("relocation office", "trade union", "social insurance", "social services", "social worker", "mapping agency"),
    *("traffic police", "shopkeepers' association", "grid visit", "health insurance", "court", "hotline calls"),
)
DISGUISED = (
    *("ＧＰＳ", "gps", "Ride-Hailing", "RIDE_HAILING", "ride hailing GmbH", "网 约 车"),
    *("某某网约车平台", "E-Commerce Ltd", "call logs", "Social\tMedia", "App-usage", "app使用统计", "Maps"),
)


each_sort = pytest.mark.parametrize("banned", BANNED, ids=lambda banned: banned.name.en)


def words(banned: BannedSource) -> tuple[str, ...]:
    return (*banned.zh, *banned.en, *banned.name)


def reasons(*rows: dict[str, Any]) -> list[tuple[int, str, str]]:
    usual: dict[str, Any] = {
        "event_id": "e",
        "person_id": "p",
        "code": "CLM//INPATIENT",
        "occurred_at": 10,
        "known_at": 20,
        "value": 90.0,
        "unit": "CNY",
        "status": "original",
        "supersedes": None,
        "source": "医保",
    }
    columns = {name: [(usual | {"event_id": f"e{i}"} | row)[name] for i, row in enumerate(rows)] for name in usual}
    return [tuple(problem) for problem in event_problems(columns, CORE, currency="CNY", latest=30)]


def test_every_sort_that_may_never_be_used_is_named() -> None:
    assert [banned.name.en for banned in BANNED] == [
        "payment streams",
        "ride-hailing",
        "location and maps",
        "online shopping",
        "phone logs",
        "social media",
        "app usage",
        "channel use",
        "lifestyle",
    ]
    for banned in BANNED:
        assert banned.categories
        assert banned.zh
        assert banned.en
        assert all(is_code(f"{category}//ANY") for category in banned.categories)
    categories = [category for banned in BANNED for category in banned.categories]
    assert len(categories) == len(set(categories))
    assert not set(categories) & {kind.department.category for kind in CORE.kinds}


@each_sort
def test_a_source_is_known_by_every_word_of_the_table(banned: BannedSource) -> None:
    for word in words(banned):
        for written in (word, word.upper(), f"某 {word} 公司", f"{word} (2025)"):
            assert banned.why in str(why_source_banned(written)), written


@pytest.mark.parametrize("source", DISGUISED)
def test_spelling_hides_no_source(source: str) -> None:
    assert why_source_banned(source) is not None


@pytest.mark.parametrize("source", [*ALLOWED, *sorted({kind.department.source for kind in CORE.kinds}), "", None, 7])
def test_what_may_be_asked_for_is_admitted(source: object) -> None:
    assert why_source_banned(source) is None


def test_a_code_is_known_by_its_category_or_by_a_word_in_it() -> None:
    for banned in BANNED:
        for category in banned.categories:
            assert banned.why in str(why_code_banned(f"{category}//ANY"))
            assert why_code_banned(f"{category}X//ANY") is None
    for code in ("HSG//GPS_TRACK", "BNK//PAYMENT_STREAM", "SLF//CHANNEL_USE", "GRD//SOCIAL_MEDIA", "BIZ//E_COMMERCE"):
        assert why_code_banned(code) is not None, code
    for name in ("core", "eph", "sipp"):
        assert [kind.code for kind in catalogue(name).kinds if why_code_banned(kind.code)] == []
    for no_code in ("RIDE", "ride//trip", None, 7, "NEW//THING", "HKM//RELOCATION"):
        assert why_code_banned(no_code) is None, no_code


def test_intake_refuses_by_row_and_field_and_admits_the_row_beside_it() -> None:
    found = reasons({}, {"code": "RIDE//TRIP", "value": None}, {"source": "微信支付流水"}, {"code": "NEW//THING"})
    assert [(row, field) for row, field, _ in found] == [(1, "code"), (2, "source")]
    assert "where somebody goes" in found[0][2]
    assert "habits, not need" in found[1][2]
    both = reasons({"code": "RIDE//TRIP", "source": "Weibo"})
    assert [(row, field) for row, field, _ in both] == [(0, "code"), (0, "source")]


@each_sort
def test_no_refusal_repeats_what_was_written(banned: BannedSource) -> None:
    rows = [
        {"code": f"{category}//SECRET", "source": f"{word} 1380013"}
        for category in banned.categories
        for word in words(banned)
    ]
    found = reasons(*rows)
    assert [(row, field) for row, field, _ in found] == [
        (i, name) for i in range(len(rows)) for name in ("code", "source")
    ]
    for row, _, reason in found:
        category, word = rows[row]["code"].split("//")[0], rows[row]["source"].removesuffix(" 1380013")
        assert not [text for text in (category, "SECRET", word, "1380013") if text in reason]


def test_a_folder_with_such_rows_is_refused_by_row_and_the_rows_stay_outside(tmp_path: Path) -> None:
    rows = [
        event("CLM//DRUG", "2025-01-05", value=90.0),
        event("SHOP//ORDER", "2025-01-06", source="电商平台"),
        event("CLM//DRUG", "2025-01-07", value=80.0, source="支付宝"),
    ]
    made = dataset(rows)
    clean, report = admit(made, CORE)
    assert report.rejects[["row", "field"]].to_numpy().tolist() == [[1, "code"], [1, "source"], [2, "source"]]
    assert len(clean.events) == 1
    assert report.unknown_codes == {}
    write_dataset(tmp_path / "d", events=made.events, members=made.members, households=made.households, meta=made.meta)
    result = CliRunner().invoke(main, ["check", str(tmp_path / "d"), "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["refused_rows"] == {"events": 2}
    assert not [word for word in ("SHOP", "电商", "支付宝") if word in result.output]


@pytest.mark.parametrize(
    "declared",
    [
        {"department": replace(KIND.department, category="RIDE"), "code": "RIDE//TRIP"},
        {"code": "CLM//PHONE_LOG"},
        {"department": replace(KIND.department, source="高德地图")},
        {"department": replace(KIND.department, name=Text("网购平台", "orders"))},
        {"name": Text("停留", "location history")},
    ],
)
def test_the_catalogue_refuses_to_declare_such_a_kind_and_a_bundle_cannot_bring_one(declared: dict[str, Any]) -> None:
    kind = replace(KIND, **declared)
    with pytest.raises(ValueError, match=rf"event kind {kind.code} is of a kind that may never be used: .*declare"):
        Catalogue("more", (kind,), ())
    allowed = Catalogue("more", (KIND,), ()).as_json()
    written = Catalogue.as_json(_unchecked(kind))
    assert catalogue_from_json(allowed).kinds == (KIND,)
    with pytest.raises(ValueError, match="may never be used"):
        catalogue_from_json(written)


def _unchecked(*kinds: Any) -> Catalogue:
    """What a catalogue of somebody else's making would write."""
    made = object.__new__(Catalogue)
    for name, value in (("name", "more"), ("kinds", kinds), ("features", ())):
        object.__setattr__(made, name, value)
    return made
