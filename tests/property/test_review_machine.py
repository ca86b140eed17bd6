"""The store against a plain dict: tasks opened, visits recorded, retried and too late, with crashes in between."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import Connection, select

from serving.store import consent, journal, verification
from serving.store.engine import Store, open_store
from serving.store.reviews import AlreadyRecorded, KeyReused, NewReview, Stale, earlier_reply, write_review
from serving.store.tables import REVIEWS
from serving.store.tasks import task_of
from serving.store.visits import visit_events
from tests.reviewed import AT, MET, event, open_task, review

HOUSEHOLDS = ("h1", "h2")
OUTCOMES = ("met", "nobody_home", "moved", "refused")
SAID = (None, "agreed", "objected", "opted_out")


class Crash(Exception):
    """The process ends here: nothing after it runs."""


class Reviews(RuleBasedStateMachine):
    """`versions` are those of open tasks; `written` the reviews by key with their replies; all as a dict keeps them."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.store = self._opened()
        self.clock = AT
        self.versions: dict[str, int] = {}
        self.written: dict[str, tuple[NewReview, dict[str, Any]]] = {}
        self.events: dict[str, list[dict[str, Any]]] = {}
        self.human_only: set[str] = set()
        self.entries = 0

    def _opened(self) -> Store:
        return open_store(f"sqlite:///{Path(self.folder.name) / 'store.db'}")

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        self.clock += 1
        with self.store.writing() as connection:
            yield connection

    def _new(self, household: str, outcome: str, said: str | None, n_events: int, version: int) -> NewReview:
        name = f"r{len(self.written)}-{self.clock}"
        body = {**MET, "version": version, "outcome": outcome, "household_said": said}
        events = [event(f"{name}-{n}", "COST", None, float(n)) for n in range(n_events)]
        return review(name, body, household=household, events=events, recorded_at=self.clock)

    @rule(household=st.sampled_from(HOUSEHOLDS))
    def opens(self, household: str) -> None:
        """A newer assessment: it opens a task, or moves the one that is open."""
        with self._writing() as connection:
            task = open_task(connection, household, f"{household}-{self.clock}", self.clock)
        self.versions[household] = self.versions.get(household, 0) + 1
        assert task.version == self.versions[household]

    @rule(
        household=st.sampled_from(HOUSEHOLDS),
        outcome=st.sampled_from(OUTCOMES),
        said=st.sampled_from(SAID),
        n_events=st.integers(0, 3),
    )
    def visits(self, household: str, outcome: str, said: str | None, n_events: int) -> None:
        """A visit that saw the task as it is, or a household without one: also the second and third visit."""
        new = self._new(household, outcome, said, n_events, self.versions.get(household, 0))
        with self._writing() as connection:
            entry = write_review(connection, new, {"review_id": new.review_id})
        self.entries += 1
        reply = {"review_id": new.review_id, "journal_seq": self.entries, "journal_hash": entry.hash}
        self.written[new.key] = new, reply
        self.events.setdefault(household, []).extend(new.events)
        if said in ("objected", "opted_out"):
            self.human_only.add(household)
        if household in self.versions and outcome == "nobody_home":
            self.versions[household] += 1
        else:
            self.versions.pop(household, None)

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def sends_again(self, data: st.DataObject) -> None:
        """The same review with the same key: the reply of the first time, and nothing written."""
        key = data.draw(st.sampled_from(sorted(self.written)))
        new, reply = self.written[key]
        with self._writing() as connection:
            assert earlier_reply(connection, key, new.request_sha256) == reply
        with pytest.raises(AlreadyRecorded) as recorded, self._writing() as connection:
            write_review(connection, replace(new, review_id="other"), {"review_id": "other"})
        assert recorded.value.reply == reply

    @precondition(lambda self: self.written)
    @rule(data=st.data())
    def sends_another_body(self, data: st.DataObject) -> None:
        """A used key with another review: refused."""
        key = data.draw(st.sampled_from(sorted(self.written)))
        new = replace(self.written[key][0], request_sha256="0" * 64)
        with pytest.raises(KeyReused), self._writing() as connection:
            write_review(connection, new, {})

    @rule(household=st.sampled_from(HOUSEHOLDS), off=st.sampled_from([-1, 1, 2]))
    def comes_too_late(self, household: str, off: int) -> None:
        """A visit that saw another version of the task: refused, with the version of now."""
        current = self.versions.get(household, 0)
        with pytest.raises(Stale) as stale, self._writing() as connection:
            write_review(connection, self._new(household, "met", None, 1, abs(current + off)), {})
        assert stale.value.current_version == current

    @rule(household=st.sampled_from(HOUSEHOLDS))
    def crashes(self, household: str) -> None:
        """The process ends after the review was written and before its commit; another one opens the file."""
        new = self._new(household, "met", "objected", 2, self.versions.get(household, 0))
        with pytest.raises(Crash), self._writing() as connection:
            write_review(connection, new, {})
            raise Crash
        self.store.close()
        self.store = self._opened()

    @invariant()
    def holds_what_the_dict_holds(self) -> None:
        """Tasks, reviews, events, consent and the length of the journal."""
        with self.store.reading() as connection:
            tasks = {name: task_of(connection, name) for name in HOUSEHOLDS}
            assert {name: task.version for name, task in tasks.items() if task is not None} == self.versions
            assert set(connection.scalars(select(REVIEWS.c.idempotency_key))) == set(self.written)
            assert visit_events(connection, HOUSEHOLDS) == {name: found for name, found in self.events.items() if found}
            assert consent.is_human_only(connection, HOUSEHOLDS) == self.human_only
            assert journal.head(connection).seq == self.entries

    def teardown(self) -> None:
        """The chain holds after all of it."""
        if not hasattr(self, "store"):
            return
        with self.store.reading() as connection:
            assert verification.verify(connection) == (self.entries, None, None)
        self.store.close()
        self.folder.cleanup()


TestReviews = Reviews.TestCase
TestReviews.settings = settings(max_examples=15, stateful_step_count=15)
