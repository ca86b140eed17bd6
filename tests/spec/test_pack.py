"""Parameter packs: what holds in a region on a day, and which pack files are refused, with file and line."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.catalogue import catalogue
from features.event import RESIDENCES
from features.rules.files import RuleFileRefused
from features.rules.pack import PackNotInForce, Packs, PackVersion, parameters, read_packs
from features.rules.parameter import ParameterKind, read_parameters

NATIONAL = """region: national
name: {zh: 全国, en: national}
versions:
  - effective_from: 2020-01-01
    values:
      edge_multiple: {value: 1.5, source: assumption}
      dibao_month: {value: null, source: local}
    items: {offered: all}
"""
HEAD = """region: here
name: {zh: 这里, en: here}
based_on: national
"""
SHIPPED = read_packs()
DAYS = [date(2019, 6, 30), date(2020, 12, 31), date(2021, 1, 1), date(2024, 2, 29), date(2026, 11, 1), date(2031, 1, 1)]


def packs(folder: Path, **files: str) -> Packs:
    for name, text in {"national": NATIONAL, **files}.items():
        (folder / f"{name}.yaml").write_text(text, "utf-8")
    return read_packs(folder)


def refusal(folder: Path, **files: str) -> RuleFileRefused:
    with pytest.raises(RuleFileRefused) as caught:
        packs(folder, **files)
    return caught.value


def marked_line(text: str) -> int:
    """The line that carries the mark `# <-`, counted from 1."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if "# <-" in line)


def all_values(pack: PackVersion) -> dict[tuple[str, str], object]:
    return {
        (name, residence): (pack.number if p.kind is ParameterKind.NUMBER else pack.texts)(name, residence)
        for name, p in parameters().items()
        for residence in RESIDENCES
    }


# --- what is refused, with file and line -----------------------------------------------------------------------------

WRONG_VERSIONS = {
    "an unknown parameter": ("dibao_year: {value: 1, source: x} # <-", "'dibao_year' is no parameter"),
    "a text for a number": ("edge_multiple: {value: two, source: x} # <-", "must be a number"),
    "truth for a number": ("edge_multiple: {value: true, source: x} # <-", "must be a number"),
    "infinity": ("edge_multiple: {value: .inf, source: x} # <-", "must be a finite number"),
    "a number for texts": ("province_code: {value: [33], source: x} # <-", "must be a text"),
    "one text for a list": ('province_code: {value: "33", source: x} # <-', "must be a list"),
    "an empty list": ("expected_sources: {value: [], source: x} # <-", "write null"),
    "a text twice": ("expected_sources: {value: [a, a], source: x} # <-", "each once"),
    "too low": ("edge_multiple: {value: 0.99, source: x} # <-", "from 1 to 4"),
    "too high": ("edge_multiple: {value: 4.01, source: x} # <-", "from 1 to 4"),
    "too high in one residence": (
        "dibao_month:\n        rural: 600\n        city: 20000\n        town: 20001 # <-\n        source: x",
        "from 50 to 20000",
    ),
    "no source": ("edge_multiple: {value: 2} # <-", "source missing"),
    "an empty source": ('edge_multiple: {value: 2, source: " "} # <-', "must be a text"),
    "a bare number": ("edge_multiple: 2 # <-", "needs a value and a source"),
    "a source without a value": ("edge_multiple: {source: x} # <-", "needs value, null where it is unknown"),
    "an unknown residence": ("dibao_month: {village: 600, source: x} # <-", "'village'"),
    "a residence where none matters": ("edge_multiple: {city: 2, source: x} # <-", "'city'"),
    "a value beside a residence": ("dibao_month: {value: 600, city: 700, source: x} # <-", "value or some of"),
    "a parameter twice": (
        "edge_multiple: {value: 2, source: x}\n      edge_multiple: {value: 3, source: x} # <-",
        "given twice",
    ),
}


@pytest.mark.parametrize(("written", "reason"), WRONG_VERSIONS.values(), ids=WRONG_VERSIONS)
def test_a_wrong_value_is_refused_with_its_line(tmp_path: Path, written: str, reason: str) -> None:
    text = f"{HEAD}versions:\n  - effective_from: 2020-01-01\n    values:\n      {written}\n"
    refused = refusal(tmp_path, here=text)
    assert (refused.file, refused.line) == ("here.yaml", marked_line(text))
    assert reason in refused.reason


