"""A panel brings its own event kinds and features in one file, and the core knows nothing of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from features.catalogue import Catalogue, catalogue, catalogue_from_json
from features.codes import matches
from features.definition import Absent, Group
from features.event import EVENTS, MEMBERS
from features.history import history_from_tables
from features.matrix import matrix
from features.window import as_of_moment

PANELS = ("eph", "sipp")


@pytest.fixture(params=PANELS)
def panel(request: pytest.FixtureRequest) -> Catalogue:
    return catalogue(request.param)


def test_a_panel_declares_codes_of_its_own_category_only(panel: Catalogue) -> None:
    assert {kind.department.category for kind in panel.kinds} == {panel.name.upper()}
    assert all(matches(f"{panel.name.upper()}//*", kind.code) for kind in panel.kinds)


def test_the_core_declares_nothing_of_a_panel(panel: Catalogue) -> None:
    core = catalogue()
    assert not set(core.by_code) & set(panel.by_code)
    assert not any(matches(pattern, kind.code) for kind in panel.kinds for f in core.features for pattern in f.codes)


def test_every_kind_is_read_by_a_feature(panel: Catalogue) -> None:
    unread = [
        kind.code for kind in panel.kinds if not any(matches(p, kind.code) for f in panel.features for p in f.codes)
    ]
    assert not unread


def test_wording_is_given_in_both_languages_and_never_twice(panel: Catalogue) -> None:
    for texts in ([kind.name for kind in panel.kinds], [feature.meaning for feature in panel.features]):
        assert all(any("\u4e00" <= letter <= "\u9fff" for letter in text.zh) for text in texts)
        assert all(text.en and text.en.isascii() for text in texts)
        assert len({text.zh for text in texts}) == len({text.en for text in texts}) == len(texts)


def test_a_survey_never_says_known_none(panel: Catalogue) -> None:
    assert {feature.when_absent for feature in panel.features} == {Absent.UNKNOWN}


def test_place_and_protected_attributes_are_no_features(panel: Catalogue) -> None:
    words = ("sex", "gender", "female", "region", "city", "township")
    assert not [f.name for f in panel.features if any(word in f.name.split("_") for word in words)]
    assert Group.CONTEXT not in {feature.group for feature in panel.features}


def test_the_catalogue_survives_a_bundle(panel: Catalogue) -> None:
    back = catalogue_from_json(json.loads(json.dumps(panel.as_json())))
    assert back == panel
    assert back.digest == panel.digest


def test_a_household_without_reports_is_unknown_throughout(panel: Catalogue) -> None:
    households = pd.DataFrame({"household_id": ["a"], "region": "x", "residence": None, "township": None})
    history = history_from_tables(
        EVENTS.empty_table().to_pandas(),
        MEMBERS.empty_table().to_pandas(),
        households,
        panel,
        time_zone="UTC",
    )
    assert np.isnan(matrix(history, as_of_moment("2016-12-31", "UTC")).values).all()


def test_the_windows_hold_one_visit_or_two() -> None:
    """Quarter ends are three months apart, wave ends four: so a window of that length holds exactly one."""
    spans = {"eph": {None, 3, 6}, "sipp": {None, 4, 8, 12, 24}}
    for name in PANELS:
        assert {feature.window.months for feature in catalogue(name).features} == spans[name]
