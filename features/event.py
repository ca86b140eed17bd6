"""The tables of a dataset folder: column names, types, and what may be empty."""

from __future__ import annotations

from enum import Enum

import pyarrow as pa

MOMENT = pa.timestamp("us", tz="UTC")


class Status(Enum):
    """What a row says about the past: a first report, a corrected one, or the withdrawal of an earlier row."""

    ORIGINAL = "original"
    CORRECTED = "corrected"
    RETRACTED = "retracted"


ROLES = ("head", "spouse", "child", "parent", "other")
SEXES = ("F", "M")
RESIDENCES = ("rural", "town", "city")

EVENTS = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("household_id", pa.string(), nullable=False),
        pa.field("person_id", pa.string()),
        pa.field("code", pa.string(), nullable=False),
        pa.field("occurred_at", MOMENT, nullable=False),
        pa.field("known_at", MOMENT, nullable=False),
        pa.field("value", pa.float64()),
        pa.field("unit", pa.string()),
        pa.field("text", pa.string()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("supersedes", pa.string()),
    ]
)

MEMBERS = pa.schema(
    [
        pa.field("household_id", pa.string(), nullable=False),
        pa.field("person_id", pa.string(), nullable=False),
        pa.field("birth_date", pa.date32()),
        pa.field("sex", pa.string()),
        pa.field("role", pa.string(), nullable=False),
        pa.field("joined_at", MOMENT, nullable=False),
        pa.field("left_at", MOMENT),
        pa.field("known_at", MOMENT, nullable=False),
    ]
)

HOUSEHOLDS = pa.schema(
    [
        pa.field("household_id", pa.string(), nullable=False),
        pa.field("region", pa.string(), nullable=False),
        pa.field("residence", pa.string()),
        pa.field("township", pa.string()),
    ]
)

TRUTH = pa.schema(
    [
        pa.field("household_id", pa.string(), nullable=False),
        pa.field("as_of", MOMENT, nullable=False),
        pa.field("hazard_12m", pa.float64(), nullable=False),
    ]
)

# Households drawn by lot to be visited whatever any list says; no feature reads it.
AUDIT_ARM = pa.schema(
    [
        pa.field("household_id", pa.string(), nullable=False),
        pa.field("drawn_at", MOMENT, nullable=False),
        pa.field("stratum", pa.string(), nullable=False),
        pa.field("inclusion_probability", pa.float64(), nullable=False),
    ]
)

TABLES: dict[str, pa.Schema] = {
    "events": EVENTS,
    "members": MEMBERS,
    "households": HOUSEHOLDS,
    "truth": TRUTH,
    "audit_arm": AUDIT_ARM,
}
