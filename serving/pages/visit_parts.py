"""The parts of a visit page as a template lays them out: only texts, counts and flags, in the reader's language."""

from __future__ import annotations

from dataclasses import dataclass

from serving.pages.shown import Dots, TierShown

ERROR, HUMAN_ONLY, BLIND = "error", "human_only", "blind"
MAY_HELP = ("likely", "to_verify", "conditional")


@dataclass(frozen=True)
class EventShown:
    """A cited event: what it is, when it happened, when it was reported, by whom."""

    event_id: str
    name: str
    happened: str
    reported: str
    source: str
    unit: str


@dataclass(frozen=True)
class FactShown:
    """One thing to verify. `number` joins the sentence to its buttons; a suspended wording has no `text`, then only its
    events are shown. `last_answer` is what an earlier visit found."""

    fact_id: str
    number: int
    text: str
    events: tuple[EventShown, ...]
    n_events: int
    last_answer: str
    tier: TierShown | None = None

    @property
    def unit(self) -> str:
        """What an amount of the fact counts; empty where none of its events has one."""
        return next((event.unit for event in self.events if event.unit), "")


@dataclass(frozen=True)
class ReasonShown:
    """A domain with its facts; `strength` and `strength_word` are empty where the direction is not to be seen yet."""

    group: str
    strength: str
    strength_word: str
    is_mixed: bool
    facts: tuple[FactShown, ...]


@dataclass(frozen=True)
class QuestionShown:
    """A question; `effect` says where the number may go once it is answered."""

    question_id: str
    text: str
    effect: str
    unit: str
    takes_amount: bool


@dataclass(frozen=True)
class PolicyShown:
    """A policy to look into, never a promise."""

    item: str
    name: str
    department: str
    status: str
    status_word: str
    missing: tuple[str, ...]
    speaks_against: bool


@dataclass(frozen=True)
class ChangeShown:
    """What is different from last time: one sentence, the whole points of each part, and the events."""

    text: str
    before: str
    parts: tuple[str, ...]
    events: tuple[str, ...]
    hidden: int


@dataclass(frozen=True)
class Clock:
    """Day `day` of `of` since the clue came in."""

    day: int
    of: int

    @property
    def is_late(self) -> bool:
        """Whether the days are over."""
        return self.day > self.of


@dataclass(frozen=True)
class VisitView:
    """Everything on a visit page, in the reader's language and in the order of the page.

    `state` is the record's status, `human_only` or `blind`. Parts that a state does not show are empty or None, so a
    template cannot tell them by mistake.
    """

    state: str
    assessment_id: str
    household: str
    township: str
    judged_on: str
    valid_until: str
    is_expired: bool
    latest_id: str
    has_task: bool
    version: int
    concern: str
    clock: Clock | None
    family: tuple[str, ...]
    tier: TierShown | None
    basis: str
    frequency: tuple[str, str, str]
    dots: Dots | None
    cautions: tuple[tuple[str, str], ...]
    change: ChangeShown | None
    raises: tuple[ReasonShown, ...]
    lowers: tuple[ReasonShown, ...]
    recorded: tuple[FactShown, ...]
    reason_note: str
    questions: tuple[QuestionShown, ...]
    rules: tuple[FactShown, ...]
    checks: tuple[tuple[str, tuple[str, ...]], ...]
    policies: tuple[PolicyShown, ...]
    gaps: tuple[str, ...]
    limits: tuple[str, ...]
    n_steps: int
    model: str

    @property
    def is_latest(self) -> bool:
        """Whether there is no newer assessment to go to."""
        return self.latest_id == self.assessment_id

    @property
    def shows_score(self) -> bool:
        """Whether anything that the system concluded may be seen."""
        return self.state not in (HUMAN_ONLY, BLIND, ERROR)

    @property
    def facts(self) -> tuple[FactShown, ...]:
        """All facts of the reasons, in their order."""
        return tuple(fact for reason in (*self.raises, *self.lowers) for fact in reason.facts)

    @property
    def rules_to_check(self) -> tuple[FactShown, ...]:
        """The rules that can be answered, each name once: sealed ones share theirs."""
        return tuple({fact.fact_id: fact for fact in reversed(self.rules)}.values())[::-1]

    @property
    def helps(self) -> tuple[PolicyShown, ...]:
        """Policies that a visitor may set in motion."""
        return tuple(policy for policy in self.policies if policy.status in MAY_HELP)
