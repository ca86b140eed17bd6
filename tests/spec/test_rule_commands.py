"""`povrisk rules`: a wrong rule file is refused where it is wrong, and a change shows before it is released."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

import models.assessment
import training.rule_examples
import training.rule_report
from features.command_line import main
from features.dataset import read_dataset, write_dataset
from features.history import History, Visible, visible
from features.intake import admitted
from features.rules.indicator import FOLDER as INDICATORS
from features.rules.indicator import Indicator
from features.rules.parameter import PARAMETERS_FILE
from features.rules.rulebook import Rulebook, rulebook
from features.window import MICROS_PER_DAY, Micros
from models.assessment import assessments
from models.bundle import Bundle
from models.handling import Handling
from tests.records import CORE, META, at, dataset, event, household, member
from training.rows import dataset_history
from training.rule_examples import wrong_examples
from training.rule_files import read_rules
from training.rule_report import GREY, OPT_OUT, Told, differences, told

PACKS = PARAMETERS_FILE.parent
DAY = "2026-11-01"
MODES = {"trigger": 51, "points": 58, "verification": 8}


def run(*arguments: str | Path, columns: int = 100) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments], env={"COLUMNS": str(columns)})
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    return result


def contents(folder: Path) -> dict[str, str]:
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}


def own(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def pack_with(folder: Path, old: str, new: str, name: str = "national.yaml") -> Path:
    """A folder with a shipped pack in which something is changed."""
    text = (PACKS / name).read_text(encoding="utf-8")
    assert text.count(old) == 1
    return own(folder, name, text.replace(old, new))


# --- check -----------------------------------------------------------------------------------------------------------


def test_the_shipped_rules_pass_with_every_example_asked() -> None:
    result = run("rules", "check", "--json")
    found = json.loads(result.stdout)
    assert found["wrong"] == []
    assert result.exit_code == 0
    assert {mode: counts["indicators"] for mode, counts in found["indicators"].items()} == MODES
    for mode, counts in found["indicators"].items():
        assert counts["examples"] >= 3 * MODES[mode]
    assert found["without_examples"] == found["replaced"] == []
    assert found["files"]["packs"]["regions"] == 3
    assert found["files"]["policies"]["items"] == 57


HEAD = "region: here\nname: {zh: 这里, en: here}\nbased_on: national\nversions:\n  - effective_from: 2020-01-01\n"
ENTRY = """- id: ZZZ-01
  name: {zh: 例, en: example}
  mode: trigger
  dimension: health
  poverty_types: [expenditure]
  levels:
    - when: CONDITION
      tier: yellow
  source: assumption
  owner: 医保
  effective_from: 2020-01-01
  effective_to: null
  text: {zh: 例, en: example}
  questions:
    - {zh: 问, en: ask}
