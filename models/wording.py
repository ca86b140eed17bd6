"""From a fact to a sentence: fixed templates, chosen by the feature, or by its measure and unit.

The same fact always gives the same sentence, and every feature of a catalogue must have one, in every language: a
catalogue with a feature that has none cannot be worded at all (`WordingRefused`). To see every template, or what a
catalogue of your own still lacks: `python -m models.wording [CATALOGUE]`.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from features.catalogue import CORE, Catalogue, catalogue
from features.definition import EventKind, Feature
from models.language import Language, Template, WordingRefused, languages, months, texts

__all__ = ["Told", "Wording", "WordingRefused", "group_sentence", "not_itemised", "texts", "uncovered", "wording_of"]


class Told(NamedTuple):
    """What a sentence is made from: a feature's value, which way it pulls, and the event told of it.

    `n_events` counts all events behind the value. `amount` is the told event's value (NaN where it has none), `day`
    its day (`2025-03-01`), `kind` and `source` what it was and who reported it. `year` is the one that needs no saying.
    """

    feature: Feature
    value: float
    direction: str
    n_events: int
    amount: float
    day: str
    kind: EventKind
    source: str
    currency: str
    year: str


_HOLDS: Mapping[str, Callable[[Told], bool]] = {
    "one": lambda told: told.n_events == 1,
    "priced": lambda told: not math.isnan(told.amount),
    "raises": lambda told: told.direction == "raises",
    "lowers": lambda told: told.direction == "lowers",
    "negative": lambda told: told.value < 0,
    "zero": lambda told: told.value == 0,
}


@dataclass(frozen=True)
class _Voice:
    """One feature in one language, ready to be said."""

    language: Language
    template: Template
    name: str

    def say(self, told: Told) -> str:
        for conditions, pieces in self.template.variants:
            if all(_HOLDS[each](told) for each in conditions):
                said = "".join([f"{text}{_FIELDS[field](self, told, plural)}" for text, field, plural in pieces])
                return said[:1].upper() + said[1:]
        raise AssertionError(f"{self.template.key} has no sentence for every case")


def _counted(number: float, text: str, plural: str) -> str:
    """A number with its noun, `{n:record|records}`; `~` in front leaves the number out."""
    if not plural:
        return text
    one, many = plural.lstrip("~").split("|")
    noun = one if number == 1 else many
    return noun if plural.startswith("~") else f"{text} {noun}"


def _window(voice: _Voice, told: Told, _: str) -> str:
    span = months(told.feature)
    return "" if span is None else voice.language.word("words", "window").format(span)


def _value(voice: _Voice, told: Told, plural: str) -> str:
    return _counted(told.value, voice.language.spoken.value(told.feature.unit, told.value, told.currency), plural)


def _n(voice: _Voice, told: Told, plural: str) -> str:
    return _counted(told.n_events, voice.language.spoken.number(told.n_events), plural)


_FIELDS: Mapping[str, Callable[[_Voice, Told, str], str]] = {
    "": lambda voice, told, _: "",
    "what": lambda voice, told, _: voice.name,
    "window": _window,
    "value": _value,
    "size": lambda voice, told, _: voice.language.spoken.value(told.feature.unit, abs(told.value), told.currency),
    "level": lambda voice, told, _: voice.template.levels[round(told.value)],
    "n": _n,
    "amount": lambda voice, told, _: voice.language.spoken.value(told.kind.unit, told.amount, told.currency),
    "day": lambda voice, told, _: voice.language.spoken.day(told.day, told.year),
    "source": lambda voice, told, _: voice.language.source(told.source, told.kind),
}


@dataclass(frozen=True)
class Wording:
    """Ready to word the facts of one catalogue: by feature, the template's name and a voice in each language."""

    voices: Mapping[str, tuple[str, tuple[tuple[str, _Voice], ...]]]

    def fact(self, told: Told) -> tuple[str, dict[str, str]]:
        """The template's name and the sentence in every language; a `ValueError` for an unknown value."""
        if not math.isfinite(told.value):
            raise ValueError("an unknown value has no wording; it belongs in data_gaps")
        name, voices = self.voices[told.feature.name]
        return name, {language: voice.say(told) for language, voice in voices}


