"""How to assess: what is switched off, who reads it, what was said the last time, whose rules speak."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from features.catalogue import CORE
from features.rules.rulebook import Rulebook, rulebook
from features.window import Micros
from models.bundle import Bundle
from models.tier import Previous


@dataclass(frozen=True)
class Handling:
    """How to assess. `rules_only` is the kill switch of the model; `previous` holds the last run's tiers by household;
    `may_read_sealed` says that the reader's role may see sealed wording; `book` replaces the shipped rules. Without
    `speaks_numbers` no sentence of 100 households is told: a person switches it off when a drift report says so.
    `names` are the households' ids where the history calls them something else, because two may have one id; `previous`
    then goes by what the history calls them."""

    rules_only: bool = False
    previous: Mapping[str, tuple[Previous, Micros]] = field(default_factory=dict)
    may_read_sealed: bool = False
    speaks_numbers: bool = True
    book: Rulebook | None = None
    names: Mapping[str, str] = field(default_factory=dict)

    def rules(self, bundle: Bundle) -> Rulebook | None:
        """The rules that speak about this bundle's catalogue; none do about a foreign panel."""
        if bundle.catalogue.name != CORE:
            return None
        return self.book if self.book is not None else rulebook()


PLAIN = Handling()
