"""What the service counts and times, for Prometheus. Labels never hold anything a caller sent.

`METRICS` lists all of it. The workers of one service write into one folder (`PROMETHEUS_MULTIPROC_DIR`, which BentoML
names before it starts them), and BentoML's /metrics adds them up; so a number is kept by prometheus_client alone, and a
gauge says how those of several workers become one.

Results of assessments are told in whole tens: whoever reads /metrics before and after a call must not learn what one
household was told. Everything else is about calls, not about households.
"""

from __future__ import annotations

import os
import re
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from prometheus_client import REGISTRY, Counter, Gauge, Histogram
from prometheus_client.multiprocess import mark_process_dead

if TYPE_CHECKING:
    from models.bundle import Bundle
    from serving.recent import Recent

TOGETHER = 10
SHORT = 12
# What stands in a gauge that cannot be told just now, because such a gauge cannot be taken back.
NOT_TOLD = -1.0
STAGES = frozenset({"read", "wait", "assess", "compare", "keep", "write"})
OTHER = "other"
MOST_LABELS = 600
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
_WORD = re.compile(r"[\w/{}.+:\-]{1,64}")
_STAGE_S = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_CALL_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CALLS = (1, 2, 4, 8, 16, 32, 64, 128)
_HOUSEHOLDS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Metric(NamedTuple):
    """One metric: `how` holds the bounds of a histogram, or how a gauge joins several workers; None for a counter."""

    about: str
    labels: tuple[str, ...] = ()
    how: tuple[float, ...] | str | None = None


METRICS: Mapping[str, Metric] = {
    "povrisk_calls_total": Metric("Calls answered", ("address", "status")),
    "povrisk_call_seconds": Metric("How long calls took", ("address",), _CALL_S),
    "povrisk_stage_seconds": Metric("How long the stages of scoring took", ("stage",), _STAGE_S),
    "povrisk_batch_calls": Metric("How many calls were assessed together", (), _CALLS),
    "povrisk_batch_households": Metric("How many households were assessed together", (), _HOUSEHOLDS),
    "povrisk_asked_total": Metric("Calls that needed a token, and whether it had calls left", ("role", "rationed")),
    "povrisk_refusals_total": Metric("Calls refused, by the name of the problem", ("reason",)),
    "povrisk_assessments_total": Metric("Assessments told, in whole tens", ("status", "tier")),
    "povrisk_abstentions_total": Metric("Why no probability was told, in whole tens", ("code",)),
    "povrisk_score_psi": Metric(
        "Stability index of the latest scores beside training; -1 while there are too few", (), "livemax"
    ),
    "povrisk_input_psi": Metric(
        "Stability index of the latest values of a feature beside training; -1 while there are too few",
        ("feature",),
        "livemax",
    ),
    "povrisk_source_age_days": Metric("Days since a source's news of ten households", ("source",), "livemin"),
    "povrisk_bundle_info": Metric("How many workers answer with this model", ("version", "sha256"), "livesum"),
    "povrisk_bundle_refusals_total": Metric("Newer models that were not taken, by failed check", ("check",)),
    "povrisk_bundle_refused": Metric("Whether the bundle's folder holds a model that was refused", (), "livemax"),
    "povrisk_rules_only": Metric("Whether the model is switched off and the rules answer alone", (), "livemax"),
    "povrisk_store_up": Metric("Whether every worker could use the store the last time", (), "livemin"),
    "povrisk_start_timestamp_seconds": Metric("When the first worker of this service started", (), "min"),
    "povrisk_journal_head_read_timestamp_seconds": Metric("When /journal/head was last answered", (), "max"),
    "povrisk_loop_stop_seconds": Metric("Longest stop of the event loop in the last minute", (), "livemax"),
    "povrisk_process_rss_bytes": Metric("Memory of each worker", (), "liveall"),
}

_lock = Lock()
_families: dict[str, Any] = {}
_children: dict[tuple[str, ...], Any] = {}
_held_back: Tally[tuple[str, ...]] = Tally()
_in_use: tuple[str, str] | None = None
_recent: Recent | None = None


def call_done(address: str, status: int, seconds: float) -> None:
    """One call answered. `address` is the pattern of the address, never the path."""
    _child("povrisk_calls_total", address, str(status)).inc()
    _child("povrisk_call_seconds", address).observe(seconds)


def stage(name: str, seconds: float) -> None:
    """Time spent in one stage of an answer: read, wait, assess, compare, keep, write."""
    _child("povrisk_stage_seconds", name if name in STAGES else OTHER).observe(seconds)


def batch(calls: int, households: int) -> None:
    """So many calls and households were assessed together."""
    _child("povrisk_batch_calls").observe(calls)
    _child("povrisk_batch_households").observe(households)


def asked(role: str, is_rationed: bool) -> None:
    """A call with a token of this role came in; `is_rationed`: the token had made too many."""
    _child("povrisk_asked_total", role, "yes" if is_rationed else "no").inc()


