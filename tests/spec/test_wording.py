"""Every feature has its sentence in every language: dated, sourced, short, plain, and without a word of cause."""

from __future__ import annotations

import importlib
import math
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import Catalogue, catalogue
from features.definition import EventKind, Feature, Group, Measure, Text
from features.rules.rulebook import rulebook
from features.unit import Unit
from features.window import last
from models.language import CONDITIONS, FIELDS, FOLDER, WordingRefused, languages, read_languages, texts
from models.plain_words import BANNED, LONGEST_ZH, banned_words, length_zh
from models.spoken import Spoken
from models.wording import _FIELDS, _HOLDS, Told, Wording, group_sentence, main, not_itemised, uncovered, wording_of

CATALOGUES = [catalogue(name) for name in ("core", "eph", "sipp")]
ZH, EN = (language.spoken for language in languages())
GRADE = 8.0
AMOUNTS = (math.nan, 0.0, 1.0, 2_500.0, 14_200.4, 3e6)


def read_by(of: Catalogue, feature: Feature) -> EventKind:
    """A kind of event that the feature, or a part of it, reads."""
    while feature.measure.is_derived:
        feature = of.by_name[feature.of[0]]
    read = of.codes_read[feature.name]
    return next((kind for kind, is_read in zip(of.kinds, read, strict=True) if is_read), of.kinds[0])


def told(of: Catalogue, feature: Feature, value: float, **changed: Any) -> Told:
    kind = read_by(of, feature)
    at = {"direction": "raises", "n_events": 3, "amount": 2_500.0, "day": "2024-10-31", "year": "2025", **changed}
    if kind.unit is Unit.NONE:
        at["amount"] = math.nan
    return Told(feature, value, kind=kind, source=kind.department.source, currency="CNY", **at)


def values_of(feature: Feature) -> list[float]:
    """The least, some usual and the most of a feature."""
    low, high = feature.bounds
    usual = {Unit.MONEY: (14_200.4, 90.0), Unit.SHARE: (0.42, 0.07, 1.3), Unit.MONTHS: (7.3, 30.0)}
    return [value for value in (low, *usual.get(feature.unit, (1.0, 2.0, 3.0)), high) if low <= value <= high]


def facts() -> Iterator[tuple[Catalogue, Told]]:
    """Every feature that can be a fact, with the least, usual and the largest of everything."""
    for of in CATALOGUES:
        for feature in of.features:
            if feature.measure.is_of_events or feature.measure.is_derived:
                for value in values_of(feature):
                    for n, direction in ((1, "raises"), (2, "lowers"), (5_000, "raises")):
                        for amount in (math.nan, 2_500.0):
                            yield of, told(of, feature, value, n_events=n, direction=direction, amount=amount)


@pytest.fixture(scope="module")
def sentences() -> list[tuple[Told, str, dict[str, str]]]:
    """Every fact with its template and its sentences."""
    return [(each, *wording_of(of).fact(each)) for of, each in facts()]


def test_every_feature_of_every_catalogue_has_a_sentence() -> None:
    assert [uncovered(of) for of in CATALOGUES] == [[], [], []]
    assert main(["core"]) == main(["eph"]) == main(["sipp"]) == 0


def test_a_sentence_tells_the_day_and_the_source(sentences: list[tuple[Told, str, dict[str, str]]]) -> None:
    for each, _, text in sentences:
        assert "2024年10月31日" in text["zh"], text["zh"]
        assert "31 October 2024" in text["en"], text["en"]
        assert f"{each.source}）" in text["zh"], text["zh"]
        assert text["en"].endswith(")"), text["en"]
        assert not re.search("[一-鿿]", text["en"]), text["en"]


def test_a_sentence_holds_no_code_no_gap_and_no_word_for_no(
    sentences: list[tuple[Told, str, dict[str, str]]],
) -> None:
    for _, _, text in sentences:
        for said in text.values():
            assert not re.search(r"[{}]|//|\bnan\b|\binf\b|\bNone\b|_|  |：\s*[（(]", said), said
            assert not re.search(r"：否|：是（|\b(?:[Tt]rue|[Ff]alse)\b|: (?:no|yes)(?: [(]|$)", said), said


def test_no_sentence_says_what_causes_what(sentences: list[tuple[Told, str, dict[str, str]]]) -> None:
    assert [found for _, _, text in sentences for said in text.values() for found in banned_words(said)] == []
    assert banned_words("因病住院导致支出增加，由于没有工作") == ["导致", "由于"]
    assert banned_words("Because of illness. DUE TO it; this leads to debt.") == ["because", "due to", "leads to"]
    assert all(banned_words(word) == [word] for words in BANNED.values() for word in words)
    # A denial stays possible, and so do words that only look alike.
    assert banned_words("They are not causes. Lead pipes; hospital residue to clear.") == []