WRONG_FILES = {
    "no base": ("region: here # <-\nname: {zh: a, en: a}\nversions: [{effective_from: 2020-01-01}]", "needs based_on"),
    "an unknown base": (f"{HEAD.strip()}-x # <-\nversions: [{{effective_from: 2020-01-01}}]", "no pack of national-x"),
    "its own base": (
        f"{HEAD.replace('national', 'here # <-')}versions: [{{effective_from: 2020-01-01}}]",
        "in a circle: here, here",
    ),
    "an undeclared field": (f"{HEAD}basis: x # <-\nversions: [{{effective_from: 2020-01-01}}]", "'basis' is no field"),
    "no version": (f"{HEAD}versions: [] # <-", "holds no version"),
    "no first day": (f"{HEAD}versions:\n  - values: {{}} # <-", "effective_from missing"),
    "a day that does not exist": (f"{HEAD}versions:\n  - effective_from: 2021-02-29 # <-", "cannot be read as a value"),
    "a moment for a day": (f"{HEAD}versions:\n  - effective_from: 2021-02-01 10:00:00 # <-", "must be a day"),
    "the last day before the first": (
        f"{HEAD}versions:\n  - effective_from: 2021-01-01\n    effective_to: 2020-12-31 # <-",
        "before effective_from",
    ),
    "an undeclared field of a version": (
        f"{HEAD}versions:\n  - effective_from: 2021-01-01\n    value: {{}} # <-",
        "'value' is no field",
    ),
    "continuing nothing": (
        f"{HEAD}versions:\n  - effective_from: 2021-01-01 # <-\n    continues: true",
        "continues nothing",
    ),
    "an item twice": (
        f"{HEAD}versions:\n  - effective_from: 2021-01-01\n    items: {{offered: [A01, A01]}} # <-",
        "names something twice",
    ),
    "items that are neither all nor a list": (
        f"{HEAD}versions:\n  - effective_from: 2021-01-01\n    items: {{offered: most}} # <-",
        "must be a list",
    ),
    "overlapping days": (
        f"{HEAD}versions:\n  - effective_from: 2022-01-01 # <-\n"
        "  - effective_from: 2021-01-01\n    effective_to: 2022-01-01",
        "overlaps the version of here.yaml line 6, which holds until 2022-01-01",
    ),
    "the same first day": (
        f"{HEAD}versions:\n  - effective_from: 2022-01-01\n  - effective_from: 2022-01-01 # <-",
        "both begin on 2022-01-01",
    ),
    "a gap": (
        f"{HEAD}versions:\n  - effective_from: 2021-01-01\n    effective_to: 2021-12-30\n"
        "  - effective_from: 2022-01-01 # <-",
        "leaves days without a version",
    ),
    "points bands out of order": (
        f"{HEAD}versions:\n  - effective_from: 2021-01-01 # <-\n    values:\n"
        "      points_red: {value: 20, source: x}\n      points_orange: {value: 21, source: x}",
        "points_red lies below points_orange",
    ),
    "no YAML": (f"{HEAD}versions: [\n- : # <-", "is no YAML"),
    "an object": (f"{HEAD}versions: !!python/object:os.system {{}} # <-", "carries a tag"),
}


@pytest.mark.parametrize(("text", "reason"), WRONG_FILES.values(), ids=WRONG_FILES)
def test_a_wrong_file_is_refused_with_its_line(tmp_path: Path, text: str, reason: str) -> None:
    refused = refusal(tmp_path, here=text)
    assert (refused.file, refused.line) == ("here.yaml", marked_line(text))
    assert reason in refused.reason
    assert str(refused).startswith(f"here.yaml line {marked_line(text)}: ")


def test_weights_of_one_whole_that_do_not_add_up_are_refused(tmp_path: Path) -> None:
    items = [name for name, parameter in parameters().items() if parameter.part_of == "af_weights"]
    assert len(items) == 10
    weights = "".join(f"      {name}: {{value: 0.1, source: x}}\n" for name in items)
    text = f"{HEAD}versions:\n  - effective_from: 2020-01-01\n    values:\n{weights}"
    assert packs(tmp_path, here=text).in_force("here", date(2020, 1, 1)).number(items[0], None) == 0.1
    refused = refusal(tmp_path, here=text.replace("0.1", "0.11", 1))
    assert (refused.line, refused.reason) == (5, "the af_weights of this version do not add up to 1")


