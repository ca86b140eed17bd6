"""The words of a language: a file `wording/<language>.yaml`; one more language is one more file.

Everything is checked when it is read. The files must hold the same templates in the same versions, a template may use
only what a fact can give, and no sentence may say what causes what.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from features.definition import EventKind, Feature, Group
from models.plain_words import banned_words
from models.spoken import Spoken

FOLDER = Path(__file__).parent / "wording"
# What a sentence may ask of a fact, and on what its variants may depend; `models.wording` says what they mean.
FIELDS = ("what", "window", "value", "size", "level", "n", "amount", "day", "source")
CONDITIONS = ("one", "priced", "raises", "lowers", "negative", "zero")
ELSE = "else"
SECTIONS = (
    *("numbers", "sources", "words", "groups", "notes", "fixed", "public"),
    *("measures", "features", "names", "flags", "shortened"),
)
_FILE = re.compile(r"[a-z]{2,3}(-[A-Za-z]+)?")
_SPAN = re.compile(r"_(?:(\d+)m|ever)$")
_GROUPS = frozenset(group.value for group in Group)
_NEEDED: Mapping[str, frozenset[str]] = {
    "words": frozenset({"and", "window", "group", "strong", "medium", "slight", "raises", "lowers"}),
    "notes": frozenset({"several_small", "not_itemised", "mostly_unknown"}),
    "fixed": frozenset({"decide", "not_causes", "cannot_see"}),
    "groups": _GROUPS,
    "public": frozenset({"intro", "decides", "tiers", "groups", "topics", "readout"}),
}

Piece = tuple[str, str, str]


class WordingRefused(ValueError):
    """A language file or a catalogue cannot be worded; the message names the file and the entry."""


class Template(NamedTuple):
    """The sentences of one entry: the first whose conditions all hold is said. `levels` name the steps of a scale.

    A sentence is a row of pieces: plain text, the field after it, and the field's plural (`record|records`).
    """

    key: str
    version: int
    variants: tuple[tuple[tuple[str, ...], tuple[Piece, ...]], ...]
    levels: Mapping[int, str]

    @property
    def name(self) -> str:
        """What a fact and the reviews of its wording call it."""
        return f"{self.key}.{self.version}"

    @property
    def fields(self) -> frozenset[str]:
        """What it asks of a fact."""
        return frozenset(field for _, pieces in self.variants for _, field, _ in pieces if field)


@dataclass(frozen=True)
class Language:
    """All words of one language: the sections of its file, and its templates by measure and by feature."""

    name: str
    sections: Mapping[str, Any]
    measures: Mapping[str, Template]
    features: Mapping[str, Mapping[str, Template]]
    spoken: Spoken

    def word(self, section: str, *path: str) -> str:
        """A fixed word or sentence."""
        found: Any = self.sections[section]
        for step in path:
            found = found[step]
        return str(found)

    def source(self, source: str, kind: EventKind) -> str:
        """Who reported: the file's word, in English else the department's name, else as the data write it."""
        known = self.sections["sources"].get(source)
        if known is not None:
            return str(known)
        if self.name == "en" and source == kind.department.source:
            return kind.department.name.en.split(",")[0]
        return source

    def template(self, catalogue: str, feature: Feature) -> Template | None:
        """The feature's own sentence, or that of its measure and unit; None where there is neither."""
        own = self.features.get(catalogue, {})
        for key in (feature.name, stem(feature)):
            if key in own:
                return own[key]
        if feature.name in self.sections["flags"].get(catalogue, ()):
            return self.measures.get("flag")
        measure = feature.measure.value
        return self.measures.get(f"{measure}.{feature.unit.value}") or self.measures.get(measure)

    def name_of(self, catalogue: str, feature: Feature) -> str | None:
        """What a sentence calls the feature: the file's name for it, else its declared meaning; None without either."""
        found = self.sections["names"].get(catalogue, {}).get(feature.name) or getattr(feature.meaning, self.name, "")
        for part in self.sections["shortened"].get(catalogue, ()):
            found = found.replace(part, "")
        return str(found).strip() or None


def stem(feature: Feature) -> str:
    """The feature's name without its window.

    >>> from features.catalogue import catalogue
    >>> stem(catalogue().by_name["inpatient_stays_12m"]), months(catalogue().by_name["wage_trend_12m"])
    ('inpatient_stays', 12)
    """
    return _SPAN.sub("", feature.name)


def months(feature: Feature) -> int | None:
    """Months of the feature's window, None back to the start; one made from others has them in its name."""
    if not feature.measure.is_derived:
        return feature.window.months
    found = _SPAN.search(feature.name)
    return int(found[1]) if found and found[1] else None


@cache
def languages() -> tuple[Language, ...]:
    """The languages on file, Chinese and English first."""
    return read_languages(FOLDER)


def texts(section: str, *path: str) -> dict[str, str]:
    """A fixed word or sentence in every language.

    >>> texts("notes", "several_small")["en"]
    'Nothing stands out. Several small things come together.'
    """
    return {language.name: language.word(section, *path) for language in languages()}