def test_no_other_text_for_people_says_what_causes_what() -> None:
    core = catalogue()
    spoken = [text for feature in core.features for text in feature.meaning]
    spoken += [text for kind in core.kinds for text in kind.name]
    features, pages = (Path(__file__).parents[2] / name for name in ("features", "serving/pages"))
    for path in sorted(
        [*features.glob("indicators/*.yaml"), *features.glob("policies/*.yaml"), *FOLDER.glob("*.yaml")]
    ):
        spoken += _for_people(yaml.safe_load(path.read_text("utf-8")))
    for module in sorted(pages.glob("*.py")):
        words = getattr(importlib.import_module(f"serving.pages.{module.stem}"), "WORDS", {})
        spoken += [text for pair in words.values() for text in pair]
    for path in sorted(pages.rglob("*.html")):
        spoken.append(re.sub(r"(?s)\{[{%#].*?[}%#]\}|<[^>]*>", " ", path.read_text("utf-8")))
    spoken += [path.read_text("utf-8") for path in sorted(pages.rglob("*.json"))]
    assert len(spoken) > 2_000
    assert [text for text in spoken if banned_words(text)] == []


def _for_people(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [text for name, text in value.items() if name in ("zh", "en") and isinstance(text, str)]
        return own + [text for each in value.values() for text in _for_people(each)]
    return [text for each in value for text in _for_people(each)] if isinstance(value, list) else []


def test_a_chinese_sentence_is_short(sentences: list[tuple[Told, str, dict[str, str]]]) -> None:
    too_long = {text["zh"] for _, _, text in sentences if length_zh(text["zh"]) > LONGEST_ZH}
    assert too_long == set()
    for indicator in rulebook().indicators:
        for level in range(len(indicator.levels)):
            assert length_zh(indicator.text_of(level).zh) <= LONGEST_ZH, indicator.id
        for question in indicator.questions:
            assert max(map(length_zh, re.split("[。？；]", question.zh))) <= LONGEST_ZH, indicator.id
    longest = not_itemised(["disaster", "disability"])["zh"]
    for section in ("notes", "fixed", "public"):
        for text in (longest, *_leaves(languages()[0].sections[section])):
            assert all(length_zh(part) <= LONGEST_ZH for part in re.split("[。？；]", text)), text


def test_the_length_counts_words_and_not_numbers() -> None:
    assert length_zh("近12个月住院2次，最近一次5月10日，自付约1.4万元（医保）") == 12
    assert length_zh("2025年3月1日起约4成半") == 2
    assert length_zh("abc 12 岁（残联）") == 5
    assert length_zh("家" * 29) == 29


def test_english_sentences_are_read_at_grade_eight_on_the_whole(
    sentences: list[tuple[Told, str, dict[str, str]]],
) -> None:
    """The mean over the core catalogue's different sentences; single ones with long names of offices lie above it."""
    core = {each.feature.name for each, _, _ in sentences} & set(catalogue().names)
    said = sorted({text["en"] for each, _, text in sentences if each.feature.name in core})
    grades = [reading_grade(text) for text in said]
    assert len(grades) > 1_000
    assert sum(grades) / len(grades) <= GRADE
    indicators = [
        indicator.text_of(level) for indicator in rulebook().indicators for level in range(len(indicator.levels))
    ]
    assert all(text.zh.strip() and text.en.strip() for text in indicators)
    assert sum(reading_grade(text.en) for text in indicators) / len(indicators) <= GRADE
    fixed = [text for section in ("notes", "fixed") for text in _leaves(languages()[1].sections[section])]
    assert sum(map(reading_grade, fixed)) / len(fixed) <= GRADE


def reading_grade(text: str) -> float:
    """The Flesch-Kincaid grade: 0.39 words a sentence + 11.8 syllables a word - 15.59.

    What stands in brackets (day and source) counts as a sentence of its own; as one sentence with the rest the mean
    would be about 10. Syllables are groups of vowels, a silent e apart; a number is one word of one syllable.
    """
    sentences = [part for part in re.split(r"[.!?](?:\s+|$)|[()]", text) if re.search("[A-Za-z]", part)]
    words = re.findall(r"[A-Za-z][A-Za-z'-]*|\d[\d,.]*", text)
    return 0.39 * len(words) / len(sentences) + 11.8 * sum(map(_syllables, words)) / len(words) - 15.59


def _syllables(word: str) -> int:
    word = word.lower()
    groups = len(re.findall("[aeiouy]+", word))
    is_silent = (word.endswith("e") and not word.endswith("le")) or re.search("[^td]ed$", word) is not None
    return max(1, groups - is_silent)


def test_the_reading_grade_tells_plain_words_from_office_language() -> None:
    assert reading_grade("The cat sat on the mat.") < 2
    assert reading_grade("Notwithstanding administrative considerations, eligibility determination necessitates") > 15


def _leaves(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for each in value.values() for text in _leaves(each)]
    return [value] if isinstance(value, str) and len(value) > 2 else []


# --- numbers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "value", "zh", "en"),
    [
        (Unit.MONEY, 14_200.4, "约1.4万元", "about 14,000 yuan"),
        (Unit.MONEY, 9_000.0, "9000元", "9,000 yuan"),
        (Unit.MONEY, 2_594.0, "约2600元", "about 2,600 yuan"),
        (Unit.MONEY, 99_600.0, "约10万元", "about 100,000 yuan"),
        (Unit.MONEY, 123_456_789.0, "约1.2亿元", "about 120,000,000 yuan"),
        (Unit.MONEY, 0.0, "0元", "0 yuan"),
        (Unit.MONEY, -5_230.0, "约负5200元", "about minus 5,200 yuan"),
        (Unit.SHARE, 0.42, "约4成", "about 40 %"),
        (Unit.SHARE, 0.16, "约1成半", "about 15 %"),
        (Unit.SHARE, 0.071, "约7%", "about 7 %"),
        (Unit.SHARE, 0.001, "不到1%", "less than 1 %"),
        (Unit.SHARE, 1.0, "100%", "100 %"),
        (Unit.SHARE, 1.29, "约130%", "about 130 %"),
        (Unit.SHARE, 12.0, "10倍以上", "more than 10 times"),
        (Unit.MONTHS, 0.2, "不到1个月", "less than a month"),
        (Unit.MONTHS, 1.2, "约1个月", "about 1 month"),
        (Unit.MONTHS, 7.3, "约7个月", "about 7 months"),
        (Unit.MONTHS, 30.0, "约2年半", "about 2.5 years"),
        (Unit.MONTHS, 35.0, "约3年", "about 3 years"),
        (Unit.DAYS, 1.0, "1天", "1 day"),
        (Unit.DAYS, 18.0, "18天", "18 days"),
        (Unit.COUNT, 1_200.0, "1200", "1,200"),
        (Unit.SCALE, 1.437, "约1.4", "about 1.4"),
        (Unit.YEARS, 61.0, "61岁", "61 years"),
    ],
)
def test_numbers_are_rounded_the_way_people_speak(unit: Unit, value: float, zh: str, en: str) -> None:
    assert (ZH.value(unit, value, "CNY"), EN.value(unit, value, "CNY")) == (zh, en)


