"""How long after it happened an entry into a status is taken as known."""

from __future__ import annotations

from collections.abc import Iterable

from features.catalogue import Catalogue
from features.dataset import DatasetMeta


def publication_lag_days(meta: DatasetMeta, catalogue: Catalogue, entry_codes: Iterable[str]) -> int:
    """After how many days at least 95 % of the entries that happened are on record, whichever of them it is.

    The catalogue knows it by kind, `dataset.json` by source and over all kinds that a source sends. So what a dataset
    says of a source counts where it is slower than the slowest kind that the catalogue expects from there: the entries
    may then be as late. It never shortens the wait.
    """
    slowest: dict[str, int] = {}
    for kind in catalogue.kinds:
        slowest[kind.department.source] = max(kind.lag_days[1], slowest.get(kind.department.source, 0))

    def lag(code: str) -> int:
        kind = catalogue.by_code[code]
        said = meta.sources.get(kind.department.source, (0, 0))[1]
        return max(kind.lag_days[1], said if said > slowest[kind.department.source] else 0)

    return max(lag(code) for code in entry_codes)