"""
GOOD = "largest(CLM//INPATIENT, days=90) > pack.single_stay_general"


def entry(condition: str = GOOD) -> str:
    return ENTRY.replace("CONDITION", condition)


def valued(parameter: str) -> str:
    return f"{HEAD}    values:\n      {parameter}\n"


WRONG_PACKS = {
    "an unknown parameter": (valued("dibao_year: {value: 1, source: x}"), 7, "'dibao_year' is no parameter"),
    "a threshold out of bounds": (
        valued("single_stay_general: {value: -1, source: x}"), 7, "must lie from 500 to 200000 (CNY)",
    ),
    "a threshold that is no number": (valued("edge_multiple: {value: two, source: x}"), 7, "must be a number"),
    "an overlapping effective date": (
        f"{HEAD}    effective_to: 2026-06-30\n  - effective_from: 2026-06-30\n",
        7,
        "overlaps the version of here.yaml line 5",
    ),
    "an indicator that does not exist": (f"{HEAD}    indicators: {{off: [MED-99]}}\n", 6, "'MED-99' is no indicator"),
    "a policy item that does not exist": (f"{HEAD}    items: {{offered: [A01, A99]}}\n", 6, "'A99' is no policy item"),
    "a supplier of no item": (f"{HEAD}    items: {{offered: all, not_offered: [A99]}}\n", 6, "'A99' is no policy item"),
    "a source that does not exist": (
        valued("expected_sources: {rural: [医报], source: x}"), 7, "'医报' is no source",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "reason"), WRONG_PACKS.values(), ids=WRONG_PACKS)
def test_a_wrong_pack_is_refused_with_its_line(tmp_path: Path, text: str, line: int, reason: str) -> None:
    result = run("rules", "check", "--packs", own(tmp_path / "own", "here.yaml", text))
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: here.yaml line {line}: ")
    assert reason in result.stderr
    assert str(tmp_path) not in result.output
    assert result.stdout == ""


WRONG_RULES = {
    "an unknown event code": (entry("happened(CLM//DENTIST)"), 7, "CLM//DENTIST is no event code"),
    "an unknown word": (entry("rumoured(CLM//DRUG)"), 7, "'rumoured' is no word of the language"),
    "an unknown parameter": (entry("total(CLM//DRUG) > pack.dibao_year"), 7, "pack.dibao_year is no declared number"),
    "a threshold that is a text": (entry("total(CLM//DRUG) > '10000'"), 7, "only numbers may be written out"),
    "an attempt to run a program": (entry("__import__('os').system('true')"), 7, "is no word of the language"),
    "an unknown indicator": (entry('indicator("ZZZ-02")'), 1, "asks for ZZZ-02, which is declared nowhere"),
    "an indicator that asks for itself": (entry('indicator("ZZZ-01")'), 1, "asks for itself"),
    "two versions that overlap": (entry() + entry(), 16, "overlaps in time with its other version (own.yaml line 1)"),
    "an id of a shipped file": (entry().replace("ZZZ-01", "MED-05"), None, "MED-05 overlaps in time"),
    "a missing field": (entry().replace("  owner: 医保\n", ""), 1, "owner missing"),
    "no YAML": ("- id: [\n", 2, "is no YAML"),
}


@pytest.mark.parametrize(("text", "line", "reason"), WRONG_RULES.values(), ids=WRONG_RULES)
def test_a_wrong_indicator_is_refused_with_its_line(tmp_path: Path, text: str, line: int | None, reason: str) -> None:
    result = run("rules", "check", "--indicators", own(tmp_path / "own", "own.yaml", text))
    assert result.exit_code == 1
    assert reason in result.stderr
    if line is not None:
        assert result.stderr.startswith(f"Error: own.yaml line {line}: ")
    assert str(tmp_path) not in result.output


def test_a_folder_that_would_be_overlooked_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for option in ("--packs", "--indicators"):
        result = run("rules", "check", option, tmp_path / "empty")
        assert (result.exit_code, "without a rule file" in result.stderr) == (1, True)
    result = run("rules", "check", "--indicators", own(tmp_path / "short", "own.yml", entry()))
    assert (result.exit_code, "rename it to end in .yaml" in result.stderr) == (1, True)
    changed = PARAMETERS_FILE.read_text(encoding="utf-8").replace("most: 4", "most: 5", 1)
    result = run("rules", "check", "--packs", own(tmp_path / "declared", "parameters.yaml", changed))
    assert (result.exit_code, "has to stay as shipped" in result.stderr) == (1, True)
    assert run("rules", "check", "--packs", tmp_path / "missing").exit_code == 2


def test_a_broken_threshold_fails_its_examples_and_names_their_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (INDICATORS / "medical.yaml").read_text(encoding="utf-8")
    folder = own(
        tmp_path / "own",
        "medical.yaml",
        text.replace("largest(CLM//INPATIENT, days=90) > (", "largest(CLM//INPATIENT, days=90) >= (", 1),
    )
    # The other examples are asked by the test of the shipped rules.
    monkeypatch.setattr(
        "training.rule_examples.wrong_examples", lambda book, bar: wrong_examples(only(book, "MED-05"), bar)
    )
    result = run("rules", "check", "--indicators", folder, "--json")
    assert result.exit_code == 1
    found = json.loads(result.stdout)
    assert found["replaced"] == ["medical.yaml"]
    assert found["wrong"]
    lines = text.splitlines()
    for wrong in found["wrong"]:
        assert (wrong["indicator"], wrong["file"]) == ("MED-05", "medical.yaml")
        assert f"say: {wrong['say']}" in lines[wrong["line"] - 1]
        assert wrong["reason"] == "must be false and is true"
    assert found["indicators"]["trigger"]["wrong"] == len(found["wrong"])
    told = run("rules", "check", "--indicators", folder)
    assert told.exit_code == 1
    assert f"medical.yaml line {found['wrong'][0]['line']}: MED-05" in told.stdout


def only(book: Rulebook, name: str, **changes: Any) -> Rulebook:
    """The rules with the examples of a single indicator, in which something is changed."""

    def kept(each: Indicator) -> Indicator:
        if each.id != name:
            return dataclasses.replace(each, cases=())
        return dataclasses.replace(each, cases=tuple(dataclasses.replace(case, **changes) for case in each.cases))

    return dataclasses.replace(book, indicators=tuple(kept(each) for each in book.indicators))


def test_an_example_with_another_tier_or_other_points_is_wrong() -> None:
    book = rulebook()
    assert wrong_examples(only(book, "MED-05")) == wrong_examples(only(book, "MED-07")) == []
    tiers = wrong_examples(only(book, "MED-05", level="red"))
    assert {wrong.reason for wrong in tiers} == {"must be red and is yellow"}
    points = wrong_examples(only(book, "MED-07", points=99.0))
    assert points
    assert all(wrong.reason.startswith("must bring 99 points and brings ") for wrong in points)


def test_an_example_that_is_true_before_its_events_were_known_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    def leaking(history: History, as_of: Micros) -> Visible:
        return dataclasses.replace(visible(history, as_of + 2 * MICROS_PER_DAY), as_of=as_of)

    monkeypatch.setattr(training.rule_examples, "visible", leaking)
    found = wrong_examples(only(rulebook(), "MED-05"))
    assert found
    assert {wrong.reason for wrong in found} == {"is true even a day before its events were known"}


def test_an_example_whose_truth_rests_on_no_event_must_say_so() -> None:
    on_members = [each for each in rulebook().indicators if any(case.members_only for case in each.cases)]
    found = wrong_examples(only(rulebook(), on_members[0].id, members_only=False))
    assert any("names no event" in wrong.reason for wrong in found)


def test_examples_are_judged_by_the_shipped_packs(tmp_path: Path) -> None:
    folder = pack_with(tmp_path / "own", "single_stay_general: {value: 10000", "single_stay_general: {value: 8000")
    assert wrong_examples(only(read_rules(folder).book, "MED-05")) == []


def test_an_example_of_a_version_is_asked_of_that_version() -> None:
    book = only(rulebook(), "MED-05")
    # Its own condition would be gone by the day of the examples if another version were asked.
    ended = tuple(
        dataclasses.replace(each, effective_to=each.effective_from) if each.id == "MED-05" else each
        for each in book.indicators
    )
    assert wrong_examples(dataclasses.replace(book, indicators=ended)) == []


# --- diff ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stays of 7,000, 9,000 and 12,000, a household that opted out with one of 9,000, and a quiet one."""
    stays = {"SECRET-1": 7_000.0, "SECRET-2": 9_000.0, "SECRET-3": 12_000.0, "SECRET-4": 9_000.0}
    events = [
        event("CLM//INPATIENT", "2026-10-01", value=v, household=h, person_id=f"p of {h}") for h, v in stays.items()
    ]
    events += [event("SLF//OPTOUT", "2026-10-02", household="SECRET-4")]
    names = [*stays, "SECRET-5"]
    made = dataset(
        events,
        [member(f"p of {name}", household=name) for name in names],
        [household(name, residence="town") for name in names],
    )
    place = tmp_path_factory.mktemp("rules") / "data"
    write_dataset(place, events=made.events, members=made.members, households=made.households, meta=made.meta)
    return place