def test_an_overlap_between_two_files_is_refused_at_the_later_version_and_names_the_other(tmp_path: Path) -> None:
    closed = f"{HEAD}versions:\n  - effective_from: 2021-01-01\n    effective_to: 2026-12-31\n"
    refused = refusal(tmp_path, a_later=f"{HEAD}versions:\n  - effective_from: 2026-12-31\n", here=closed)
    assert (refused.file, refused.line) == ("a_later.yaml", 5)
    assert "here.yaml line 5" in refused.reason


def test_two_files_of_one_region_must_not_contradict_each_other(tmp_path: Path) -> None:
    one = f"{HEAD}scored_as: [demo]\nversions:\n  - effective_from: 2021-01-01\n"
    two = f"{HEAD}scored_as: [national]\nversions:\n  - effective_from: 2022-01-01\n"
    refused = refusal(tmp_path, here=one, here_2022=two)
    assert (refused.file, refused.line) == ("here_2022.yaml", 4)
    silent = two.replace("scored_as: [national]\n", "").replace("based_on: national\n", "")
    assert packs(tmp_path, here=one, here_2022=silent).scored_as("here") == ("demo",)


def test_a_longer_circle_is_refused_in_a_file_of_the_circle(tmp_path: Path) -> None:
    def pack(region: str, base: str) -> str:
        return f"region: {region}\nname: {{zh: a, en: a}}\nbased_on: {base}\nversions: [{{effective_from: 2020-01-01}}]"

    refused = refusal(tmp_path, aside=pack("aside", "b"), b=pack("b", "c"), c=pack("c", "b"))
    assert (refused.file, refused.line, refused.reason) == (
        "b.yaml",
        3,
        "based_on goes round in a circle: b, c, b",
    )


def test_the_national_pack_is_based_on_nothing(tmp_path: Path) -> None:
    assert (
        refusal(tmp_path, national=NATIONAL.replace("versions:", "based_on: here\nversions:")).file == "national.yaml"
    )


def test_a_wrong_number_is_refused_where_it_is_written_and_not_where_it_is_inherited(tmp_path: Path) -> None:
    wrong = NATIONAL.replace(
        "    items:", "      points_red: {value: 1, source: x}\n      points_orange: {value: 2, source: x}\n    items:"
    )
    refused = refusal(tmp_path, national=wrong, here=f"{HEAD}versions: [{{effective_from: 2020-01-01}}]")
    assert refused.file == "national.yaml"


