"""The model in use, and how another one takes its place while the service answers.

The bundle's folder is looked at every few seconds. What lies there is verified, read by a child process first, loaded
and warmed up beside the model in use, and only then takes its place, in one assignment: every call is answered from
exactly one model. Whatever fails leaves the model in use where it is, and is told by the name of the check.

A file named by `POVRISK_KILL_SWITCH` switches the model off while it is there: the rules then answer alone.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from features.window import Micros
from models.bundle import Bundle, BundleRefused, Contents, ProbeLimits, bundle_of, contents_of
from models.bundle_contents import EVERY
from serving import metrics
from serving.clock import now
from serving.redaction import places
from serving.scoring import Scorer
from serving.settings import Settings

logger = logging.getLogger("povrisk.serving")
SWITCH_EVERY_S = 1.0
REMEMBERED = 16
# What a folder fails that is being copied or replaced just now.
UNFINISHED = frozenset({"files", "manifest", "signature", "hashes"})
_OfFile = tuple[int, int, int, int, int] | None


@dataclass(frozen=True)
class SlotState:
    """Which model answers, and what became of another one that was offered.

    `swaps` counts the models that took the place of another since the start, `refusals` those that did not. `refused`
    is the name of the check that the folder as it is now has failed, None while the folder holds the model in use;
    `refused_sha256` is that of the manifest there, None where it could not be verified. Moments are by the service's
    clock.
    """

    name: str
    version: str
    bundle_sha256: str
    loaded_at: Micros
    is_rules_only: bool
    swaps: int = 0
    refusals: int = 0
    refused: str | None = None
    refused_at: Micros | None = None
    refused_sha256: str | None = None


class Pair(NamedTuple):
    """Two ways to use one bundle: with its model, and by the rules alone."""

    model: Scorer
    rules: Scorer


class Slot:
    """Holds the scorer in use; whoever reads `scorer` reads it once for each piece of work.

    Raises `BundleRefused` where there is no bundle to begin with.
    """

    scorer: Scorer
    state: SlotState

    def __init__(self, folder: Path, settings: Settings, key: bytes | None) -> None:
        self._folder, self._settings, self._key = folder, settings, key
        self._limits = ProbeLimits(settings.probe_s, settings.probe_mb)
        self._proven: deque[str] = deque(maxlen=REMEMBERED)
        self._callbacks: list[Callable[[Scorer], None]] = []
        self._looking, self._changing, self._closed = threading.Lock(), threading.Lock(), threading.Event()
        self._threads: list[threading.Thread] = []
        self._settled: tuple[_OfFile, ...] | None = _prints(folder)
        self._unsettled: tuple[_OfFile, ...] | None = None
        self._is_off = _is_switched_off(settings, False)
        bundle = self._opened(contents_of(folder, key=key))
        self._use(self._warmed(bundle), self._state(bundle))

    def on_swap(self, callback: Callable[[Scorer], None]) -> None:
        """Have every further scorer told to `callback`, before the next one can take its place."""
        self._callbacks.append(callback)

    def watch(self) -> None:
        """Look at folder and switch from now on, each in a thread of its own: a new model may take its time."""
        jobs = []
        if self._settings.reload_s > 0:
            jobs.append((self.check, self._settings.reload_s))
        if self._settings.kill_switch:
            jobs.append((self.look_at_switch, SWITCH_EVERY_S))
        for job, every_s in jobs:
            thread = threading.Thread(target=self._repeat, args=(job, every_s), name="povrisk-slot", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Stop looking. What is in use stays in use."""
        self._closed.set()
        for thread in self._threads:
            thread.join(self._limits.seconds + SWITCH_EVERY_S)

    def check(self) -> SlotState:
        """Look at the folder; if it has changed, verify what is there and use it if it may be used.

        A folder that does not fit its own hashes may be one that is being copied: it is refused if it still is as it
        was at the next look.
        """
        with self._looking:
            seen = _prints(self._folder)
            if seen == self._settled:
                return self.state
            contents: Contents | None = None
            try:
                contents = contents_of(self._folder, key=self._key)
                self._offer(contents)
            except BundleRefused as refused:
                if contents is None and refused.check in UNFINISHED and seen != self._unsettled:
                    self._unsettled = seen
                    return self.state
                self._refuse(refused.check, contents)
            self._settled, self._unsettled = seen, None
            return self.state

    def look_at_switch(self) -> SlotState:
        """Switch the model off or on as the switch says."""
        is_off = _is_switched_off(self._settings, self._is_off)
        with self._changing:
            if is_off != self._is_off:
                self._is_off = is_off
                self._use(self._pair, dataclasses.replace(self.state, is_rules_only=is_off))
                logger.warning("the model was switched %s", "off; the rules answer alone" if is_off else "on again")
        return self.state

    def _offer(self, contents: Contents) -> None:
        """Use the bundle, unless it is the one in use. Raises `BundleRefused`."""
        state = self.state
        if contents.sha256 == state.bundle_sha256:
            with self._changing:
                self.state = dataclasses.replace(self.state, refused=None, refused_at=None, refused_sha256=None)
                metrics.bundle_refused(None)
            return
        bundle = self._opened(contents)
        refuse_other_use(bundle, self.scorer.bundle)
        pair = self._warmed(bundle)
        with self._changing:
            self._use(pair, self._state(bundle, swaps=state.swaps + 1, refusals=state.refusals))
        # Name and version are whatever the file says; the hash is ours.
        logger.info("another model is in use: %s", bundle.sha256)

    def _opened(self, contents: Contents) -> Bundle:
        bundle = bundle_of(contents, is_proven=contents.sha256 in self._proven, limits=self._limits)
        if contents.sha256 not in self._proven:
            self._proven.append(contents.sha256)
        return bundle

    def _warmed(self, bundle: Bundle) -> Pair:
        try:
            pair = Pair(
                Scorer(bundle, self._settings), Scorer(bundle, dataclasses.replace(self._settings, rules_only=True))
            )
            (pair.rules if self._settings.rules_only else pair.model).warm_up()
            is_as_published = bundle.scores_golden_rows()
        except Exception as error:
            logger.error("a model could not be warmed up\n%s", places(error))
            raise BundleRefused("warm-up: an invented household could not be assessed", "warm-up") from None
        if not is_as_published:
            raise BundleRefused("golden rows: scores differ", "golden rows")
        return pair

    def _state(self, bundle: Bundle, swaps: int = 0, refusals: int = 0) -> SlotState:
        moment = now(self._settings)
        return SlotState(bundle.name, bundle.version, bundle.sha256, moment, self._is_off, swaps, refusals)

    def _use(self, pair: Pair, state: SlotState) -> None:
        self._pair = pair
        self.scorer = pair.rules if self._is_off else pair.model
        self.state = state
        for callback in self._callbacks:
            callback(self.scorer)
        metrics.model_in_use(self.scorer.bundle, rules_only=self._is_off)

    def _refuse(self, check: str, contents: Contents | None) -> None:
        logger.warning("a model was refused: %s; the one in use stays", check)
        metrics.bundle_refused(check)
        with self._changing:
            self.state = dataclasses.replace(
                self.state,
                refusals=self.state.refusals + 1,
                refused=check,
                refused_at=now(self._settings),
                refused_sha256=None if contents is None else contents.sha256,
            )

    def _repeat(self, job: Callable[[], object], every_s: float) -> None:
        while not self._closed.wait(every_s):
            try:
                job()
            except Exception as error:
                # The next look may do better; a thread that ended would never look again.
                logger.error("the model's folder or switch could not be looked at\n%s", places(error))


def refuse_other_use(bundle: Bundle, used: Bundle) -> None:
    """Refuse a bundle that would not answer the same question about the same households. Raises `BundleRefused`."""
    theirs, ours = (
        (each.catalogue.name, each.currency, each.time_zone, each.label, each.manifest["label"]["horizon_months"])
        for each in (bundle, used)
    )
    if theirs != ours:
        raise BundleRefused("use: is for another catalogue, currency, time zone or outcome than the one in use", "use")


def _prints(folder: Path) -> tuple[_OfFile, ...]:
    """What changes whenever the folder or a file of the bundle does: nothing is read for it."""
    return tuple(_print(place) for place in (folder, *(folder / name for name in EVERY)))


def _print(place: Path) -> _OfFile:
    try:
        found = place.stat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _is_switched_off(settings: Settings, before: bool) -> bool:
    """Whether the rules answer alone. A switch that cannot be looked at stays as it was."""
    if settings.rules_only:
        return True
    if not settings.kill_switch:
        return False
    try:
        os.lstat(settings.kill_switch)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return before
    return True