def test_one_changed_threshold_shows_whom_it_concerns_and_nothing_is_written(folder: Path, tmp_path: Path) -> None:
    packs = pack_with(tmp_path / "own", "single_stay_general: {value: 10000", "single_stay_general: {value: 8000")
    before = contents(folder) | contents(tmp_path)
    result = run("rules", "diff", folder, "--as-of", DAY, "--packs", packs, "--json")
    assert result.exit_code == 0
    assert contents(folder) | contents(tmp_path) == before
    assert "SECRET" not in result.output
    found = json.loads(result.stdout)
    changed = {each["id"]: each for each in found["indicators"]}
    # The household that opted out has a stay of 9,000 as well.
    assert {name: changed["MED-05"][name] for name in ("true", "appears", "disappears", "other_level")} == {
        "true": [1, 2], "appears": 1, "disappears": 0, "other_level": 0,
    }  # fmt: skip
    # A visit is due to whoever has a tier; nothing else hangs on this number.
    assert set(changed) <= {"MED-05", "SOC-04"}
    assert found["raised"] == sum(move["households"] for move in found["moves"]) == 1
    assert found["lowered"] == 0
    assert all(old != new for old, new in found["tiers"].values())
    shown = run("rules", "diff", folder, "--as-of", DAY, "--packs", packs)
    assert "MED-05" in shown.stdout
    assert "1 → 2" in shown.stdout
    assert "MED-06" not in shown.stdout