def test_another_currency_is_named() -> None:
    assert (ZH.money(2_000, "USD"), EN.money(2_000, "USD")) == ("2000美元", "2,000 dollars")
    assert (ZH.money(2_000, "XTS"), EN.money(2_000, "XTS")) == ("2000 XTS", "2,000 XTS")


def test_a_day_says_its_year_only_when_it_is_another() -> None:
    assert (ZH.day("2025-09-12", "2025"), EN.day("2025-09-12", "2025")) == ("9月12日", "12 September")
    assert (ZH.day("2024-01-02", "2025"), EN.day("2024-01-02", "2025")) == ("2024年1月2日", "2 January 2024")


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_an_unknown_number_has_no_wording(value: float) -> None:
    with pytest.raises(ValueError, match="data_gaps"):
        ZH.value(Unit.MONEY, value, "CNY")
    core = catalogue()
    with pytest.raises(ValueError, match="data_gaps"):
        wording_of(core).fact(told(core, core.by_name["wage_amount_12m"], value))


@given(st.floats(0, 1e9))
def test_a_spoken_amount_is_off_by_a_twentieth_at_most(value: float) -> None:
    said = re.sub("[^0-9.]", "", EN.money(value, "CNY"))
    assert abs(float(said) - value) <= max(0.5, 0.05 * value) + 1e-6


EVERY = [(of, feature) for of in CATALOGUES for feature in of.features if read_by(of, feature)]