def test_a_folder_without_a_pack_is_refused_and_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(RuleFileRefused, match="holds a pack"):
        read_packs(extra=tmp_path)
    with pytest.raises(RuleFileRefused, match="holds a pack"):
        read_packs(extra=tmp_path / "missing")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("unit: ratio", "unit: percent", "must be one of"),
        ("kind: number", "kind: text", "must be one of number, texts"),
        ("  least: 1\n", "", "a number needs least and most"),
        ("most: 4", "most: 1", "most must be above least"),
        ("most: 4", "most: 4\n  not_below: dibao_month", "same shape"),
    ],
)
def test_a_wrong_declaration_is_refused_with_file_and_line(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = (
        "- id: edge_multiple\n  name: {zh: 倍数, en: multiple}\n  unit: ratio\n  kind: number\n  by_residence: false\n"
        "  least: 1\n  most: 4\n  meaning: {zh: 倍数, en: multiple}\n"
    )
    path = tmp_path / "parameters.yaml"
    path.write_text(text, "utf-8")
    assert list(read_parameters(path)) == ["edge_multiple"]
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(RuleFileRefused, match=rf"parameters.yaml line [1-8]: .*{reason}"):
        read_parameters(path)
    path.write_text(text + text, "utf-8")
    with pytest.raises(RuleFileRefused, match=r"parameters.yaml line 9: edge_multiple is declared twice"):
        read_parameters(path)


# --- which version holds on a day ------------------------------------------------------------------------------------

TWO_VERSIONS = f"""{HEAD}versions:
  - effective_from: 2021-03-01
    effective_to: 2022-06-30
    values: {{monitor_line_year: {{value: 6000, source: first}}}}
  - effective_from: 2022-07-01
    effective_to: 2023-12-31
    values: {{monitor_line_year: {{value: 7000, source: second}}}}
"""


@pytest.mark.parametrize(
    ("on", "line"),
    [
        (date(2021, 3, 1), 6000),
        (date(2022, 6, 30), 6000),
        (date(2022, 7, 1), 7000),
        (date(2023, 12, 31), 7000),
    ],
)
def test_a_version_holds_from_its_first_day_to_its_last(tmp_path: Path, on: date, line: float) -> None:
    pack = packs(tmp_path, here=TWO_VERSIONS).in_force("here", on)
    assert pack.number("monitor_line_year", "rural") == line
    assert pack.effective_from <= on <= (pack.effective_to or date.max)


@pytest.mark.parametrize("on", [date(2021, 2, 28), date(2024, 1, 1)])
def test_outside_every_version_nothing_holds(tmp_path: Path, on: date) -> None:
    read = packs(tmp_path, here=TWO_VERSIONS)
    with pytest.raises(PackNotInForce, match=rf"pack here, based on national covers {on}"):
        read.in_force("here", on)


def test_nothing_holds_where_the_base_does_not_hold_yet(tmp_path: Path) -> None:
    read = packs(tmp_path, here=f"{HEAD}versions:\n  - effective_from: 2019-01-01\n")
    with pytest.raises(PackNotInForce, match="national"):
        read.in_force("here", date(2019, 12, 31))
    assert read.in_force("here", date(2020, 1, 1)).number("edge_multiple", None) == 1.5


def test_a_version_of_a_single_day_holds_on_that_day(tmp_path: Path) -> None:
    text = f"{HEAD}versions:\n  - effective_from: 2021-01-01\n    effective_to: 2021-01-01\n"
    assert packs(tmp_path, here=text).in_force("here", date(2021, 1, 1)).effective_to == date(2021, 1, 1)


def test_an_open_version_ends_the_day_before_the_next_one(tmp_path: Path) -> None:
    text = f"{HEAD}versions:\n  - effective_from: 2020-05-01\n  - effective_from: 2026-01-01\n"
    first, second = packs(tmp_path, here=text).versions("here")
    assert (first.effective_to, second.effective_from) == (date(2025, 12, 31), date(2026, 1, 1))
    assert second.effective_to is None


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 400), min_size=1, max_size=6),
    closed=st.lists(st.booleans(), min_size=6, max_size=6),
    asked=st.integers(-5, 2500),
    shuffled=st.randoms(use_true_random=False),
)
def test_the_version_in_force_is_the_one_whose_days_hold_the_day(
    tmp_path_factory: pytest.TempPathFactory,
    lengths: Sequence[int],
    closed: Sequence[bool],
    asked: int,
    shuffled: object,
) -> None:
    begins, written, oracle = date(2020, 1, 1), [], {}
    for number, (length, is_closed) in enumerate(zip(lengths, closed, strict=False)):
        last = begins + timedelta(days=length - 1)
        is_last = number == len(lengths) - 1
        written.append(
            f"  - effective_from: {begins}\n"
            + (f"    effective_to: {last}\n" if is_closed else "")
            + f"    values: {{monitor_line_year: {{value: {2000 + number}, source: x}}}}\n"
        )
        until = length if is_closed or not is_last else 5000
        oracle |= {begins + timedelta(days=day): 2000 + number for day in range(until)}
        begins = last + timedelta(days=1)
    shuffled.shuffle(written)  # type: ignore[attr-defined]
    half = len(written) // 2
    files = {
        f"here_{n}": f"{HEAD}versions:\n{''.join(part)}"
        for n, part in enumerate((written[:half], written[half:]))
        if part
    }
    read = packs(tmp_path_factory.mktemp("packs"), **files)
    on = date(2020, 1, 1) + timedelta(days=asked)
    if on in oracle:
        assert read.in_force("here", on).number("monitor_line_year", None) == oracle[on]
    else:
        with pytest.raises(PackNotInForce):
            read.in_force("here", on)