def read_languages(folder: Path) -> tuple[Language, ...]:
    """The languages of a folder. Raises `WordingRefused` for a wrong file, or one with other entries than the first."""
    names = sorted(path.stem for path in folder.glob("*.yaml") if _FILE.fullmatch(path.stem))
    first = [name for name in ("zh", "en") if name in names]
    found = [_language(folder / f"{name}.yaml") for name in [*first, *(name for name in names if name not in first)]]
    if not found:
        raise WordingRefused("the wording holds no language file")
    for other in found[1:]:
        _refuse_unlike(found[0], other)
    return tuple(found)


def _language(path: Path) -> Language:
    sections = yaml.safe_load(path.read_text("utf-8"))
    if not isinstance(sections, dict) or sorted(sections) != sorted(SECTIONS):
        raise WordingRefused(f"{path.name}: needs exactly the sections {', '.join(SECTIONS)}")
    for place, text in _strings(sections):
        for word in banned_words(text):
            raise WordingRefused(f"{path.name}: {place}: '{word}' says what causes what; say what goes together")
    _refuse_gaps(path.name, sections)
    measures = {key: _template(f"{path.name}: measures", key, entry) for key, entry in sections["measures"].items()}
    features = {
        catalogue: {key: _template(f"{path.name}: features.{catalogue}", key, entry) for key, entry in entries.items()}
        for catalogue, entries in sections["features"].items()
    }
    return Language(path.stem, sections, measures, features, Spoken(sections["numbers"]))


def _refuse_gaps(file: str, sections: Mapping[str, Any]) -> None:
    lists = [(section, sections[section], needed) for section, needed in _NEEDED.items()]
    for section, entries, needed in lists:
        lacking = sorted(needed - set(entries))
        if lacking:
            raise WordingRefused(f"{file}: {section}: nothing for {', '.join(lacking)}")
    for part in ("groups", "topics"):
        lacking = sorted(_GROUPS - set(sections["public"][part]))
        if lacking:
            raise WordingRefused(f"{file}: public.{part}: nothing for {', '.join(lacking)}")


def _template(where: str, key: str, entry: Any) -> Template:
    where = f"{where}.{key}"
    if isinstance(entry, str):
        entry = {ELSE: entry}
    if not isinstance(entry, dict) or next(reversed(entry), "") != ELSE:
        raise WordingRefused(f"{where}: needs a sentence, or variants that end with '{ELSE}'")
    variants = []
    for conditions, text in entry.items():
        if conditions in ("version", "levels"):
            continue
        names = () if conditions == ELSE else tuple(conditions.split("+"))
        unknown = sorted(set(names) - set(CONDITIONS))
        if unknown:
            raise WordingRefused(f"{where}: no such condition: {', '.join(unknown)}; known are {', '.join(CONDITIONS)}")
        variants.append((names, _pieces(where, text)))
    return Template(key, int(entry.get("version", 1)), tuple(variants), entry.get("levels", {}))


def _pieces(where: str, text: str) -> tuple[Piece, ...]:
    pieces = []
    for literal, field, plural, _ in string.Formatter().parse(text):
        if field is not None and field not in FIELDS:
            raise WordingRefused(f"{where}: no such field: {field}; known are {', '.join(FIELDS)}")
        if plural and (plural.count("|") != 1 or field not in ("value", "n")):
            raise WordingRefused(f"{where}: a plural is written {{n:record|records}}")
        pieces.append((literal, field or "", plural or ""))
    return tuple(pieces)


def _refuse_unlike(first: Language, other: Language) -> None:
    """The same templates, variants and versions in both, so that a sentence means the same whoever reads it."""
    pairs = [("measures", first.measures, other.measures)]
    for catalogue in sorted({*first.features, *other.features}):
        entries = first.features.get(catalogue, {}), other.features.get(catalogue, {})
        pairs.append((f"features.{catalogue}", *entries))
    for section, ours, theirs in pairs:
        for key in sorted({*ours, *theirs}):
            if key not in theirs or key not in ours:
                holder = first.name if key in ours else other.name
                raise WordingRefused(f"{other.name}.yaml: {section}.{key}: only {holder}.yaml has it")
            if _shape(ours[key]) != _shape(theirs[key]):
                raise WordingRefused(f"{other.name}.yaml: {section}.{key}: other variants or version than {first.name}")
    if first.sections["flags"] != other.sections["flags"]:
        raise WordingRefused(f"{other.name}.yaml: flags: not the same as in {first.name}.yaml")


def _shape(template: Template) -> tuple[Any, ...]:
    return template.version, [names for names, _ in template.variants], sorted(template.levels)


def _strings(value: Any, place: str = "") -> list[tuple[str, str]]:
    if isinstance(value, str):
        return [(place, value)]
    if isinstance(value, Mapping):
        return [found for key, each in value.items() for found in _strings(each, f"{place}.{key}".lstrip("."))]
    return [found for each in value for found in _strings(each, place)] if isinstance(value, list) else []
