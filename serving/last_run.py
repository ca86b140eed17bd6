"""What the run before said: the tiers that hold a household up for one more run."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.dataset import DatasetRefused
from features.window import Micros, micros_of
from models.tier import Previous, Tier


def previous_of(file: Path, as_of: Micros) -> dict[str, tuple[Previous, Micros]]:
    """The tiers of an earlier run by household. Raises `DatasetRefused` for a file that is none, or is not earlier."""
    names = ["household_id", "as_of", "tier", "tier_computed"]
    try:
        table = pq.read_table(file, columns=names).to_pandas()
    except (OSError, pa.ArrowException, KeyError):
        raise DatasetRefused(f"--previous must be a Parquet file that `povrisk score` wrote: {file.name}") from None
    moments = micros_of(table["as_of"])
    if len(moments) and moments.max() >= as_of:
        raise DatasetRefused("--previous is not of a moment before --as-of")
    return {
        str(name): (Previous(Tier(tier), Tier(computed)), int(moment))
        for name, tier, computed, moment in zip(
            table["household_id"], table["tier"], table["tier_computed"], moments, strict=True
        )
    }