def wording_of(of: Catalogue, among: tuple[Language, ...] | None = None) -> Wording:
    """The wording of a catalogue, made once. Raises `WordingRefused` where a feature has no sentence."""
    if among is not None:
        return _worded(of, among)
    if of.digest not in _MADE:
        _MADE[of.digest] = _worded(of, languages())
    return _MADE[of.digest]


_MADE: dict[str, Wording] = {}


def _worded(of: Catalogue, among: tuple[Language, ...]) -> Wording:
    missing = uncovered(of, among)
    if missing:
        more = " and more" if len(missing) > 5 else ""
        raise WordingRefused(
            f"the catalogue {of.name} has features without a sentence: {', '.join(missing[:5])}{more}; "
            "add them to models/wording/*.yaml"
        )
    voices = {}
    for feature in of.features:
        spoken = []
        for language in among:
            template = language.template(of.name, feature)
            assert template is not None
            spoken.append((language.name, _Voice(language, template, language.name_of(of.name, feature) or "")))
        voices[feature.name] = (spoken[0][1].template.name, tuple(spoken))
    return Wording(voices)


def uncovered(of: Catalogue, among: tuple[Language, ...] | None = None) -> list[str]:
    """What of a catalogue has no sentence, as `en.yaml: feature`; empty when everything has one.

    >>> uncovered(catalogue())
    []
    """
    return [
        f"{language.name}.yaml: {feature.name}"
        for language in (languages() if among is None else among)
        for feature in of.features
        if not _is_covered(language, of.name, feature)
    ]


def _is_covered(language: Language, name: str, feature: Feature) -> bool:
    template = language.template(name, feature)
    if template is None or ("what" in template.fields and language.name_of(name, feature) is None):
        return False
    steps = range(math.ceil(feature.bounds[0]), math.floor(feature.bounds[1]) + 1) if "level" in template.fields else ()
    return all(step in template.levels for step in steps)


def group_sentence(group: str, direction: str, strength: str) -> dict[str, str]:
    """How a domain goes together with the score, in every language.

    >>> group_sentence("medical", "raises", "strong")
    {'zh': '医疗：与较高分数同时出现（强）', 'en': 'Health costs: goes together with a higher score (strong)'}
    """
    return {
        language.name: language.word("words", "group").format(
            group=language.word("groups", group),
            direction=language.word("words", direction),
            strength=language.word("words", strength),
        )
        for language in languages()
    }


def not_itemised(groups: list[str]) -> dict[str, str]:
    """The note that much of a score goes with domains of which no single record could be shown.

    >>> not_itemised(["household", "medical"])["en"]
    'Much of the score also goes with household make-up and health costs, which no single record shows. Please ask at \
the visit.'
    """
    said = {}
    for language in languages():
        names = [language.word("groups", group).lower() for group in groups]
        said[language.name] = language.word("notes", "not_itemised").format(
            groups=language.word("words", "and").join(names)
        )
    return said


def main(names: list[str]) -> int:
    """Print the sentence of every feature that rests on events, one line a language; 1 where some have none."""
    of = catalogue(names[0] if names else CORE)
    for missing in uncovered(of):
        sys.stderr.write(f"no sentence: {missing}\n")
    for feature in of.features:
        for language in languages():
            template = language.template(of.name, feature)
            if template is not None and (feature.measure.is_of_events or feature.measure.is_derived):
                sys.stdout.write(f"{feature.name}\t{template.name}\t{language.name}\t{_shown(template)}\n")
    return 1 if uncovered(of) else 0


def _shown(template: Template) -> str:
    texts = ["".join(f"{text}{{{field}}}" if field else text for text, field, _ in p) for _, p in template.variants]
    return " | ".join(texts)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
