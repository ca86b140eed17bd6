"""What similar households look like: plausible values that rest on enough of them and describe nobody."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from models.bundle import HASHED, MANIFEST, SIMILAR, Bundle, copy_bundle, read_bundle, verify_bundle
from models.similar import DIGITS, FEWEST_BEYOND, FEWEST_HOUSEHOLDS, LEVELS, Similar, SimilarRefused, Spread, strata
from tests.asked import bundle
from tests.bundles import small_bundle, tampered
from tests.situations import CORE
from training.recalibration import ROLES, Proposal, recalibrated
from training.similar import similar_households

N = len(CORE.names)
WAGE, RURAL, MEMBERS, CHILDREN, ELDERS = (
    CORE.names.index(name)
    for name in ("wage_amount_12m", "residence_rural", "members", "children_under_16", "elders_60")
)


def vectors(n: int) -> np.ndarray:
    """Households in the country, of two grown-ups, of whom nothing else is known."""
    values = np.full((n, N), np.nan)
    values[:, [RURAL, MEMBERS, CHILDREN, ELDERS]] = (1, 2, 0, 0)
    return values


def similar(values: np.ndarray, household: list[int] | None = None, as_of: list[int] | None = None) -> Similar:
    n = len(values)
    rows = pd.DataFrame({"household_id": household or list(range(n)), "as_of": as_of or [0] * n})
    return similar_households(CORE, values, rows, values, np.zeros_like(values))


def test_no_level_rests_on_fewer_than_fifty_households() -> None:
    for n in (FEWEST_HOUSEHOLDS - 1, FEWEST_HOUSEHOLDS):
        values = vectors(2 * n)
        values[:n, WAGE] = np.linspace(1000, 9000, n)
        found = similar(values).strata
        assert ("wage_amount_12m" in found["rural/others"]) == (n == FEWEST_HOUSEHOLDS)
    assert found["rural/others"]["wage_amount_12m"].households == FEWEST_HOUSEHOLDS
    with pytest.raises(SimilarRefused, match="fewer than 50"):
        Spread(FEWEST_HOUSEHOLDS - 1, (1.0,) * LEVELS)


def test_many_rows_of_one_household_are_one_household_at_its_newest() -> None:
    values = vectors(200)
    values[:, WAGE] = 5000.0
    few = similar(values, household=[i % 49 for i in range(200)], as_of=list(range(200)))
    assert few.strata == {}
    values[:100, WAGE] = 100.0
    newest = similar(values, household=[i % 100 for i in range(200)], as_of=[1] * 100 + [2] * 100)
    assert set(newest.strata["all"]["wage_amount_12m"].values) == {5000.0}


@pytest.mark.parametrize("n", [50, 57, 199, 1000])
def test_ten_households_lie_at_or_beyond_every_level(n: int) -> None:
    known = np.random.default_rng(n).lognormal(9, 1, n)
    spread = Spread.of(known)
    assert spread is not None
    # Rounding may carry a level past its household by half of its last digit.
    slack = 0.5 * 10.0 ** (1 - DIGITS)
    for value in spread.values:
        assert (known <= value * (1 + slack)).sum() >= FEWEST_BEYOND
        assert (known >= value * (1 - slack)).sum() >= FEWEST_BEYOND
        assert float(f"{value:.{DIGITS}g}") == value


def test_the_levels_are_the_middle_of_each_twentieth() -> None:
    spread = Spread.of(np.arange(1.0, 100.0).repeat(10))
    assert spread is not None
    assert spread.values == tuple(float(v) for v in np.quantile(np.arange(1, 100), (np.arange(20) + 0.5) / 20).round())


def test_a_thin_stratum_takes_the_values_of_the_wider_one() -> None:
    values = vectors(140)
    values[:, WAGE] = 10_000.0
    values[:60, CHILDREN], values[:60, WAGE] = 1, 4000.0
    values[60:100, ELDERS], values[100:, RURAL] = 2, 0
    found = similar(values)
    assert set(found.strata) == {"all", "rural", "rural/children"}
    assert set(found.plausible(values[0])[WAGE]) == {4000.0}
    assert set(found.plausible(values[70])[WAGE]) == set(found.strata["rural"]["wage_amount_12m"].values)
    assert set(found.plausible(values[120])[WAGE]) == set(found.strata["all"]["wage_amount_12m"].values)
    assert np.isnan(found.plausible(values[0])[CORE.names.index("sales_amount_12m")]).all()


def test_the_levels_go_from_better_to_worse() -> None:
    made = bundle().similar
    assert made is not None
    table = made.plausible(vectors(1)[0])
    for name, sign in (("wage_amount_12m", -1), ("out_of_pocket_amount_12m", 1)):
        steps = np.diff(table[CORE.names.index(name)])
        assert (steps * sign >= 0).all() and steps.any()
    for name, feature in CORE.by_name.items():
        assert feature.direction.value in (0, made.worse[name])


def test_an_open_direction_takes_the_side_that_the_trees_found() -> None:
    values, contributions = vectors(80), np.zeros((80, N))
    column = CORE.names.index("livestock_sold_12m")
    values[:, column] = np.arange(80)
    rows = pd.DataFrame({"household_id": range(80), "as_of": 0})
    for sign in (1, -1):
        contributions[:, column] = sign * np.arange(80) * 0.01
        assert similar_households(CORE, values, rows, values, contributions).worse["livestock_sold_12m"] == sign


def test_only_known_features_narrow_the_stratum() -> None:
    row = vectors(1)[0]
    assert strata(CORE, row) == ("rural/others", "rural", "all")
    row[CHILDREN] = np.nan
    assert strata(CORE, row) == ("rural", "all")
    row[RURAL] = np.nan
    assert strata(CORE, row) == ("all",)
    row[[CHILDREN, ELDERS]] = 0, 2
    assert strata(CORE, row) == ("elders", "all")


def test_it_comes_back_from_its_file_to_the_last_digit_and_wrong_ones_are_refused() -> None:
    made = bundle().similar
    assert made is not None
    written = json.loads(json.dumps(made.as_json()))
    assert Similar.from_json(written, CORE) == made
    thin = json.loads(json.dumps(written))
    next(iter(thin["strata"]["all"].values()))["households"] = 49
    falling = json.loads(json.dumps(written))
    falling["strata"]["all"]["members"]["values"].reverse()
    for wrong in ({"levels": 20}, written | {"levels": 19}, written | {"worse": {"none_such": 1}}, thin, falling):
        with pytest.raises(SimilarRefused):
            Similar.from_json(wrong, CORE)


# -- in the bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("similar") / "bundle", similar=bundle().similar)


def refusal(folder: Path) -> tuple[str, str]:
    check = verify_bundle(folder)[-1]
    assert not check.passed
    return check.name, check.detail


def test_a_bundle_that_has_it_names_it_in_its_manifest_and_gives_it_back(folder: Path, tmp_path: Path) -> None:
    written = json.loads((folder / MANIFEST).read_text("utf-8"))
    assert set(written["files"]) == {*HASHED, SIMILAR}
    assert read_bundle(folder).similar == bundle().similar
    copy_bundle(folder, tmp_path / "copy", key=b"a key")
    assert read_bundle(tmp_path / "copy", key=b"a key").similar == bundle().similar


def test_another_level_of_the_probability_leaves_it_as_it_is(folder: Path, tmp_path: Path) -> None:
    sha256 = read_bundle(folder).sha256
    level = Proposal(sha256, 1.1, 0.2, 0.3, 900, 900, 300, "2024-01-01", "2024-12-31", 1.2, 1.0, 0.5, 0.4)
    moved = recalibrated(folder, level, tmp_path / "moved", approved_by=ROLES[0], approved_on="2025-01-31")
    assert moved.similar == bundle().similar


def test_an_older_bundle_without_it_is_read_and_a_stray_file_is_not(tmp_path: Path) -> None:
    older = small_bundle(tmp_path / "older")
    assert SIMILAR not in json.loads((older / MANIFEST).read_text("utf-8"))["files"]
    (older / SIMILAR).write_bytes(b"not even JSON")
    assert read_bundle(older).similar is None


def test_a_changed_a_missing_and_a_thin_file_are_refused(folder: Path, tmp_path: Path) -> None:
    changed = shutil.copytree(folder, tmp_path / "changed")
    content = (changed / SIMILAR).read_bytes()
    (changed / SIMILAR).write_bytes(content.replace(b"0", b"1", 1))
    assert refusal(changed) == ("hashes", f"changed since publication: {SIMILAR}")
    (changed / SIMILAR).unlink()
    assert refusal(changed) == ("hashes", f"missing {SIMILAR}")
    thin = json.loads(content)
    next(iter(thin["strata"]["all"].values()))["households"] = 49
    forged = tampered(folder, tmp_path / "forged", {SIMILAR: json.dumps(thin).encode()})
    assert refusal(forged) == ("content", "cannot be read (SimilarRefused)")


def test_training_writes_it_and_it_holds_no_household(opened_bundle: Bundle) -> None:
    made = opened_bundle.similar
    assert made is not None and "similar.json" in opened_bundle.manifest["files"]
    assert "all" in made.strata and made.worse.keys() == set(opened_bundle.catalogue.names)
    spreads = [spread for of in made.strata.values() for spread in of.values()]
    assert min(spread.households for spread in spreads) >= FEWEST_HOUSEHOLDS
    assert max(spread.households for spread in spreads) <= opened_bundle.manifest["training"]["rows"]
    assert not {name for of in made.strata.values() for name in of} & {f.name for f in CORE.features if f.of}