@pytest.mark.parametrize("region", SHIPPED.regions)
@pytest.mark.parametrize("how", ["", "    continues: true\n"])
def test_a_2027_pack_leaves_every_earlier_version_as_it_was(tmp_path: Path, region: str, how: str) -> None:
    base = "" if region == "national" else "based_on: national\n"
    text = (
        f"region: {region}\nname: {{zh: 新, en: new}}\n{base}versions:\n  - effective_from: 2027-01-01\n{how}"
        "    values:\n      dibao_month: {value: 9999, source: x}\n      coverage_least: {value: 0.9, source: x}\n"
        "    items: {offered: [A01], not_offered: [A02]}\n    indicators: {off: [INC-01]}\n"
    )
    (tmp_path / "next.yaml").write_text(text, "utf-8")
    later = read_packs(extra=tmp_path)
    new = later.in_force(region, date(2027, 1, 1))
    assert new.number("dibao_month", "rural") == 9999
    assert (new.offered, new.not_offered, new.indicators_off) == ({"A01", "A02"}, {"A02"}, {"INC-01"})
    for name in (*SHIPPED.regions, "without-a-pack"):
        for on in (*DAYS[:-1], date(2026, 12, 31)):
            before, after = SHIPPED.in_force(name, on), later.in_force(name, on)
            assert (before.digest, all_values(before)) == (after.digest, all_values(after))
            assert before.effective_from == after.effective_from
    assert later.digest != SHIPPED.digest


def test_the_example_of_the_how_to_is_one_edit_that_changes_one_number(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "change-a-policy-number.md").read_text("utf-8")
    example = textwrap.dedent(page.split("```yaml\n")[1].split("```")[0])
    (tmp_path / "example.yaml").write_text(example, "utf-8")
    later = read_packs(extra=tmp_path)
    before, after = (all_values(later.in_force("demo", on)) for on in (date(2026, 12, 31), date(2027, 1, 1)))
    assert {name for (name, residence), value in after.items() if before[name, residence] != value} == {"dibao_month"}


# --- where a value comes from ----------------------------------------------------------------------------------------

INHERITS = f"""{HEAD}versions:
  - effective_from: 2021-01-01
    values:
      dibao_month: {{rural: 500, city: 700, source: county notice}}
      edge_multiple: {{value: null, source: under revision}}
      expected_sources: {{rural: [a, b], source: x}}
      monitor_line_year: {{value: 6000, source: x}}
    items: {{offered: [A01, B01], not_offered: [J01]}}
    indicators: {{off: [INC-01]}}
  - effective_from: 2022-01-01
    continues: true
    values: {{dibao_month: {{city: 710, source: city notice}}}}
  - effective_from: 2023-01-01
    values: {{dibao_month: {{city: 720, source: city notice}}}}
"""
BASE = NATIONAL.replace("value: null, source: local", "town: 400, city: 450, source: old list")


def test_unknown_stays_unknown_through_inheritance(tmp_path: Path) -> None:
    pack = packs(tmp_path, here=INHERITS).in_force("here", date(2021, 6, 1))
    assert pack.number("dibao_month", "town") is None  # the base says null
    assert pack.number("edge_multiple", "city") is None  # null here, 1.5 in the base
    assert pack.number("rigid_ratio", "rural") is None  # nobody speaks of it
    assert pack.texts("expected_sources", "city") is None


def test_a_residence_left_out_comes_from_the_base_and_never_from_its_neighbour(tmp_path: Path) -> None:
    pack = packs(tmp_path, here=INHERITS, national=BASE).in_force("here", date(2021, 6, 1))
    assert [pack.number("dibao_month", residence) for residence in RESIDENCES] == [500, 400, 700]
    assert pack.sources["dibao_month"] == "old list; county notice"


def test_an_unknown_residence_is_known_only_where_residence_does_not_matter(tmp_path: Path) -> None:
    text = (
        f"{HEAD}versions:\n  - effective_from: 2021-01-01\n    values:\n      dibao_month: {{value: 650, source: x}}\n"
    )
    everywhere = packs(tmp_path, here=text).in_force("here", date(2021, 1, 1))
    assert [everywhere.number("dibao_month", residence) for residence in (*RESIDENCES, None)] == [650] * 4
    assert everywhere.number("edge_multiple", None) == 1.5
    demo = SHIPPED.in_force("demo", date(2026, 11, 1))
    assert demo.number("dibao_month", None) is None
    assert demo.texts("expected_sources", None) is None
    partly = packs(tmp_path, here=INHERITS).in_force("here", date(2021, 6, 1))
    assert partly.texts("expected_sources", None) is None


