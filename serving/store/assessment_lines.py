"""What the journal says of an assessment: one line in the entry that brought it.

A line is `[assessment_id, row, input, record]`. `row` is the keyed digest of the columns by which the assessment is
listed and ordered, null where an earlier entry brought them; `input` and `record` are the keyed digests of the request
it was made from and of what was told, null where a batch kept only the row. The lines of what is new stand under
`kept`. What was told a second time stands under `again` and brings nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from serving.store.documents import digest_of, written
from serving.store.journal import keyed
from serving.store.tables import ASSESSMENTS

KEPT, AGAIN = "kept", "again"
# What can be erased one by one.
ROWS, DOCUMENTS = "assessments", "records"
_DOCUMENTS = ("record", "record_sha256", "inputs_sha256")
ROW = tuple(c.name for c in ASSESSMENTS.columns if c.name not in (*_DOCUMENTS, "seq", "journal_seq", "record_seq"))
_NUMBERS = ("probability", "points", "coverage", "months_silent")


class Line(NamedTuple):
    """What an entry says of one assessment."""

    assessment_id: str
    row: str | None
    input: str | None
    record: str | None

    @property
    def documents(self) -> str | None:
        """Both digests of documents as one text; None without a record."""
        return None if self.record is None else f"{self.input}:{self.record}"


def row_digest(key: str, row: Mapping[Any, Any]) -> str:
    """The keyed digest of a row, as it will be read back."""
    told = {name: row[name] for name in ROW}
    for name in _NUMBERS:
        if told[name] is not None:
            # SQLite keeps no negative zero.
            told[name] = float(told[name]) + 0.0
    return keyed(key, written(told))


def line(key: str, assessment_id: str, row: Mapping[Any, Any] | None, input_: str | None, record: str | None) -> Line:
    """The line of an assessment with these digests of its documents."""
    digests = [None if sha256 is None else keyed(key, sha256) for sha256 in (input_, record)]
    return Line(assessment_id, None if row is None else row_digest(key, row), *digests)


def documents_there(key: str, row: Mapping[Any, Any]) -> str | None:
    """`Line.documents` of what lies in the store: `record`, its `record_sha256`, `body` of the inputs and
    `inputs_sha256`. A document that does not fit its own digest gets none."""
    if row["record"] is None:
        return None
    found = []
    for body, sha256 in ((row["body"], row["inputs_sha256"]), (row["record"], row["record_sha256"])):
        if body is None:
            found.append("None" if sha256 is None else "gone")
        else:
            found.append(keyed(key, sha256) if digest_of(body) == sha256 else "other")
    return ":".join(found)