@given(
    which=st.integers(0, len(EVERY) - 1),
    place=st.floats(0, 1),
    n=st.integers(1, 10_000),
    amount=st.sampled_from(AMOUNTS),
    direction=st.sampled_from(["raises", "lowers"]),
)
def test_every_template_speaks_for_any_value_it_may_have(
    which: int, place: float, n: int, amount: float, direction: str
) -> None:
    of, feature = EVERY[which]
    low, high = feature.bounds
    value = low + place * (high - low)
    name, text = wording_of(of).fact(told(of, feature, value, n_events=n, amount=amount, direction=direction))
    assert re.fullmatch(r"[a-z0-9_.]+\.\d+", name)
    assert list(text) == ["zh", "en"]
    assert all(text.values())


# --- choice --------------------------------------------------------------------------------------------------------


def test_a_sentence_of_one_language_has_its_like_in_the_other(
    sentences: list[tuple[Told, str, dict[str, str]]],
) -> None:
    first, second = languages()
    for of in CATALOGUES:
        for feature in of.features:
            ours, theirs = first.template(of.name, feature), second.template(of.name, feature)
            assert ours is not None
            assert theirs is not None
            assert (ours.name, [names for names, _ in ours.variants]) == (
                theirs.name,
                [names for names, _ in theirs.variants],
            )
            assert ours.fields <= theirs.fields | {"n"}, feature.name
    assert tuple(FIELDS) == tuple(field for field in _FIELDS if field)
    assert tuple(CONDITIONS) == tuple(_HOLDS)


def test_disability_is_told_as_need_and_cost() -> None:
    core = catalogue()
    _, text = wording_of(core).fact(told(core, core.by_name["disability_grade_ever"], 1.0))
    assert text == {
        "zh": "持证成员的照护需要很大（最近评定2024年10月31日，残联）",
        "en": "The need of care by certificate is very great (latest check on 31 October 2024, disability office)",
    }
    of_people = [text for language in languages() for text in _leaves(language.sections)]
    assert [text for text in of_people if re.search("缺陷|残废|病残|defect|handicap|suffer", text)] == []


def test_an_answer_of_no_is_told_without_a_no() -> None:
    eph = catalogue("eph")
    rents, well = eph.by_name["rents_reported"], eph.by_name["own_well_reported"]
    say = lambda feature, value: wording_of(eph).fact(told(eph, feature, value))[1]["zh"]  # noqa: E731
    assert say(rents, 1.0) == "受访时报：租房（2024年10月31日，EPH）"
    assert say(rents, 0.0) == "受访时没有报租房（2024年10月31日，EPH）"
    assert say(well, 0.0) == "受访时报用自来水（2024年10月31日，EPH）"


def test_a_catalogue_of_ones_own_is_worded_by_measure_and_never_with_the_words_of_another() -> None:
    like_core = Feature(
        *("inpatient_stays_12m", Text("近12个月饮水点报修次数", "repairs of the water point"), Group.HOUSING),
        *(Measure.COUNT, Unit.COUNT),
        codes=("WTR//OUTAGE",),
        window=last(months=12),
    )
    own = Catalogue("wells", catalogue().kinds, (like_core,))
    name, text = wording_of(own).fact(told(own, like_core, 4.0))
    assert (name, text["zh"]) == ("count.1", "近12个月饮水点报修次数：4，最近一条2024年10月31日（水利）")
    assert text["en"] == "Repairs of the water point: 4, the latest on 31 October 2024 (water office)"


def test_a_group_goes_together_with_a_score() -> None:
    assert group_sentence("medical", "lowers", "slight") == {
        "zh": "医疗：与较低分数同时出现（弱）",
        "en": "Health costs: goes together with a lower score (slight)",
    }
    for group in Group:
        assert all(texts("groups", group.value).values())


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("zh", "en"):
        (tmp_path / f"{name}.yaml").write_text((FOLDER / f"{name}.yaml").read_text("utf-8"), "utf-8")
    (tmp_path / "other-words.yaml").write_text("a: 1", "utf-8")
    return tmp_path


def rewrite(files: Path, language: str, *keys: str, to: Any) -> None:
    path = files / f"{language}.yaml"
    whole = part = yaml.safe_load(path.read_text("utf-8"))
    for key in keys[:-1]:
        part = part[key]
    if to is None:
        del part[keys[-1]]
    else:
        part[keys[-1]] = to
    path.write_text(yaml.safe_dump(whole, allow_unicode=True, sort_keys=False), "utf-8")


def test_the_files_on_disk_are_read_as_they_are(files: Path) -> None:
    assert read_languages(files) == languages()