def test_a_stricter_threshold_lowers_whom_it_no_longer_concerns(folder: Path, tmp_path: Path) -> None:
    packs = pack_with(tmp_path / "own", "single_stay_general: {value: 10000", "single_stay_general: {value: 15000")
    found = json.loads(run("rules", "diff", folder, "--as-of", DAY, "--packs", packs, "--json").stdout)
    med = next(each for each in found["indicators"] if each["id"] == "MED-05")
    assert (med["true"], med["appears"], med["disappears"]) == ([1, 0], 0, 1)
    assert (found["raised"], found["lowered"]) == (0, 1)


def test_a_changed_tier_shows_though_nobody_appears(folder: Path, tmp_path: Path) -> None:
    text = (INDICATORS / "medical.yaml").read_text(encoding="utf-8")
    part, rest = text.split("- id: MED-06", 1)
    head, med = part.split("- id: MED-05", 1)
    rules = own(
        tmp_path / "own",
        "medical.yaml",
        f"{head}- id: MED-05{med.replace('tier: yellow', 'tier: orange', 1)}- id: MED-06{rest}",
    )
    found = json.loads(run("rules", "diff", folder, "--as-of", DAY, "--indicators", rules, "--json").stdout)
    changed = next(each for each in found["indicators"] if each["id"] == "MED-05")
    assert (changed["true"], changed["other_level"]) == ([1, 1], 1)
    assert found["raised"] == 1


def test_points_that_change_show_though_no_indicator_does(folder: Path, tmp_path: Path) -> None:
    points = entry("happened(CLM//INPATIENT, days=90)").replace("mode: trigger", "mode: points\n  decays: true")
    rules = own(tmp_path / "rules", "own.yaml", points.replace("tier: yellow", "points: 1"))
    halved = pack_with(tmp_path / "packs", "half_life_days: {value: 180", "half_life_days: {value: 7")
    moment = at(DAY)
    made = dataset_history(admitted(read_dataset(folder), CORE), CORE)
    before, after = (told(read_rules(packs, rules).book, made, moment) for packs in (None, halved))
    found = differences(before, after)
    assert found["indicators"] == []
    assert found["points_changed"] >= 3


def test_a_new_indicator_appears_and_one_turned_off_goes(folder: Path, tmp_path: Path) -> None:
    rules = own(tmp_path / "rules", "own.yaml", entry("largest(CLM//INPATIENT, days=90) > 1"))
    found = json.loads(run("rules", "diff", folder, "--as-of", DAY, "--indicators", rules, "--json").stdout)
    new = next(each for each in found["indicators"] if each["id"] == "ZZZ-01")
    assert (new["true"], new["appears"]) == ([0, 3], 3)
    off = pack_with(tmp_path / "packs", "indicators: {off: []}", "indicators: {off: [MED-05]}")
    found = json.loads(run("rules", "diff", folder, "--as-of", DAY, "--packs", off, "--json").stdout)
    assert next(each for each in found["indicators"] if each["id"] == "MED-05")["true"] == [1, 0]


