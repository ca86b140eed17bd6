"""Whom the model scores at one moment, whom it leaves to the rules and to people, and how sure it is of the others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from features.history import History, Visible
from features.matrix import Matrix
from features.rules.rulebook import Rulebook
from features.window import as_of_moment, is_after
from models.abstention import Limits, RecordState, codes, interval_over_tiers
from models.bundle import Bundle
from models.data_quality import DataQuality
from models.explanation import Explanation, explain
from models.handling import Handling
from models.record_state import record_state
from models.rules import positions


@dataclass(frozen=True)
class Scores:
    """The model's part in the assessment of all households of one history at one moment."""

    bundle: Bundle
    history: History
    seen: Visible
    vectors: Matrix
    handling: Handling
    quality: DataQuality

    def settle(self) -> None:
        """Work everything out now; otherwise it is when first asked."""
        if self.explanation is not None:
            _ = (self.explanation.domains, self._probabilities, self._intervals, self._reaches_over)

    @cached_property
    def abstentions(self) -> list[list[str]]:
        """Why each household gets no probability, as codes; empty where nothing speaks against one."""
        against = codes(
            self._state,
            self.bundle.importance,
            tuple(feature.group.value for feature in self.bundle.catalogue.features),
            limits=self.limits,
            ranges=self.bundle.certainty.ranges,
            expired=self._is_expired,
            judged=self._may_score,
        )
        names = list(against)
        found = positions(np.stack(list(against.values()), axis=1))
        return [[names[k] for k in which] for which in found]

    @property
    def limits(self) -> Limits:
        """From where on a household is not scored, or scored with low confidence."""
        return self.bundle.certainty.limits

    @cached_property
    def _state(self) -> RecordState:
        return record_state(self.history, self.seen, self.vectors, self.bundle.model, self.quality.coverage)

    @property
    def has_opted_out(self) -> npt.NDArray[np.bool_]:
        """Who refused to be assessed by a machine: a person looks at them without any number."""
        return self._state.opted_out

    @cached_property
    def _is_expired(self) -> bool:
        """Whether the bundle's last day has passed."""
        last_day = self.bundle.certainty.valid_until
        if last_day is None:
            return False
        return bool(is_after(np.array([self.seen.as_of]), as_of_moment(last_day, self.bundle.time_zone))[0])

    @cached_property
    def _may_score(self) -> npt.NDArray[np.bool_]:
        """Whose region the model may be asked about, while it is switched on."""
        if self.handling.rules_only:
            return np.zeros(len(self.history.household_ids), np.bool_)
        book = self.handling.rules(self.bundle)
        fits = {region: _is_scored_here(self.bundle, book, str(region)) for region in set(self.history.region)}
        return np.array([fits[region] for region in self.history.region], np.bool_)

    @cached_property
    def row_of(self) -> dict[int, int]:
        """Row of the explanation, by household that is scored."""
        scored = np.flatnonzero(self._may_score & np.array([not against for against in self.abstentions], np.bool_))
        return {int(i): row for row, i in enumerate(scored)}

    @cached_property
    def explanation(self) -> Explanation | None:
        """Scores and contributions of the scored households, None where nobody is."""
        scored = np.fromiter(self.row_of, np.int64, len(self.row_of))
        if len(scored) == 0:
            return None
        return explain(
            self.bundle, self.vectors.values[scored], self.vectors.unknown[scored], self.history.region[scored]
        )

    @cached_property
    def _probabilities(self) -> list[float]:
        return [] if self.explanation is None else self.explanation.probability.tolist()

    @cached_property
    def _intervals(self) -> list[list[float]] | None:
        if self.explanation is None or self.explanation.interval is None:
            return None
        ends: list[list[float]] = self.explanation.interval.tolist()
        return ends

    @cached_property
    def _reaches_over(self) -> list[bool]:
        """Whose interval reaches into another band or is too wide, of the scored."""
        assert self.explanation is not None
        scored, bands = self.explanation, self.bundle.bands
        found: list[bool] = interval_over_tiers(scored.probability, scored.interval, bands, self.limits).tolist()
        return found

    def probability_alone(self, i: int) -> float | None:
        """The same as `probability`, for those who ask neither why nor how sure: contributions are not worked out."""
        return self._probabilities_alone.get(i)

    @cached_property
    def _probabilities_alone(self) -> dict[int, float]:
        scored = np.fromiter(self.row_of, np.int64, len(self.row_of))
        margins = self.bundle.model.margins(self.vectors.values[scored])
        found = self.bundle.calibration.probability(margins, self.history.region[scored])
        return dict(zip(scored.tolist(), found.tolist(), strict=True))

    @cached_property
    def is_of_trained_region(self) -> list[bool]:
        """Whether the model was trained for the region of each household, or borrowed from another."""
        return [str(region) in self.bundle.regions for region in self.history.region]

    def probability(self, i: int) -> float | None:
        """Calibrated probability of household i, None where it is not scored."""
        return self._probabilities[self.row_of[i]] if i in self.row_of else None

    def interval(self, i: int) -> list[float] | None:
        """Lower and upper end of household i's probability, None where it is not scored or no bounds are known."""
        return self._intervals[self.row_of[i]] if i in self.row_of and self._intervals is not None else None

    def doubts(self, i: int) -> list[str]:
        """Why the score of household i is of low confidence, as codes; nothing where it has none."""
        if i not in self.row_of:
            return []
        is_of_region = self.is_of_trained_region[i]
        found = {
            "low_coverage": self.quality.coverage[i] < self.limits.thin_coverage,
            "borrowed_model": not is_of_region,
            # A borrowed model's bands are not this region's.
            "interval_over_tiers": is_of_region and self._reaches_over[self.row_of[i]],
        }
        return [code for code, holds in found.items() if holds]

    def status(self, i: int) -> str:
        """`scored`, `scored_low_confidence`, `abstained` or `rules_only`."""
        if i in self.row_of:
            return "scored_low_confidence" if self.doubts(i) else "scored"
        return "abstained" if self.abstentions[i] else "rules_only"


def _is_scored_here(bundle: Bundle, book: Rulebook | None, region: str) -> bool:
    """Whether the bundle's model may score households of the region."""
    if region in bundle.regions or book is None:
        return True
    return bool(set(book.packs.scored_as(region)) & set(bundle.regions))
