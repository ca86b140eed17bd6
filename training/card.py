"""The figures that only training knows, for the model card, and the card written beside a bundle.

Counts of rows that belong to fewer than ten households are left out (null): a card is read by everybody.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.placing import put_in_place
from features.window import day
from models.bundle import Bundle
from models.card import card, is_number
from models.card_page import LANGUAGES, PICTURE, markdown

if TYPE_CHECKING:
    from training.audit import Audit
    from training.comparison import Comparison

CARD = "card"
FEWEST_HOUSEHOLDS = 10
DECILES = 10
SHOWN_CAPACITY = 0.10


def card_figures(
    test: pd.DataFrame,
    time_zone: str,
    *,
    comparisons: Sequence[Comparison] = (),
    audit: Audit | None = None,
    abstention_codes: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    publication_lag_days: int | None = None,
) -> dict[str, Any]:
    """What the manifest keeps under `card`, as JSON values.

    `test` are the judged rows; `treated`, `discovery_route` and `abstained` are used where they are there.
    `abstention_codes` marks, row by row of `test`, which code applied. What was not measured is null.
    """
    households = test["household_id"]
    codes = {name: _published(int(np.sum(mask)), households[mask]) for name, mask in (abstention_codes or {}).items()}
    share = float(test["abstained"].astype(bool).mean()) if "abstained" in test else None
    return {
        "test": _counted(test, time_zone),
        "deciles": _deciles(test),
        "label": {
            "treated_share": float(test["treated"].astype(bool).mean()) if "treated" in test else None,
            "routes": _routes(test),
            "publication_lag_days": publication_lag_days,
        },
        "comparisons": [_written(one) for one in comparisons] or None,
        "groups": None if audit is None else _groups(audit),
        "abstention": None if share is None else {"share": share, "codes": codes or None},
    }


def write_card(bundle: Bundle, folder: Path) -> Path:
    """Write `card/card.json`, `card.zh.md`, `card.en.md` and, if there are figures for it, the calibration plot.

    Everything is made from the verified bundle alone, so that the same card can be made again from it. Returns the
    folder of the card, which is replaced as a whole.
    """
    made = card(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{CARD}-", dir=folder))
    (beside / "card.json").write_text(json.dumps(made, ensure_ascii=False, indent=1, allow_nan=False) + "\n", "utf-8")
    groups = [one for one in made["calibration"]["deciles"] or () if is_number(one["observed"])]
    if groups:
        _draw(groups, beside / PICTURE)
    for lang in LANGUAGES:
        page = markdown(made, lang, picture=PICTURE if groups else None)
        (beside / f"card.{lang}.md").write_text(page, "utf-8")
    put_in_place(beside, folder / CARD)
    return folder / CARD


def _draw(groups: Sequence[Mapping[str, float]], path: Path) -> None:
    """Foretold against observed shares of the card's table."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    foretold, observed = ([100 * group[name] for group in groups] for name in ("foretold", "observed"))
    most = 1.1 * max(*foretold, *observed)
    axes.plot([0, most], [0, most], "--", color="0.6", label="foretold = observed")
    axes.plot(foretold, observed, "o-", color="#1f5fa8", label="groups of test rows by score")
    axes.set(xlabel="foretold, of 100 households", ylabel="observed, of 100 households", xlim=(0, most), ylim=(0, most))
    axes.legend(frameon=False)
    # Without the library's version in it the same figures give the same file.
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _published(count: int, households: pd.Series) -> int | None:
    """A count that may be published: of ten households or more, or of none."""
    return count if count == 0 or households.nunique() >= FEWEST_HOUSEHOLDS else None


def _counted(test: pd.DataFrame, time_zone: str) -> dict[str, Any]:
    households = test["household_id"]
    with_outcome = households[test["outcome"] == 1.0]
    moments = test["as_of"].to_numpy(np.int64)
    return {
        "rows": _published(len(test), households),
        "households": _published(households.nunique(), households),
        "positives": _published(len(with_outcome), with_outcome),
        # A moment is the end of its day.
        "first": day(int(moments.min()) - 1, time_zone),
        "last": day(int(moments.max()) - 1, time_zone),
    }


def _deciles(test: pd.DataFrame) -> list[dict[str, Any]]:
    """Foretold and observed shares in up to ten groups by score, lowest first; equal scores stay together.

    Neighbours are joined until ten households had the outcome and ten had not, or a share would tell of fewer.
    """
    probability = test["probability"].to_numpy(np.float64)
    edges = np.unique(np.quantile(probability, np.linspace(0.0, 1.0, DECILES + 1)[1:-1]))
    place = np.searchsorted(edges, probability, side="right")
    parts: list[npt.NDArray[np.int64]] = []
    for number in np.unique(place):
        rows = np.flatnonzero(place == number)
        if parts and not _tells_of_enough(test.iloc[parts[-1]]):
            parts[-1] = np.concatenate([parts[-1], rows])
        else:
            parts.append(rows)
    if len(parts) > 1 and not _tells_of_enough(test.iloc[parts[-1]]):
        last = parts.pop()
        parts[-1] = np.concatenate([parts[-1], last])
    return [_share(test.iloc[rows]) for rows in parts]


def _tells_of_enough(part: pd.DataFrame) -> bool:
    by_outcome = [part.loc[part["outcome"] == outcome, "household_id"].nunique() for outcome in (0.0, 1.0)]
    return min(by_outcome) >= FEWEST_HOUSEHOLDS


def _share(part: pd.DataFrame) -> dict[str, Any]:
    if not _tells_of_enough(part):
        return {"rows": None, "foretold": None, "observed": None}
    return {"rows": len(part), "foretold": float(part["probability"].mean()), "observed": float(part["outcome"].mean())}


def _routes(test: pd.DataFrame) -> dict[str, int | None] | None:
    """By which route the outcomes of the test rows became known: number of rows, null for few households.

    With one null the total would give it away, so the smallest of the others becomes one too.
    """
    if "discovery_route" not in test:
        return None
    positives = test[(test["outcome"] == 1.0) & test["discovery_route"].notna()]
    found = {
        str(route): _published(len(part), part["household_id"])
        for route, part in positives.groupby("discovery_route", sort=True)
    }
    shown = {route: count for route, count in found.items() if count is not None}
    if len(shown) == len(found) - 1 and shown:
        found[min(shown, key=lambda route: shown[route])] = None
    return found


def _written(one: Comparison) -> dict[str, Any]:
    value, low, high = (float(each) if np.isfinite(each) else None for each in one.difference)
    told = {"name": one.name, "metric": one.metric, "ours": one.ours, "theirs": one.theirs, "verdict": one.verdict}
    return {**told, "difference": value, "low": low, "high": high}


def _groups(audit: Audit) -> list[dict[str, Any]]:
    """The audit's groups in short. A group with too few outcomes gets its verdict and no figure."""
    from training.audit_groups import group_text

    found = []
    for group in audit.groups:
        said = {"group": group.name, **group_text(group.name)._asdict(), "verdict": group.verdict}
        said |= {"households": group.households, "positives": group.positives}
        enough = group.evidence != "insufficient"
        reached = group.find("recall", SHOWN_CAPACITY) if enough else None
        level = group.find("observed_expected") if enough else None
        found.append(
            said
            | {
                "recall": _finite(None if reached is None else reached.value),
                "recall_interval": None if reached is None else _both(reached.low, reached.high),
                "observed_expected": _finite(None if level is None else level.value),
            }
        )
    return found


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _both(low: float, high: float) -> list[float] | None:
    return [float(low), float(high)] if np.isfinite(low) and np.isfinite(high) else None