def test_the_same_rules_change_nothing(folder: Path, tmp_path: Path) -> None:
    copies = [shutil.copytree(place, tmp_path / place.name) for place in (PACKS, INDICATORS)]
    result = run("rules", "diff", folder, "--as-of", DAY, "--packs", copies[0], "--indicators", copies[1])
    assert result.exit_code == 0
    assert result.stdout == "Nothing changes for these 5 households.\n"


def test_what_cannot_be_compared_is_refused(folder: Path, tmp_path: Path) -> None:
    assert run("rules", "diff", folder, "--as-of", DAY).exit_code == 2
    packs = pack_with(tmp_path / "own", "single_stay_general: {value: 10000", "single_stay_general: {value: 8000")
    for day, reason in (("1999-01-01", "no version of the pack demo"), ("yesterday", "yesterday")):
        result = run("rules", "diff", folder, "--as-of", day, "--packs", packs)
        assert result.exit_code == 1
        assert reason in result.stderr
    made = dataset([event("EMP//WAGE", "2025-01-31", value=2_500.0)], meta=dataclasses.replace(META, catalogue="eph"))
    place = tmp_path / "panel"
    write_dataset(place, events=made.events, members=made.members, households=made.households, meta=made.meta)
    for command in (["diff", place, "--packs", packs], ["report", place]):
        result = run("rules", *command, "--as-of", "2025-06-30")
        assert result.exit_code == 1
        assert "this dataset has eph" in result.stderr


# --- report ----------------------------------------------------------------------------------------------------------


def test_a_report_counts_every_household_once_and_names_none(folder: Path) -> None:
    result = run("rules", "report", folder, "--as-of", DAY, "--json")
    assert result.exit_code == 0
    assert "SECRET" not in result.output
    found = json.loads(result.stdout)
    assert found["households"] == sum(found["tiers"].values()) == 5
    # The quiet household and the one that opted out.
    assert found["opted_out"] == 1
    assert found["tiers"]["grey"] == round(5 * found["grey_share"]) >= 2
    assert sum(each["main"] for each in found["poverty_types"].values()) + found["without_poverty_type"] == 5
    by_id = {each["id"]: each for each in found["indicators"]}
    assert len(by_id) == sum(MODES.values())
    assert (by_id["MED-05"]["true"], by_id["MED-05"]["true_share"]) == (1, 0.2)
    assert by_id["MED-05"]["not_evaluable"] == 1
    assert all(each["true"] + each["not_evaluable"] <= 4 for each in by_id.values())


@pytest.mark.parametrize("columns", [80, 100, 140])
def test_a_report_fits_the_terminal(folder: Path, columns: int) -> None:
    result = run("rules", "report", folder, "--as-of", DAY, columns=columns)
    assert result.exit_code == 0
    assert max(cell_len(line) for line in result.stdout.splitlines()) <= columns
    for name in ("red", "grey", "MED-05", "VER-01", "expenditure"):
        assert name in result.stdout


@pytest.fixture(scope="module")
def county(tiny_county: Path) -> tuple[Told, History, Micros]:
    read = read_dataset(tiny_county)
    moment = at("2023-03-31")
    made = dataset_history(admitted(read, CORE), CORE)
    return told(rulebook(), made, moment), made, moment


def test_the_tiers_of_a_report_are_those_of_assessments_without_a_model(
    county: tuple[Told, History, Micros], opened_bundle: Bundle
) -> None:
    of, made, moment = county
    found = assessments(opened_bundle, made, moment, reasons=False, handling=Handling(rules_only=True))
    names = [training.rule_report._name(int(rank)) for rank in of.tier]
    # The bundle itself has nothing to say to a household that is unknown in a way it never met; the rules have.
    same = [not any(basis.endswith("unknown_never_learned") for basis in record["tier_basis"]) for record in found]
    assert np.mean(same) > 0.5
    assert [n for n, s in zip(names, same, strict=True) if s] == [
        record["tier"] for record, s in zip(found, same, strict=True) if s
    ]
    assert len({*names}) >= 4
    assert OPT_OUT == models.assessment.OPT_OUT