def refused(name: str) -> None:
    """A call was refused; `name` is that of the refusal (`serving.errors`)."""
    _child("povrisk_refusals_total", name).inc()


def told(records: Sequence[Mapping[str, Any]], values: Any = None) -> None:
    """Assessments were told; `values` are their feature rows (households x features of the bundle) where known."""
    results = Tally((record["status"], record["tier"]) for record in records)
    codes = Tally(each["code"] for record in records for each in record["abstention"])
    for result, n in results.items():
        _in_tens(n, "povrisk_assessments_total", *result)
    for code, n in codes.items():
        _in_tens(n, "povrisk_abstentions_total", code)
    recent = _recent
    if recent is not None:
        recent.add(records, values)


def model_in_use(bundle: Bundle, *, rules_only: bool) -> None:
    """This worker answers with this model from now on, or by the rules alone where it is switched off.

    The latest assessments are compared with this model's training; what was noted of another model is dropped.
    """
    global _in_use, _recent
    from serving.recent import Recent

    before = _recent
    if before is None or before.sha256 != bundle.sha256:
        _recent = Recent(bundle)
        for name, label in () if before is None else before.told:
            _child(name, *label).set(NOT_TOLD)
    this = (bundle.version, bundle.sha256[:SHORT])
    if _in_use is None:
        _begin()
    if _in_use != this:
        if _in_use is not None:
            _child("povrisk_bundle_info", *_in_use).set(0)
        _child("povrisk_bundle_info", *this).set(1)
        _in_use = this
        bundle_refused(None)
    _child("povrisk_rules_only").set(rules_only)


def bundle_refused(check: str | None) -> None:
    """The model that lies in the bundle's folder was not taken; `check` is the name of the failed check. None: what
    lies there is in use again."""
    _child("povrisk_bundle_refused").set(check is not None)
    if check is not None:
        _child("povrisk_bundle_refusals_total", check).inc()


def _begin() -> None:
    """What must be there at 0 from the start, or the first failure would not be seen as an increase."""
    _child("povrisk_start_timestamp_seconds").set_to_current_time()
    _child("povrisk_assessments_total", "error", "grey")
    for status in (200, 500, 503):
        _child("povrisk_calls_total", "/score", str(status))


def bundle_in_use() -> str:
    """The first digits of the hash of the model that answers; empty before there is one."""
    return "" if _in_use is None else _in_use[1]


def store_state(is_up: bool) -> None:
    """Whether the store could be used just now."""
    _child("povrisk_store_up").set(is_up)


def journal_head_read() -> None:
    """Somebody read the newest entry of the journal, and may have kept it elsewhere."""
    _child("povrisk_journal_head_read_timestamp_seconds").set_to_current_time()


def process_state(stop_s: float, rss_bytes: int | None) -> None:
    """How long the event loop stood still at most in the last minute, and the memory of this process, if known."""
    _child("povrisk_loop_stop_seconds").set(stop_s)
    _child("povrisk_process_rss_bytes").set(NOT_TOLD if rss_bytes is None else rss_bytes)


def refresh() -> None:
    """Tell the next one of the numbers that take longer to work out; a few calls tell them all."""
    recent = _recent
    if recent is not None:
        for name, label, value in recent.next_told():
            _child(name, *label).set(value)


def forget_dead_workers() -> None:
    """Take out the gauges of workers that were killed; those that leave in order do it themselves."""
    for file in Path(os.environ.get(_FOLDER) or os.devnull).glob("gauge_live*.db"):
        pid = file.stem.rpartition("_")[2]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            with suppress(OSError):
                mark_process_dead(int(pid))  # type: ignore[no-untyped-call]


def _in_tens(n: int, name: str, *labels: str) -> None:
    cell = (name, *labels)
    with _lock:
        _held_back[cell] += n
        tens = _held_back[cell] // TOGETHER * TOGETHER
        _held_back[cell] -= tens
    if tens:
        _child(*cell).inc(tens)


def _child(name: str, *labels: str) -> Any:
    """What is counted under a name and labels; made when first asked for, so that nothing is told as 0 before it is."""
    found = _children.get((name, *labels))
    return _made(name, labels) if found is None else found


def _made(name: str, labels: tuple[str, ...]) -> Any:
    with _lock:
        if any(not _WORD.fullmatch(each) for each in labels) or len(_children) >= MOST_LABELS:
            labels = tuple(OTHER for _ in labels)
        family = _families.get(name)
        if family is None:
            family = _families[name] = _family(name, METRICS[name])
        child = _children[(name, *labels)] = family.labels(*labels) if labels else family
        return child


def _family(name: str, metric: Metric) -> Counter | Gauge | Histogram:
    if metric.how is None:
        return Counter(name, metric.about, metric.labels, registry=REGISTRY)
    if isinstance(metric.how, str):
        mode = cast("Any", metric.how)
        return Gauge(name, metric.about, metric.labels, registry=REGISTRY, multiprocess_mode=mode)
    return Histogram(name, metric.about, metric.labels, registry=REGISTRY, buckets=metric.how)
