"""The tables of the store, the same in SQLite and in PostgreSQL.

What a person said is only ever added to: the tables named in `APPEND_ONLY` refuse change, and deletion but by an
erasure (`serving.store.append_only`); each of their rows names the entry of the journal that holds its digest
(`journal_seq`). An assessment names the entry that brought its row and the one that brought its documents. Moments are
microseconds since 1970 in UTC, days are texts `YYYY-MM-DD`, and long documents are compressed JSON.

Four tables hold what comes back from a visit and are never merged: what was verified of the record, what the visitor
thinks, what was done, and what came of it. Only the last can become a label, and only its rows of kind `register`.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

METADATA = MetaData()
# SQLite counts rows by itself only under this type.
SERIAL = BigInteger().with_variant(Integer, "sqlite")


def _journal_seq() -> Column[int]:
    """The entry of the journal that a row came with."""
    return Column("journal_seq", BigInteger, ForeignKey("journal.seq"), nullable=False, index=True)


# The request a household was assessed from, without what visits added: kept to assess it again.
INPUTS = Table(
    "inputs",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("household_id", String(128), nullable=False, index=True),
    Column("body", LargeBinary, nullable=False),
)

# `origin` is call, batch or visit. `record` is the whole assessment; null where a batch kept only its row. `record_seq`
# is the entry of the journal that holds the digests of record and inputs: a later one where they came after the row.
ASSESSMENTS = Table(
    "assessments",
    METADATA,
    Column("seq", SERIAL, primary_key=True, autoincrement=True),
    Column("assessment_id", String(64), nullable=False, unique=True),
    Column("household_id", String(128), nullable=False),
    Column("as_of", BigInteger, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    Column("origin", String(8), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("region", String(100), nullable=False),
    Column("township", String(200)),
    Column("status", String(24), nullable=False),
    Column("tier", String(8), nullable=False),
    Column("tier_computed", String(8), nullable=False),
    Column("probability", Double),
    Column("points", Double),
    Column("coverage", Double),
    Column("months_silent", Double),
    Column("bundle_sha256", String(64), nullable=False),
    Column("inputs_sha256", String(64), ForeignKey("inputs.sha256")),
    Column("record", LargeBinary),
    Column("record_sha256", String(64)),
    Column("journal_seq", BigInteger),
    Column("record_seq", BigInteger),
    Index("assessments_in_order", "household_id", "as_of", "seq"),
    Index(
        "visits_of_household",
        "household_id",
        sqlite_where=text("origin = 'visit'"),
        postgresql_where=text("origin = 'visit'"),
    ),
    Index("assessments_of_entry", "journal_seq"),
    Index("records_of_entry", "record_seq"),
)

# The order of `models.visit_list`, least first.
TASK_ORDER = (
    "key_urgency",
    "key_manual",
    "key_probability",
    "key_points",
    "key_known",
    "key_heard",
    "key_tie",
)

# One open task a household.
TASKS = Table(
    "tasks",
    METADATA,
    Column("task_id", SERIAL, primary_key=True, autoincrement=True),
    Column("household_id", String(128), nullable=False),
    Column("assessment_id", String(64), nullable=False),
    Column("is_open", Boolean, nullable=False),
    Column("version", Integer, nullable=False),
    Column("township", String(200)),
    Column("status", String(24), nullable=False),
    Column("tier", String(8), nullable=False),
    Column("probability", Double),
    Column("points", Double),
    Column("is_manual", Boolean, nullable=False),
    Column("is_grey", Boolean, nullable=False),
    Column("is_blind", Boolean, nullable=False),
    Column("is_human_only", Boolean, nullable=False),
    Column("key_urgency", Integer, nullable=False),
    Column("key_manual", Integer, nullable=False),
    Column("key_probability", Double, nullable=False),
    Column("key_points", Double, nullable=False),
    Column("key_known", Double, nullable=False),
    Column("key_heard", Double, nullable=False),
    Column("key_tie", BigInteger, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Index(
        "one_open_task",
        "household_id",
        unique=True,
        # In the words of the queries, or SQLite does not see that the index answers them.
        sqlite_where=text("is_open = 1"),
        postgresql_where=text("is_open"),
    ),
    Index("tasks_of_household", "household_id", "is_open"),
    # The queue, its half that is left to people, and a township's: read in order, never sorted.
    Index("queue", "is_open", *TASK_ORDER),
    Index("queue_by_kind", "is_open", "is_manual", *TASK_ORDER),
    Index("queue_of_township", "is_open", "township", *TASK_ORDER),
)

REVIEWS = Table(
    "reviews",
    METADATA,
    Column("review_id", String(40), primary_key=True),
    Column("idempotency_key", String(128), nullable=False, unique=True),
    Column("request_sha256", String(64), nullable=False),
    Column("household_id", String(128), nullable=False, index=True),
    Column("assessment_id", String(64), nullable=False),
    Column("task_id", BigInteger),
    Column("version", Integer, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("visited_on", String(10), nullable=False),
    Column("channel", String(8), nullable=False),
    Column("household_said", String(24)),
    Column("role", String(16), nullable=False),
    Column("actor", String(64), nullable=False),
    Column("reply", Text, nullable=False),
    _journal_seq(),
)

# `kind` is fact (an answer about something on record) or answer (to a question). `event_ids`: a JSON list.
VERIFICATION = Table(
    "verification",
    METADATA,
    Column("review_id", String(40), ForeignKey("reviews.review_id"), primary_key=True),
    Column("item", Integer, primary_key=True),
    Column("kind", String(8), nullable=False),
    Column("about", String(128), nullable=False),
    Column("template", String(128)),
    Column("answer", String(16), nullable=False),
    Column("value", Double),
    Column("event_ids", Text, nullable=False),
    Column("new_event_id", String(128)),
    _journal_seq(),
)

JUDGEMENT = Table(
    "judgement",
    METADATA,
    Column("review_id", String(40), ForeignKey("reviews.review_id"), primary_key=True),
    Column("was_blind", Boolean, nullable=False),
    Column("concern_first", String(8)),
    Column("tier_shown", String(8), nullable=False),
    Column("judgement", String(16)),
    Column("because", String(24)),
    _journal_seq(),
)

ACTION = Table(
    "action",
    METADATA,
    Column("review_id", String(40), ForeignKey("reviews.review_id"), primary_key=True),
    Column("item", Integer, primary_key=True),
    Column("policy", String(16), nullable=False),
    Column("what", String(16), nullable=False),
    Column("acted_on", String(10), nullable=False),
    _journal_seq(),
)

# `kind` is visit (how the visit went) or register (what the registration procedure decided within the horizon).
OUTCOME = Table(
    "outcome",
    METADATA,
    Column("outcome_id", String(40), primary_key=True),
    Column("household_id", String(128), nullable=False, index=True),
    Column("assessment_id", String(64), nullable=False),
    Column("review_id", String(40)),
    Column("kind", String(8), nullable=False),
    Column("what", String(24), nullable=False),
    Column("happened_on", String(10), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    _journal_seq(),
)

# Events that visits added, in the form of `POST /score`, one line of JSON each.
VISIT_EVENTS = Table(
    "visit_events",
    METADATA,
    Column("event_id", String(128), primary_key=True),
    Column("household_id", String(128), nullable=False, index=True),
    Column("review_id", String(40)),
    Column("item", Integer, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    _journal_seq(),
)

# What the household itself decided about being assessed by a machine: objected, opted_out or withdrew.
CONSENT = Table(
    "consent",
    METADATA,
    Column("journal_seq", BigInteger, ForeignKey("journal.seq"), primary_key=True, autoincrement=False),
    Column("household_id", String(128), nullable=False, index=True),
    Column("what", String(16), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("by", String(16), nullable=False),
)

# The visitor's own concern, given before the tier and the number were shown.
CONCERNS = Table(
    "concerns",
    METADATA,
    Column("task_id", BigInteger, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("assessment_id", String(64), nullable=False, index=True),
    Column("concern", String(8), nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    _journal_seq(),
)

# A code lets a member of the household read its own assessment; only a digest of it is kept.
PERSON_CODES = Table(
    "person_codes",
    METADATA,
    Column("code_sha256", String(64), primary_key=True),
    Column("household_id", String(128), nullable=False),
    Column("assessment_id", String(64), nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)

# What a member of the household asked for on its own page: correction (of `facts`, a JSON list) or contact.
PERSON_REQUESTS = Table(
    "person_requests",
    METADATA,
    Column("request_id", String(40), primary_key=True),
    Column("household_id", String(128), nullable=False, index=True),
    Column("assessment_id", String(64), nullable=False),
    Column("what", String(16), nullable=False),
    Column("facts", Text, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    _journal_seq(),
)

# Every entry carries the hash of the one before; `body` holds digests and counts, never a name.
JOURNAL = Table(
    "journal",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("kind", String(24), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("body", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
)

# What was erased, without a word of what it said: the `entry` that brought it, and the count and keyed digest of the
# rows that went. `what` is a table of `ERASABLE`, or `assessments` and `records`, of which one `item` (the assessment)
# goes at a time. A row here opens the triggers for the rows it names, and for no other.
ERASED = Table(
    "erased",
    METADATA,
    Column("entry", BigInteger, primary_key=True, autoincrement=False),
    Column("what", String(16), primary_key=True),
    Column("item", String(64), primary_key=True),
    Column("n", Integer, nullable=False),
    Column("hmac", String(64), nullable=False),
    _journal_seq(),
)

# The store's own facts: the schema it was made with, the key of its digests, the visits a month it was loaded for.
ABOUT = Table("about", METADATA, Column("name", String(40), primary_key=True), Column("value", Text, nullable=False))

COVERED = (REVIEWS, VERIFICATION, JUDGEMENT, ACTION, OUTCOME, VISIT_EVENTS, CONSENT, CONCERNS, PERSON_REQUESTS, ERASED)
APPEND_ONLY = (*COVERED, JOURNAL)
# Children before the reviews they belong to: the order in which rows can go.
ERASABLE = (VERIFICATION, JUDGEMENT, ACTION, REVIEWS, OUTCOME, VISIT_EVENTS, CONSENT, CONCERNS, PERSON_REQUESTS)
