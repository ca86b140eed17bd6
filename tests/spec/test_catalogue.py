"""The catalogue: declared in one file each, refused when it contradicts itself, known by its digest."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import features.builders
import features.events
import features.panels
from features.catalogue import Catalogue, catalogue, catalogue_from_json
from features.codes import checked_pattern, is_code, matches
from features.definition import Absent, Department, Direction, EventKind, Feature, Group, Level, Measure, Text
from features.matrix import matrix
from features.plan import plan
from features.unit import Unit
from features.window import ever, last
from tests.records import CORE, at, event, history

DEPARTMENT = Department("TST", "测试", Text("测试", "test"))
PAID = EventKind("TST//PAID", Text("付", "paid"), DEPARTMENT, Unit.MONEY, Level.PERSON, "yuan", (1, 9), (0, 1e6))
SEEN = EventKind("TST//SEEN", Text("见", "seen"), DEPARTMENT, Unit.NONE, Level.PERSON, "", (1, 9))
SUM = Feature(
    "paid_12m",
    Text("支出", "paid"),
    Group.MEDICAL,
    Measure.SUM,
    Unit.MONEY,
    codes=("TST//PAID",),
    window=last(months=12),
    when_absent=Absent.KNOWN_NONE,
    linked_by=("TST//*",),
    bounds=(0, 1e6),
    direction=Direction.MORE_IS_WORSE,
)
RATIO = Feature(
    "half", Text("半", "half"), Group.MEDICAL, Measure.RATIO, Unit.SHARE, of=("paid_12m", "seen"), scale=0.5
)
COUNT = replace(SUM, name="seen", measure=Measure.COUNT, unit=Unit.COUNT, codes=("TST//SEEN",))
SMALL = Catalogue("small", (PAID, SEEN), (SUM, COUNT, RATIO))


@pytest.mark.parametrize(
    ("kinds", "features_", "message"),
    [
        ((PAID, PAID), (), "event kind declared twice: TST//PAID"),
        ((PAID, SEEN), (SUM, SUM), "feature declared twice: paid_12m"),
        ((SEEN,), (SUM,), "reads 'TST//PAID', which no event kind declares"),
        ((PAID, SEEN), (replace(SUM, linked_by=("CLM//*",)),), r"reads 'CLM//\*', which no event kind declares"),
        ((PAID,), (SUM, RATIO), "built from 'seen', which is not declared before it"),
        ((PAID, SEEN), (RATIO, SUM, COUNT), "built from 'paid_12m', which is not declared before it"),
    ],
)
def test_a_catalogue_that_contradicts_itself_is_refused(kinds: Any, features_: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Catalogue("wrong", kinds, features_)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"codes": ()}, "needs codes"),
        ({"measure": Measure.RATIO, "codes": (), "of": ("a",)}, "needs exactly two features"),
        ({"linked_by": ()}, "needs `linked_by`"),
        ({"measure": Measure.MEMBERS_AGED}, "needs `ages`"),
        ({"measure": Measure.RESIDENCE}, "needs `residence`"),
        ({"measure": Measure.MONTHS_SINCE, "window": ever()}, "needs a window"),
        ({"measure": Measure.MEAN}, "cannot be known none"),
        ({"bounds": (1, 1)}, "bounds the wrong way round"),
        ({"codes": ("clm",)}, "no code pattern"),
        ({"closed_by": ("CLM/X",)}, "no code pattern"),
    ],
)
def test_a_feature_that_cannot_be_computed_is_refused(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SUM, **changed)


def test_an_event_kind_belongs_to_its_department_and_bounds_its_value() -> None:
    with pytest.raises(ValueError, match="does not belong to category 'TST'"):
        replace(PAID, code="CLM//PAID")
    with pytest.raises(ValueError, match="needs bounds"):
        replace(PAID, bounds=None)


@pytest.mark.parametrize("code", ["CLM//INPATIENT", "A1//B_2", "AB//C"])
def test_codes(code: str) -> None:
    assert is_code(code)
    assert matches(code, code)
    assert matches(code.split("//")[0] + "//*", code)
    assert matches("*", code)
    assert checked_pattern(code) == code


@pytest.mark.parametrize(
    "code",
    ["CLM", "CLM/INPATIENT", "clm//inpatient", "CLM//", "CLM//*", "CLM//A B", "A//B", "CLM//A//B", "CLM//A\n", 7],
)
def test_no_codes(code: object) -> None:
    assert not is_code(code)


def test_a_category_is_matched_whole() -> None:
    assert not matches("CLM//*", "CLMX//A")
    assert not matches("CLM//IN", "CLM//INPATIENT")


@pytest.mark.parametrize("name", ["core", "eph", "sipp"])
def test_a_catalogue_survives_json(name: str) -> None:
    one = catalogue(name)
    back = catalogue_from_json(json.loads(json.dumps(one.as_json())))
    assert back == one
    assert back.digest == one.digest


CHANGES: dict[str, Any] = {
    "name": "other",
    "meaning": Text("别的", "else"),
    "group": Group.INCOME,
    "measure": Measure.MAX,
    "unit": Unit.COUNT,
    "codes": ("TST//*",),
    "window": last(months=6),
    "when_absent": Absent.UNKNOWN,
    "linked_by": ("*",),
    "bounds": (0, 2e6),
    "direction": Direction.OPEN,
    "closed_by": ("TST//SEEN",),
    "of": ("seen", "seen"),
    "scale": 2.0,
    "ages": (0, 18),
    "residence": "rural",
    "none_is": 9.0,
}
KIND_CHANGES: dict[str, Any] = {
    "code": "TST//OTHER",
    "name": Text("别的", "else"),
    "department": replace(DEPARTMENT, source="别处"),
    "unit": Unit.DAYS,
    "level": Level.HOUSEHOLD,
    "value": "days",
    "lag_days": (2, 9),
    "bounds": (0, 7),
    "sensitivity": "H",
    "is_entry": True,
    "is_scheduled": True,
    "is_authorised": True,
    "follows": False,
    "is_sealed": True,
    "authorised_months": 12,
    "silence": Absent.UNKNOWN,
    "linked_by": ("TST//SEEN",),
    "linked_before": True,
    "coded_text": "ICD-10",
    "is_trace": True,
}
# A kind behind an authorisation also says when the right ends, and its silence says nothing.
AUTHORISED = {"is_authorised": True, "authorised_months": 12, "silence": Absent.UNKNOWN}


def test_every_field_of_a_definition_is_tried_below() -> None:
    assert set(CHANGES) == {f.name for f in dataclasses.fields(Feature)}
    assert set(KIND_CHANGES) == {f.name for f in dataclasses.fields(EventKind)}


@pytest.mark.parametrize("name", CHANGES)
def test_any_change_of_a_feature_changes_the_digest_and_survives_json(name: str) -> None:
    small = Catalogue("small", (PAID, SEEN), (COUNT, SUM))
    other = Catalogue("small", (PAID, SEEN), (COUNT, replace(SUM, **{name: CHANGES[name]})))
    assert other.digest != small.digest
    assert catalogue_from_json(other.as_json()) == other


@pytest.mark.parametrize("name", KIND_CHANGES)
def test_any_change_of_an_event_kind_changes_the_digest_and_survives_json(name: str) -> None:
    small = Catalogue("small", (PAID, SEEN), ())
    together = AUTHORISED if name in ("is_authorised", "authorised_months") else {}
    other = Catalogue("small", (replace(PAID, **{name: KIND_CHANGES[name], **together}), SEEN), ())
    assert other.digest != small.digest
    assert catalogue_from_json(other.as_json()) == other


def test_the_order_of_features_is_part_of_the_digest() -> None:
    assert (
        Catalogue("small", (PAID, SEEN), (COUNT, SUM)).digest != Catalogue("small", (PAID, SEEN), (SUM, COUNT)).digest
    )


def test_lookups_agree_with_the_declarations() -> None:
    assert SMALL.names == ("paid_12m", "seen", "half")
    assert SMALL.by_name["seen"] is COUNT
    assert SMALL.by_code["TST//PAID"] is PAID
    assert SMALL.codes_read["paid_12m"].tolist() == [True, False]
    for feature in CORE.features:
        read = {kind.code for kind, reads in zip(CORE.kinds, CORE.codes_read[feature.name], strict=True) if reads}
        assert read == {k.code for k in CORE.kinds if any(matches(p, k.code) for p in feature.codes)}


def test_a_plan_is_made_once_for_equal_catalogues() -> None:
    assert plan(catalogue_from_json(CORE.as_json())) is plan(CORE)


KIND_FILE = '''"""A department that was added later."""
from features.definition import Department, EventKind, Level, Text
from features.unit import Unit
WATER = Department("WTR", "水务", Text("水务", "water"))
KINDS = (EventKind("WTR//SHUT_OFF", Text("停水", "shut off"), WATER, Unit.NONE, Level.HOUSEHOLD, "", (1, 9)),)
'''
FEATURE_FILE = '''"""A feature that was added later."""
from features.definition import Feature, Group, Measure, Text
from features.unit import Unit
from features.window import last
FEATURES = (
    Feature("shut_offs_12m", Text("停水次数", "shut-offs"), Group.HOUSING, Measure.COUNT, Unit.COUNT,
            codes=("WTR//SHUT_OFF",), window=last(months=12)),
)
'''


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Catalogue]]:
    """The core catalogue with one more file in each of the two folders, and nothing else changed."""
    for package, content in ((features.events, KIND_FILE), (features.builders, FEATURE_FILE)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        (folder / "water.py").write_text(content, encoding="utf-8")
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    catalogue.cache_clear()
    yield catalogue
    catalogue.cache_clear()


def test_one_file_adds_an_event_kind_or_a_feature(extended: Callable[[], Catalogue]) -> None:
    more = extended()
    assert set(more.by_code) - set(CORE.by_code) == {"WTR//SHUT_OFF"}
    assert set(more.names) - set(CORE.names) == {"shut_offs_12m"}
    assert more.digest != CORE.digest
    rows = [event("CLM//DRUG", "2025-01-05", value=90.0), event("WTR//SHUT_OFF", "2025-01-06")]
    old, new = matrix(history(rows), at("2025-02-01")), matrix(history(rows, of=more), at("2025-02-01"))
    assert new.column("shut_offs_12m").tolist() == [1.0]
    kept = [name for name in CORE.names if "*" not in CORE.by_name[name].linked_by]
    assert np.array_equal([new.column(n)[0] for n in kept], [old.column(n)[0] for n in kept], equal_nan=True)


def test_the_core_knows_no_panel() -> None:
    for name in ("eph", "sipp"):
        panel = catalogue(name)
        assert not {kind.code for kind in panel.kinds if kind.code not in CORE.by_code} & set(CORE.by_code)
        assert panel.features
    assert catalogue("eph").digest != catalogue("sipp").digest != CORE.digest
    assert not [name for name in dir(features.panels) if name.isupper()]
