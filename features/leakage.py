"""Whether features look into the future: one assertion for a test of your own, on your own data.

A number as of a moment may follow only from rows known by then, from events before then, and from what the rows say:
not from their order, nor from how often one of them was delivered. Each is tried out on a changed copy of the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import Catalogue, catalogue
from features.dataset import Dataset, DatasetMeta
from features.definition import Feature
from features.history import history_from_tables
from features.matrix import matrix
from features.window import (
    MICROS_PER_DAY,
    NEVER,
    Micros,
    as_of_moment,
    day_of,
    from_micros,
    is_known,
    is_not_before,
    micros_of,
    month_ends,
    parsed,
    written,
)

Builder = Callable[[Dataset, pd.Timestamp], pd.DataFrame]
Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

SHOWN = 5
_CHANGES = {
    "same again": "are computed a second time from the same rows",
    "truncation": "rows that nobody knew yet are taken away",
    "scrambled future": "rows that nobody knew yet, and events still to come, say something else",
    "boundary": "further events happen at the very moment, where every window ends",
    "row order": "the rows are shuffled",
    "repetition": "some rows are delivered twice",
}


class LeakFound(AssertionError):
    """Features that change with what must not matter. Names no household and no value.

    `features` are their names, `check` the change that moved them, `as_of` the moment in microseconds.
    """

    def __init__(self, features: tuple[str, ...], check: str, as_of: Micros, time_zone: str) -> None:
        self.features, self.check, self.as_of = features, check, as_of
        named = ", ".join(features[:SHOWN]) + (f" and {len(features) - SHOWN} more" if len(features) > SHOWN else "")
        super().__init__(f"{check}: as of {_said(as_of, time_zone)}, {named} changed when {_CHANGES[check]}")


def assert_no_leak(
    definitions: Catalogue | Sequence[Feature] | Builder,
    dataset: Dataset,
    *,
    as_ofs: Sequence[str | Micros] | None = None,
    seed: int = 0,
) -> None:
    """Raise `LeakFound` where a feature changes with what could not be known or must not matter.

    `definitions` are a catalogue; or features over the event kinds of the dataset's own catalogue; or a function of
    your own, `(dataset, as_of) -> frame` with one row a household (`household_id` as index) and one column a feature,
    where `as_of` is a timestamp in UTC. `dataset` is one that passed intake. `as_ofs` are days (meaning their end),
    ISO 8601 times or microseconds; if not given the first, middle and last moment of the dataset. The function is
    called seven times a moment, each time with tables of its own and without audit and truth; the same `seed` gives
    the same changes.
    """
    compute = _computing(definitions, dataset.meta)
    for as_of in _moments(dataset.meta, as_ofs):
        rng = np.random.default_rng([seed, as_of % 2**63])
        expected = compute(_copied(dataset), as_of)
        for check, changed in _changed(dataset, as_of, rng):
            moved = _moved(expected, compute(changed, as_of))
            if moved:
                raise LeakFound(moved, check, as_of, dataset.meta.time_zone)


@dataclasses.dataclass(frozen=True)
class _Computed:
    """What came out: households in order of their ids, and for each feature its columns."""

    households: npt.NDArray[np.object_]
    columns: Mapping[str, tuple[pd.Series, ...]]


def _computing(
    definitions: Catalogue | Sequence[Feature] | Builder, meta: DatasetMeta
) -> Callable[[Dataset, Micros], _Computed]:
    if isinstance(definitions, Catalogue):
        whole = definitions
    elif callable(definitions):
        builder = definitions
        return lambda dataset, as_of: _built(builder, dataset, as_of)
    else:
        whole = Catalogue("own", catalogue(meta.catalogue).kinds, tuple(definitions))

    def compute(dataset: Dataset, as_of: Micros) -> _Computed:
        history = history_from_tables(
            dataset.events, dataset.members, dataset.households, whole, time_zone=dataset.meta.time_zone
        )
        found = matrix(history, as_of)
        columns = {
            name: (pd.Series(found.values[:, i]), pd.Series(found.unknown[:, i])) for i, name in enumerate(found.names)
        }
        return _Computed(found.household_ids, columns)

    return compute


def _built(builder: Builder, dataset: Dataset, as_of: Micros) -> _Computed:
    frame = builder(dataset, pd.Timestamp(from_micros(as_of)))
    if not frame.index.is_unique or not frame.columns.is_unique:
        raise ValueError("the function must give one row a household, with household_id as index, and no column twice")
    frame = frame.sort_index()
    return _Computed(frame.index.to_numpy(object), {str(name): (frame[name],) for name in frame.columns})


def _moments(meta: DatasetMeta, as_ofs: Sequence[str | Micros] | None) -> list[Micros]:
    zone, span = meta.time_zone, meta.moments
    if as_ofs is not None:
        given = [as_of_moment(each, zone) if isinstance(each, str) else int(each) for each in as_ofs]
    else:
        grid = month_ends(parsed(span.first, zone), as_of_moment(span.until, zone), span.step_months, zone)
        given = sorted({grid[0], grid[len(grid) // 2], grid[-1]}) if grid else []
    if not given:
        raise ValueError("no moment to check; name some with `as_ofs`")
    return given


def _changed(dataset: Dataset, as_of: Micros, rng: np.random.Generator) -> Iterator[tuple[str, Dataset]]:
    """The dataset with one change after the other, none of which may move a number as of the moment."""
    events, members = (frame.reset_index(drop=True) for frame in (dataset.events, dataset.members))
    households = dataset.households
    yield "same again", _copied(dataset)
    known, known_members = _is_known(events, as_of), _is_known(members, as_of)
    yield "truncation", _copied(dataset, events[known], members[known_members])
    future = _with_scrambled_future(events, known, dataset, as_of, rng)
    people = _with_scrambled_members(members, known_members, dataset, as_of, rng)
    yield "scrambled future", _copied(dataset, future, people)
    now = _copies(events, known, rng, "at the moment")
    now = _overwritten(now, np.ones(len(now), np.bool_), {"occurred_at": as_of, "known_at": as_of})
    yield "boundary", _copied(dataset, pd.concat([events, now], ignore_index=True))
    yield (
        "row order",
        _copied(dataset, *(table.iloc[rng.permutation(len(table))] for table in (events, members, households))),
    )
    yield "repetition", _copied(dataset, *(_some_twice(table, rng) for table in (events, members)))


def _with_scrambled_future(
    events: pd.DataFrame, known: Mask, dataset: Dataset, as_of: Micros, rng: np.random.Generator
) -> pd.DataFrame:
    """What was known stays, but for what it says of days to come; every other row says something else."""
    # Where everything was known at once, rows that came a moment too late take the place of a future.
    late = _copies(events, known, rng, "too late")
    late = _overwritten(late, np.ones(len(late), np.bool_), {"known_at": as_of + 1})
    ahead = known & is_not_before(micros_of(events["occurred_at"]), as_of)
    altered = _overwritten(
        events,
        ahead,
        {"occurred_at": as_of + rng.integers(0, 400 * MICROS_PER_DAY, len(events)), **_other_content(events, rng)},
    )
    whole = pd.concat([altered, late], ignore_index=True)
    unknown = np.append(~known, np.ones(len(late), np.bool_))
    n = len(whole)
    homes = dataset.households["household_id"].to_numpy(object)
    return _overwritten(
        whole,
        unknown,
        {
            "event_id": np.array([f"scrambled {i}" for i in range(n)], object),
            "household_id": homes[rng.integers(0, len(homes), n)] if len(homes) else whole["household_id"],
            "occurred_at": as_of - rng.integers(1, 730 * MICROS_PER_DAY, n),
            **_other_content(whole, rng),
        },
    )


def _with_scrambled_members(
    members: pd.DataFrame, known: Mask, dataset: Dataset, as_of: Micros, rng: np.random.Generator
) -> pd.DataFrame:
    n = len(members)
    homes = dataset.households["household_id"].to_numpy(object)
    if n == 0 or len(homes) == 0:
        return members
    joined = as_of - rng.integers(1, 3000 * MICROS_PER_DAY, n)
    other = rng.permutation(n)
    return _overwritten(
        members,
        ~known,
        {
            "household_id": homes[rng.integers(0, len(homes), n)],
            "joined_at": joined,
            "left_at": joined + rng.integers(1, 3000 * MICROS_PER_DAY, n),
            **{name: members[name].to_numpy(object)[other] for name in ("birth_date", "sex", "role")},
        },
    )


def _other_content(events: pd.DataFrame, rng: np.random.Generator) -> dict[str, npt.NDArray[np.generic]]:
    n = len(events)
    content: dict[str, npt.NDArray[np.generic]] = {"value": np.round(rng.uniform(-1e6, 1e6, n), 2)}
    for name in ("code", "person_id", "text"):
        content[name] = events[name].to_numpy(object)[rng.integers(0, n, n)] if n else events[name].to_numpy(object)
    return content


def _copies(events: pd.DataFrame, known: Mask, rng: np.random.Generator, name: str) -> pd.DataFrame:
    """Some rows known by now again, as first reports with ids of their own."""
    rows = np.flatnonzero(known)
    some = events.iloc[rng.choice(rows, len(rows) // 2 + 1)] if len(rows) else events.iloc[rows]
    some = some.reset_index(drop=True)
    every = np.ones(len(some), np.bool_)
    ids = np.array([f"{name} {i}" for i in range(len(some))], object)
    plain = {"event_id": ids, "status": "original", "supersedes": np.full(len(some), None, object)}
    return _overwritten(some, every, plain)


def _overwritten(table: pd.DataFrame, rows: Mask, cells: Mapping[str, object]) -> pd.DataFrame:
    """The table with other cells in these rows; moments are given in microseconds."""
    table = table.copy()
    for name, given in cells.items():
        kept = table[name]
        other = pd.Series(given, index=table.index)
        if name.endswith("_at"):
            other = pd.to_datetime(other, unit="us", utc=True)
        table[name] = kept.mask(rows, other.astype(kept.dtype))
    return table


def _is_known(table: pd.DataFrame, as_of: Micros) -> Mask:
    return is_known(micros_of(table["known_at"]), np.int64(NEVER), as_of)


def _some_twice(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    return table.iloc[np.repeat(np.arange(len(table)), 1 + (rng.random(len(table)) < 0.5))]


def _copied(
    dataset: Dataset,
    events: pd.DataFrame | None = None,
    members: pd.DataFrame | None = None,
    households: pd.DataFrame | None = None,
) -> Dataset:
    """The dataset with tables of its own, for a function may write into what it is given; truth and audit stay out."""
    return Dataset(
        dataset.meta,
        (dataset.events if events is None else events).reset_index(drop=True).copy(),
        (dataset.members if members is None else members).reset_index(drop=True).copy(),
        (dataset.households if households is None else households).reset_index(drop=True).copy(),
    )


def _moved(expected: _Computed, found: _Computed) -> tuple[str, ...]:
    """The features that are not the same to the last bit."""
    if expected.columns.keys() != found.columns.keys():
        return tuple(sorted(expected.columns.keys() ^ found.columns.keys()))
    if expected.households.tolist() != found.households.tolist():
        return ("the choice of households",)
    return tuple(
        name
        for name, columns in expected.columns.items()
        if not all(_is_same(one, other) for one, other in zip(columns, found.columns[name], strict=True))
    )


def _is_same(one: pd.Series, other: pd.Series) -> bool:
    missing = one.isna().to_numpy()
    if (missing != other.isna().to_numpy()).any():
        return False
    if pd.api.types.is_numeric_dtype(one) and pd.api.types.is_numeric_dtype(other):
        left, right = (each.to_numpy(np.float64, na_value=np.nan)[~missing] for each in (one, other))
        return bool(left.tobytes() == right.tobytes())
    return bool(one.to_numpy(object)[~missing].tolist() == other.to_numpy(object)[~missing].tolist())


def _said(as_of: Micros, time_zone: str) -> str:
    on = day_of(as_of, time_zone).isoformat()
    return f"the end of {on}" if as_of_moment(on, time_zone) == as_of else written(as_of, time_zone)