def test_a_version_that_continues_keeps_what_it_does_not_name(tmp_path: Path) -> None:
    read = packs(tmp_path, here=INHERITS, national=BASE)
    kept, fresh = read.in_force("here", date(2022, 6, 1)), read.in_force("here", date(2023, 6, 1))
    assert [kept.number("dibao_month", residence) for residence in RESIDENCES] == [500, 400, 710]
    assert (kept.number("edge_multiple", None), kept.number("monitor_line_year", None)) == (None, 6000)
    assert (kept.offered, kept.not_offered, kept.indicators_off) == ({"A01", "B01", "J01"}, {"J01"}, {"INC-01"})
    assert [fresh.number("dibao_month", residence) for residence in RESIDENCES] == [None, 400, 720]
    assert (fresh.number("edge_multiple", None), fresh.number("monitor_line_year", None)) == (1.5, None)
    assert (fresh.offered, fresh.not_offered, fresh.indicators_off) == (None, frozenset(), frozenset())


def test_a_base_that_changes_changes_its_heirs_on_the_same_day(tmp_path: Path) -> None:
    later = (
        f"{NATIONAL}  - effective_from: 2021-07-01\n    continues: true\n"
        "    values: {edge_multiple: {value: 2, source: x}, half_life_days: {value: 90, source: x}}\n"
    )
    read = packs(tmp_path, national=later, here=TWO_VERSIONS)
    assert read.in_force("here", date(2021, 6, 30)).number("edge_multiple", None) == 1.5
    changed = read.in_force("here", date(2021, 7, 1))
    assert (changed.number("edge_multiple", None), changed.number("monitor_line_year", None)) == (2, 6000)
    assert (changed.effective_from, changed.effective_to) == (date(2021, 7, 1), date(2022, 6, 30))


def test_a_region_without_a_pack_has_the_national_one() -> None:
    assert not SHIPPED.knows("nowhere-in-particular")
    assert SHIPPED.in_force("nowhere-in-particular", date(2026, 11, 1)).region == "national"
    assert SHIPPED.scored_as("nowhere-in-particular") == ()


def test_a_name_or_residence_that_does_not_exist_is_an_error_and_not_unknown() -> None:
    pack = SHIPPED.in_force("demo", date(2026, 11, 1))
    with pytest.raises(KeyError, match="dibao"):
        pack.number("dibao", "rural")
    with pytest.raises(KeyError, match="province_code"):
        pack.number("province_code", "rural")
    with pytest.raises(KeyError, match="texts"):
        pack.texts("dibao_month", "rural")
    with pytest.raises(KeyError, match="residence"):
        pack.number("dibao_month", "village")


# --- the digest ------------------------------------------------------------------------------------------------------