def test_beside_a_model_nobody_is_lowered(
    tiny_county: Path, tiny_bundle: Path, county: tuple[Told, History, Micros], opened_bundle: Bundle
) -> None:
    result = run("rules", "report", tiny_county, "--as-of", "2023-03-31", "--bundle", tiny_bundle, "--json")
    found = json.loads(result.stdout)
    assert found["model"]["lowered"] == 0
    assert found["model"]["raised"] > 0
    assert sum(found["model"]["tiers"].values()) == sum(found["model"]["statuses"].values()) == found["households"]
    _, made, moment = county
    told_one_by_one = Counter(record["tier"] for record in assessments(opened_bundle, made, moment, reasons=False))
    assert Counter(found["model"]["tiers"]) == told_one_by_one
    shown = run("rules", "report", tiny_county, "--as-of", "2023-03-31", "--bundle", tiny_bundle)
    assert f"The model raises {found['model']['raised']:,} households and lowers 0." in shown.stdout


def test_a_model_that_lowered_somebody_would_be_seen(
    county: tuple[Told, History, Micros], opened_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    of, _, _ = county
    monkeypatch.setattr(models.assessment.Assessed, "row", lambda *_: {"tier": "green", "status": "scored"})
    found = training.rule_report.beside_model(of, opened_bundle, rulebook())
    assert found["lowered"] == int((of.tier != 0).sum())
    assert (of.tier == GREY).any()
    assert found["raised"] == 0


def test_a_damaged_bundle_is_refused(folder: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_bundle, tmp_path / "broken")
    (broken / "model.txt").write_text("", encoding="utf-8")
    result = run("rules", "report", folder, "--as-of", DAY, "--bundle", broken)
    assert result.exit_code == 1
    assert "model.txt" in result.stderr


# --- catalog ---------------------------------------------------------------------------------------------------------


def test_the_catalogue_tells_indicators_and_policies() -> None:
    book = rulebook()
    listed = json.loads(run("catalog", "indicators", "--json").stdout)
    assert [each["id"] for each in listed] == [each.id for each in book.indicators]
    shown = run("catalog", "indicators").stdout
    for each in book.indicators:
        assert f"{each.id}  {each.name.zh} · {each.name.en}\n" in shown
    assert shown.splitlines()[-1] == "117 indicators"
    assert all(level["when"] in shown for each in listed for level in each["levels"])
    items = json.loads(run("catalog", "policies", "--json").stdout)
    assert [each["id"] for each in items] == [item.id for item in book.policies.items]
    for written, item in zip(items, book.policies.items, strict=True):
        assert written["depends_on"] == list(item.depends_on)
        assert [check["fact"] for check in written["to_verify"]] == [check.fact.id for check in item.checks]
    shown = run("catalog", "policies").stdout
    assert shown.splitlines()[-1] == "57 policy items"
    assert all(f"{item.id}  {item.name.zh} · {item.name.en}\n" in shown for item in book.policies.items)


def test_panels_have_no_rules() -> None:
    for what in ("indicators", "policies"):
        result = run("catalog", what, "--catalogue", "sipp")
        assert result.exit_code == 1
        assert "core catalogue" in result.stderr


@pytest.mark.parametrize("name", ["check", "diff", "report"])
def test_every_sub_command_helps_and_answers_misuse_with_2(name: str) -> None:
    helped = run("rules", name, "--help")
    assert helped.exit_code == 0
    assert helped.stdout.startswith(f"Usage: main rules {name} ")
    assert "--json" in helped.stdout
    misused = run("rules", name, "--no-such-option")
    assert (misused.exit_code, misused.stdout) == (2, "")