@pytest.mark.parametrize(
    ("language", "keys", "to", "says"),
    [
        ("en", ("measures", "sum.money"), None, r"en\.yaml: measures\.sum\.money: only zh\.yaml has it"),
        ("en", ("features", "core", "births"), None, r"en\.yaml: features\.core\.births: only zh"),
        ("en", ("features", "core", "births"), {"version": 2, "else": "{value}"}, "births: other variants or version"),
        ("zh", ("measures", "open"), "{what}，因为{day}", "zh.yaml: measures.open: '因为' says what causes what"),
        ("en", ("notes", "several_small"), "This is due to several things.", "notes.several_small: 'due to'"),
        ("zh", ("measures", "open"), "{what}{name}", "zh.yaml: measures.open: no such field: name"),
        ("zh", ("measures", "open"), {"rich": "a", "else": "b"}, "no such condition: rich"),
        ("zh", ("measures", "open"), {"else": "b", "one": "a"}, "end with 'else'"),
        ("en", ("measures", "open"), "{day:day|days}", "a plural is written"),
        ("zh", ("notes", "not_itemised"), None, "zh.yaml: notes: nothing for not_itemised"),
        ("en", ("public", "topics", "income"), None, r"en.yaml: public.topics: nothing for income"),
        ("zh", ("words",), None, "zh.yaml: needs exactly the sections"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_entry(
    files: Path, language: str, keys: tuple[str, ...], to: Any, says: str
) -> None:
    rewrite(files, language, *keys, to=to)
    with pytest.raises(WordingRefused, match=says):
        read_languages(files)


def test_a_feature_without_a_sentence_is_refused_by_name(files: Path) -> None:
    for language in ("zh", "en"):
        rewrite(files, language, "measures", "months_open", to=None)
    rewrite(files, "en", "features", "core", "monitoring_months_open", to="{what} {value}")
    rewrite(files, "zh", "features", "core", "monitoring_months_open", to="{what}{value}")
    found = read_languages(files)
    assert uncovered(catalogue(), found) == []
    own = replace(catalogue().by_name["dibao_months_open"], name="allowance_months_open")
    mine = Catalogue("mine", catalogue().kinds, (own,))
    with pytest.raises(WordingRefused, match=r"mine has features without a sentence: zh.yaml: allowance_months_open"):
        wording_of(mine, found)


def test_a_scale_without_a_word_for_a_step_is_refused(files: Path) -> None:
    rewrite(files, "zh", "features", "core", "school_stage", "levels", 5, to=None)
    rewrite(files, "en", "features", "core", "school_stage", "levels", 5, to=None)
    assert uncovered(catalogue(), read_languages(files)) == ["zh.yaml: school_stage_24m", "en.yaml: school_stage_24m"]


def test_a_feature_without_a_meaning_in_a_language_is_refused() -> None:
    nameless = replace(catalogue().by_name["wage_amount_12m"], meaning=Text("工资", " "))
    with pytest.raises(WordingRefused, match="wage_amount_12m"):
        wording_of(Catalogue("mine", catalogue().kinds, (nameless,)))


def test_one_more_language_is_one_more_file_and_must_name_what_it_calls_by_name(files: Path) -> None:
    (files / "bo.yaml").write_text((files / "zh.yaml").read_text("utf-8"), "utf-8")
    found = read_languages(files)
    assert [language.name for language in found] == ["zh", "en", "bo"]
    assert "bo.yaml: wage_amount_12m" in uncovered(catalogue(), found)
    for feature in catalogue().features:
        rewrite_names = {feature.name: feature.meaning.zh for feature in catalogue().features}
    rewrite(files, "bo", "names", to={"core": rewrite_names})
    core = catalogue()
    wording = wording_of(core, read_languages(files))
    _, text = wording.fact(told(core, core.by_name["wage_amount_12m"], 9_000.0))
    assert list(text) == ["zh", "en", "bo"]
    assert text["bo"] == text["zh"]


# --- the same bytes ------------------------------------------------------------------------------------------------

PRINTED = "import sys; from models.wording import main; sys.exit(main(['core']))"


def test_two_processes_with_other_hash_seeds_say_the_same() -> None:
    said = [
        subprocess.run(
            [sys.executable, "-c", PRINTED],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONUTF8": "1"},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert said[0].count(b"\n") > 300


def test_numbers_follow_the_file_and_not_the_code() -> None:
    words = {**languages()[0].sections["numbers"], "about": "大约{}", "large": {}}
    assert Spoken(words).money(14_200.4, "CNY") == "大约14000元"
    assert isinstance(wording_of(catalogue()), Wording)
