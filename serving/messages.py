"""What goes in and what comes out: the JSON of `POST /score`, typed and strict.

Strict means: no field that is not declared, no number written as text, no `NaN`, no guess. Times are checked for
their form here and read in the model's time zone by `serving.cases`.
"""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import BaseModel, ConfigDict, FailFast, Field
from typing_extensions import TypedDict

MAX_MEMBERS = 200
_DAY = r"(19|20|21)\d{2}-\d{2}-\d{2}"
_TIME = r"[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?"

# Names that a person reads back: no control characters, and none that turn the writing direction around.
Id = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[^\p{Cc}\p{Cf}]+$")]
Day = Annotated[str, Field(pattern=rf"^{_DAY}$", max_length=10, json_schema_extra={"format": "date"})]
Moment = Annotated[str, Field(pattern=rf"^{_DAY}({_TIME})?$", max_length=40)]


class Strict(BaseModel):
    """What every incoming message keeps to."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        regex_engine="rust-regex",
    )


class Member(Strict):
    """Someone who lives or lived in the household. `known_at` is `joined_at` unless it was learned later."""

    person_id: Id
    birth_date: Day | None = None
    sex: Literal["F", "M"] | None = None
    role: Literal["head", "spouse", "child", "parent", "other"]
    joined_at: Moment
    left_at: Moment | None = None
    known_at: Moment | None = None


class Event(Strict):
    """Something a department has on record. `known_at` is when the platform could know it: `occurred_at` if not given.

    A correction or retraction is a further event with a later `known_at` that names the `event_id` it `supersedes`.
    """

    event_id: Id
    person_id: Id | None = None
    code: Annotated[str, Field(min_length=1, max_length=60)]
    occurred_at: Moment
    known_at: Moment | None = None
    value: float | None = None
    unit: Annotated[str, Field(max_length=20)] | None = None
    text: Annotated[str, Field(max_length=2000)] | None = None
    source: Annotated[str, Field(min_length=1, max_length=100)]
    status: Literal["original", "corrected", "retracted"] = "original"
    supersedes: Id | None = None


class LastRun(Strict):
    """What the run before said of the household, so that a tier does not fall on one run's word."""

    as_of: Moment
    tier: Literal["red", "orange", "yellow", "green", "grey"]
    tier_computed: Literal["red", "orange", "yellow", "green", "grey"]


class Household(Strict):
    """One household at one moment. An `as_of` given as a date means the end of that day."""

    household_id: Id
    as_of: Moment
    region: Annotated[str, Field(min_length=1, max_length=100)]
    residence: Literal["rural", "town", "city"]
    township: Annotated[str, Field(max_length=200)] | None = None
    previous: LastRun | None = None
    members: Annotated[list[Member], Field(max_length=MAX_MEMBERS)]
    events: Annotated[list[Event], FailFast()]


class Batch(Strict):
    """The households of one call."""

    households: Annotated[list[Household], Field(min_length=1), FailFast()]


class Answer(BaseModel):
    """What every outgoing message keeps to: nothing that is not declared."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Text(TypedDict, total=False):
    """The same words in Chinese and English, or in the language asked for."""

    zh: str
    en: str


class Outcome(TypedDict):
    """What the probability is the probability of."""

    name: str
    horizon_months: int
    zh: NotRequired[str]
    en: NotRequired[str]


class CitedEvent(Answer):
    """An event that a fact rests on, with both of its dates."""

    event_id: str
    code: str
    occurred_at: str
    known_at: str
    source: str


class Fact(Answer):
    """One checkable sentence. `n_events` counts all events behind it; at most three are cited.

    `template` names the wording, `public_text` says as much as may be told to anybody: nothing about health, disability
    or identity.
    """

    fact_id: str
    feature: str
    template: str
    text: Text
    public_text: Text
    events: list[CitedEvent]
    n_events: int
    question: Text | None


class Reason(Answer):
    """One domain that goes together with a higher or a lower score. `mixed`: records of this domain also pull the
    other way."""

    group: str
    group_text: Text
    direction: Literal["raises", "lowers"]
    strength: Literal["strong", "medium", "slight"]
    mixed: bool
    facts: list[Fact]


class Question(Answer):
    """Something to find out on a visit.

    `kind` says why: the record of a field is `missing`, `incomplete` or `stale`, or an `indicator` asks; `about` is the
    field or the indicator. `if_known` is the range that plausible answers would bring the number of 100 households to.
    An answer with a `code` becomes an event of that code, with an amount in `unit` if there is one.
    """

    question_id: str
    text: Text
    kind: Literal["missing", "incomplete", "stale", "indicator"]
    about: str
    code: str | None
    unit: str | None
    if_known: tuple[float, float] | None
    may_change_tier: bool


class Before(Answer):
    """The assessment that a change is counted from."""

    assessment_id: str
    as_of: str
    status: Literal["scored", "scored_low_confidence", "abstained", "rules_only", "error"]
    tier: Literal["red", "orange", "yellow", "green", "grey"]
    per_100: float | None


class Split(Answer):
    """Of 100 households, how many more or fewer each part of a change makes; the parts add up to the whole."""

    model_changed: float
    time_passing: float
    data_repaired: float
    new_events: float


class Changed(Answer):
    """An event that is new, or that was missing or wrong last time."""

    event_id: str
    code: str
    occurred_at: str
    known_at: str
    source: str
    text: Text


class Change(Answer):
    """What is different from the last assessment. `split` is null where either has no number. `steady`: within what the
    model is unsure about anyway. At most five events are listed of each kind, the `n_` fields count all."""

    previous: Before
    per_100: float | None
    split: Split | None
    steady: bool
    text: Text
    new_events: list[Changed]
    n_new_events: int
    repaired_events: list[Changed]
    n_repaired_events: int


class Contributions(Answer):
    """Log-odds by domain; `base` and `groups` add up to the calibrated log-odds of `probability`."""

    base: float
    groups: dict[str, float]


class Indicator(Answer):
    """What one indicator says; `n_events` counts all events behind it, at most three are cited.

    The wording of a sealed one (courts, prisons, domestic violence) is for authorised roles.
    """

    id: str
    state: Literal["true", "false", "not_evaluable"]
    text: Text
    evidence: list[CitedEvent]
    n_events: int
    sealed: bool


class Trigger(Indicator):
    """An indicator of the familiar trigger list. `tier` is what it brings when true; grey asks for a visit, task for
    work that is overdue."""

    tier: Literal["yellow", "orange", "red", "grey", "task"]


class PointsItem(Indicator):
    """An indicator of the points list and what it added, after caps and with age."""

    points: float


class Verification(Indicator):
    """What does not fit together on record: please verify. It never lowers a tier."""

    questions: list[Text]


class Amount(Answer):
    """How much is known of an amount: the value, bounds, or nothing. Unknown is never zero."""

    state: Literal["known", "known_none", "at_least", "at_most", "unknown"]
    value: float | None
    at_least: float | None
    at_most: float | None


class Line(Answer):
    """A line of the region and how far the household's income is from it (negative: below)."""

    line: float | None
    distance: Amount