ONE = f"""{HEAD}scored_as: [demo]
versions:
  - effective_from: 2021-01-01
    values:
      dibao_month: {{rural: 500, city: 700, source: county notice}}
      expected_sources: {{rural: [a, b], source: x}}
    items: {{offered: [A01, B01], not_offered: [J01]}}
    indicators: {{off: [INC-01]}}
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rural: 500", "rural: 501"),
        ("rural: 500", "rural: 700"),
        ("city: 700", "town: 700"),
        ("[a, b]", "[a]"),
        ("[A01, B01]", "[A01]"),
        ("[A01, B01], not_offered: [J01]", "[A01, B01, J01], not_offered: [A01]"),
        ("[INC-01]", "[INC-02]"),
        ("scored_as: [demo]", "scored_as: []"),
        ("region: here", "region: there"),
    ],
)
def test_whatever_decides_changes_the_digest(tmp_path: Path, old: str, new: str) -> None:
    assert old in ONE
    before = packs(tmp_path, here=ONE).in_force("here", date(2021, 1, 1))
    region = "there" if "there" in new else "here"
    after = packs(tmp_path, here=ONE.replace(old, new)).in_force(region, date(2021, 1, 1))
    assert before.digest != after.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("county notice", "another notice"),
        ("en: here", "en: over there"),
        ("rural: 500, city: 700", "city: 700.0, rural: 500"),
        ("[A01, B01]", "[B01, A01]"),
        ("effective_from: 2021-01-01", "effective_from: 2020-06-01\n    effective_to: 2030-12-31"),
    ],
)
def test_a_source_a_name_an_order_or_a_last_day_does_not_change_it(tmp_path: Path, old: str, new: str) -> None:
    assert old in ONE
    before = packs(tmp_path, here=ONE).in_force("here", date(2021, 1, 1))
    after = packs(tmp_path, here=ONE.replace(old, new)).in_force("here", date(2021, 1, 1))
    assert before.digest == after.digest


# --- the shipped packs -----------------------------------------------------------------------------------------------


def test_the_shipped_packs_are_read_once() -> None:
    assert read_packs() is read_packs()
    assert SHIPPED.regions == ("cn-hangzhou-demo", "demo", "national")


@pytest.mark.parametrize("on", DAYS)
@pytest.mark.parametrize("region", ["demo", "cn-hangzhou-demo"])
def test_the_example_regions_leave_nothing_unknown(region: str, on: date) -> None:
    assert [place for place, value in all_values(SHIPPED.in_force(region, on)).items() if value is None] == []


def test_what_only_a_county_can_know_is_unknown_nationally() -> None:
    national = SHIPPED.in_force("national", date(2026, 11, 1))
    local = {
        *(
            "dibao_month",
            "monitor_line_year",
            "rigid_ratio",
            "disposable_income_year",
            "median_equivalised_income_year",
        ),
        *("societal_poverty_line_month", "subsistence_month", "car_value", "business_capital", "dwellings_most"),
        *("high_wage_month", "housing_fund_high_month", "living_area_per_head", "rent_month_usual", "layoff_persons"),
        *("province_code", "expected_sources", "earned_income_disregard_share"),
    }
    assert {name for (name, _), value in all_values(national).items() if value is None} == local
    assert set(national.sources) == set(parameters())


@pytest.mark.parametrize("region", SHIPPED.regions)
def test_every_value_has_a_source(region: str) -> None:
    for pack in SHIPPED.versions(region):
        assert {name for (name, _), value in all_values(pack).items() if value is not None} <= set(pack.sources)
        assert all(source.strip() for source in pack.sources.values())


@pytest.mark.parametrize("region", SHIPPED.regions)
def test_expected_sources_are_sources_that_the_catalogue_names(region: str) -> None:
    known = {kind.department.source for kind in catalogue().kinds}
    for pack in SHIPPED.versions(region):
        for residence in RESIDENCES:
            assert set(pack.texts("expected_sources", residence) or ()) <= known


def test_the_lines_of_the_simulated_county_differ_by_year() -> None:
    lines = [pack.number("dibao_month", "rural") for pack in SHIPPED.versions("demo")]
    assert len(lines) >= 2
    assert lines == sorted(set(lines))


def test_sourced_lines_are_as_sourced() -> None:
    national = SHIPPED.in_force("national", date(2026, 11, 1))
    sourced = {
        "edge_multiple": 1.5,
        "medical_push_listed_year": 10_000,
        "medical_push_general_year": 26_000,
        "medical_unaided_year": 50_000,
        "single_stay_listed": 6_000,
        "single_stay_general": 10_000,
        "points_red": 40,
        "points_orange": 25,
        "points_yellow": 12,
        "points_cap": 15,
        "half_life_days": 180,
        "coverage_least": 0.4,
    }
    assert {name: national.number(name, None) for name in sourced} == sourced
    assert national.number("af_cut", None) == 1 / 3


def test_the_worked_example_has_its_items_and_lines() -> None:
    pack = SHIPPED.in_force("cn-hangzhou-demo", date(2026, 11, 1))
    items = "A01 A02 A04 A05 A06 A07 A08 A10 A11 A13 A14 A17 B01 B03 C01 D01 D02 G01 H01 J01 K01 Q01 Q02 Q03"
    assert pack.offered == set(items.split())
    assert pack.not_offered == frozenset()
    assert SHIPPED.scored_as("cn-hangzhou-demo") == ("demo",)
    assert pack.number("edge_multiple", None) == 2.0
    # Its stay in hospital costs 14,200: above the single-stay line and no other.
    for residence in RESIDENCES:
        assert (pack.number("disposable_income_year", residence) or 0) > 26_000
    assert (
        (pack.number("medical_push_general_year", None) or 0) > 14_200 > (pack.number("single_stay_general", None) or 0)
    )