class Economics(Answer):
    """Amounts of the household by evidence, and the distance to each line. No income is imputed."""

    amounts: dict[str, Amount]
    lines: dict[str, Line]


class Multidimensional(Answer):
    """The Alkire-Foster share of ten items as an interval, and whether it reaches each cut."""

    score: tuple[float, float]
    cut: float | None
    poor_at: dict[str, Literal["true", "false", "not_evaluable"]]


class Rules(Answer):
    """Which rules spoke: the indicators of the day and the region's pack."""

    indicators_sha256: str
    pack: str
    pack_effective_from: str
    pack_sha256: str


class DataGap(Answer):
    """A domain of which nothing (`missing`) or not everything (`incomplete`) is known."""

    group: str
    kind: Literal["missing", "incomplete"]
    share_unknown: float
    weight_in_model: float
    text: Text


class SourceState(Answer):
    """The newest report of one source about this household."""

    source: str
    latest_known_at: str
    age_months: float
    fresh: bool


class DataQuality(Answer):
    """How much of what the model uses is known, and how many visible events carry a code it does not know."""

    coverage: float | None
    n_events_24m: int | None
    sources: list[SourceState]
    unknown_codes: int


class PovertyType(Answer):
    """What kind of hardship it looks like."""

    code: str
    weight: float


class PolicyCandidate(Answer):
    """A policy worth checking; never an entitlement. `against`: recorded facts speak against it."""

    model_config = ConfigDict(serialize_by_alias=True)

    item: str
    class_: Annotated[Literal["cash", "fee", "service", "status", "loan", "works", "job"], Field(alias="class")]
    text: Text
    department: Text
    status: Literal["likely", "conditional", "to_verify", "already_receiving", "not_available_here"]
    depends_on: list[str]
    missing: list[str]
    missing_text: list[Text]
    against: bool
    triggered_by: list[str]


class Unlock(Answer):
    """One fact and the policy items that wait for it."""

    fact: str
    text: Text
    items: list[str]


class Step(Answer):
    """One link of the assistance chain: a signal, an alert (`id`), a call, a visit, or aid; events carry a `code`."""

    step: Literal["signal", "alert", "call", "visit", "aid"]
    at: str
    known_at: str
    id: str | None
    code: str | None
    text: Text
    source: str | None


class Code(Answer):
    """Why there is no score, or why it is of low confidence: what the code means, and what a person does about it."""

    code: str
    text: Text
    todo: Text


class ModelName(Answer):
    """Which model spoke."""

    name: str
    version: str
    bundle_sha256: str


class Assessment(Answer):
    """What is said about one household. `decision` is always null: people decide."""

    schema_: Annotated[Literal["assessment.v1"], Field(alias="schema")]
    assessment_id: str
    household_id: str
    as_of: str
    valid_until: str
    horizon_months: int
    label: Outcome
    status: Literal["scored", "scored_low_confidence", "abstained", "rules_only", "error"]
    abstention: list[Code]
    low_confidence: list[Code]
    probability: float | None
    interval: tuple[float, float] | None
    per_100: float | None
    frequency: Text | None
    base_rate_per_100: float
    rank_in_county: float | None
    tier: Literal["red", "orange", "yellow", "green", "grey"]
    tier_computed: Literal["red", "orange", "yellow", "green", "grey"]
    tier_basis: list[str]
    points: float | None
    points_items: list[PointsItem]
    poverty_types: list[PovertyType]
    monitored_type_hint: Literal[1, 2, 3] | None
    dimensions: dict[str, float | None]
    multidimensional: Multidimensional | None
    economics: Economics | None
    reasons: list[Reason]
    reason_note: Text | None
    change: Change | None
    contributions: Contributions | None
    triggers: list[Trigger]
    data_gaps: list[DataGap]
    data_quality: DataQuality
    verification: list[Verification]
    tasks: list[str]
    questions: Annotated[list[Question], Field(max_length=8)]
    policy_candidates: list[PolicyCandidate]
    unlocks: list[Unlock]
    assistance_chain: list[Step]
    rules: Rules | None
    limits: list[Text]
    model: ModelName
    decision: None
    decision_authority: Literal["human"]

    model_config = ConfigDict(serialize_by_alias=True)


class Results(Answer):
    """One assessment for every household, in the order asked."""

    results: list[Assessment]
