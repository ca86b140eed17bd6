"""Whatever is put into the bundle's folder while the service answers: a whole model takes over, or the old one stays.

`POVRISK_TEST_DAMAGES` is how many damaged models whose hashes fit the damage are tried (each may cost a process).
"""

from __future__ import annotations

import gc
import logging
import os
import random
import re
import shutil
import threading
import time
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

import models.bundle
import models.bundle_contents
import models.probe
from models.bundle import MANIFEST, MODEL, Bundle, BundleRefused, ProbeLimits, copy_bundle
from serving.messages import Household
from serving.scoring import Scorer
from serving.settings import Settings
from serving.slot import Slot
from tests.bundles import FACTS, HOUSEHOLD, scoring_bundle, tampered

KEY = b"the publisher's"
DAMAGES = int(os.environ.get("POVRISK_TEST_DAMAGES", "30"))
SETTINGS = Settings(reload_s=0.05, today="2026-11-02")
ASKED = [Household.model_validate(HOUSEHOLD)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scoring_bundle(tmp_path_factory.mktemp("first") / "bundle")


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scoring_bundle(tmp_path_factory.mktemp("second") / "bundle", seed=2)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "in use"


@pytest.fixture
def parsed_here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No child process, for what is not about it; the models that a child would have read."""
    read: list[str] = []

    def parsed(text: str, values: list[list[float | None]], limits: ProbeLimits) -> list[float]:
        read.append(text)
        booster = lgb.Booster(model_str=text)
        return np.asarray(booster.predict(np.array(values, np.float64), raw_score=True, num_threads=1)).tolist()

    monkeypatch.setattr(models.bundle, "margins_in_child", parsed)
    return read


def no_child(text: str, values: object, limits: object) -> None:
    raise AssertionError("a model file was parsed that had to be refused before")


def slot_over(place: Path, source: Path, key: bytes | None = None, settings: Settings = SETTINGS) -> Slot:
    copy_bundle(source, place, key=key)
    return Slot(place, settings, key)


def told(scorer: Scorer) -> dict[str, Any]:
    return scorer.score(ASKED)[0]


def truncated(content: bytes, n: int = 200) -> list[bytes]:
    return [content[: len(content) * i // n] for i in range(n)]


def flipped(content: bytes, n: int = 500) -> list[bytes]:
    random_ = random.Random(11)
    damaged = []
    for _ in range(n):
        at = random_.randrange(len(content))
        damaged.append(content[:at] + bytes([content[at] ^ random_.randrange(1, 256)]) + content[at + 1 :])
    return damaged


# --- damage -------------------------------------------------------------------------------------------------------


def test_damaged_files_are_refused_before_they_are_parsed_and_the_old_model_answers(
    first: Path, second: Path, place: Path, parsed_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = slot_over(place, first)
    before, answer, margins = slot.scorer, told(slot.scorer), golden_margins(slot.scorer)
    monkeypatch.setattr(models.bundle, "margins_in_child", no_child)
    whole = (first / MODEL).read_bytes()
    damages = [*truncated(whole), *flipped(whole), b"", (second / MODEL).read_bytes()]
    for n, content in enumerate(damages, 1):
        (place / MODEL).write_bytes(content)
        slot.check()
        assert slot.scorer is before
        if n % 20 == 0 or len(content) in (0, len((second / MODEL).read_bytes())):
            refusals = slot.state.refusals
            state = slot.check()
            assert (state.refused, state.refusals, state.swaps) == ("hashes", refusals + 1, 0)
            assert golden_margins(slot.scorer) == margins
    assert told(slot.scorer) == answer
    (place / MODEL).write_bytes(whole)
    assert replace(slot.check(), loaded_at=0).refused is None
    assert slot.scorer is before


@pytest.mark.parametrize("name", [*models.bundle_contents.HASHED, MANIFEST])
def test_a_file_that_is_empty_or_gone_or_no_file_is_refused(
    name: str, first: Path, place: Path, parsed_here: list[str]
) -> None:
    slot = slot_over(place, first)
    before = slot.scorer
    (place / name).write_bytes(b"")
    slot.check()
    assert slot.check().refused == ("manifest" if name == MANIFEST else "hashes")
    (place / name).unlink()
    slot.check()
    assert slot.check().refused == "files"
    os.mkfifo(place / name)
    slot.check()
    assert slot.check().refused == "files"
    assert (slot.scorer, slot.state.swaps, slot.state.refusals) == (before, 0, 3)


def test_with_a_key_whatever_it_did_not_sign_is_refused_before_it_is_parsed(
    first: Path, second: Path, place: Path, tmp_path: Path, parsed_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Damage whose hashes were made to fit, and other whole bundles, unsigned or signed by somebody else."""
    slot = slot_over(place, first, KEY)
    before, margins = slot.scorer, golden_margins(slot.scorer)
    copy_bundle(second, tmp_path / "foreign", key=b"another key")
    monkeypatch.setattr(models.bundle, "margins_in_child", no_child)
    whole = (first / MODEL).read_bytes()
    shutil.copytree(place, tmp_path / "signed")
    for content in [*truncated(whole, 20), *flipped(whole, 60)]:
        replaced(place, tampered(tmp_path / "signed", tmp_path / "damaged", {MODEL: content}))
        slot.check()
        assert slot.check().refused == "signature"
    for other in (second, tmp_path / "foreign"):
        replaced(place, other)
        slot.check()
        assert slot.check().refused == "signature"
    assert slot.scorer is before
    assert golden_margins(slot.scorer) == margins
    monkeypatch.undo()
    copy_bundle(second, place, key=KEY)
    assert slot.check().swaps == 1


def test_damage_whose_hashes_fit_kills_a_child_at_most(first: Path, place: Path, tmp_path: Path) -> None:
    """As somebody without the key could make it, where no key is set. What is not refused scores as the file says, and
    the golden rows as they were; whether another threshold is damage or a better model, only a signature can tell."""
    slot = slot_over(place, first)
    before, margins = slot.scorer, golden_margins(slot.scorer)
    whole = (first / MODEL).read_bytes()
    trees = whole.index(b"Tree=0"), whole.index(b"end of trees")
    within = [*flipped(whole[trees[0] : trees[1]], DAMAGES // 2)]
    damages = [*truncated(whole, DAMAGES // 4), *flipped(whole, DAMAGES // 4)]
    damages += [whole[: trees[0]] + each + whole[trees[1] :] for each in within]
    refused = []
    for content in damages:
        replaced(place, tampered(first, tmp_path / "damaged", {MODEL: content}))
        swaps = slot.state.swaps
        state = slot.check()
        if state.swaps > swaps:
            assert golden_margins(slot.scorer) == margins
            replaced(place, first)
            slot.check()
        else:
            refused.append(state.refused)
            assert slot.scorer.bundle.sha256 == before.bundle.sha256
    assert set(refused) <= {"parse", "golden rows", "content", "contributions"}
    assert len(refused) >= len(damages) // 2


def test_a_model_that_hangs_is_given_up_while_the_old_one_answers(
    first: Path, second: Path, place: Path, parsed_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = slot_over(place, first, settings=replace(SETTINGS, probe_s=2.0))
    monkeypatch.setattr(models.bundle, "margins_in_child", models.probe.margins_in_child)
    monkeypatch.setattr(models.bundle, "refuse_damaged", lambda text: None)
    text = (second / MODEL).read_text()
    # As long as before, so that the sizes in the header fit: "-1" becomes "00".
    cycle = re.sub(r"(?<=^left_child=)\S+", lambda found: "0" * len(found[0]), text, count=1, flags=re.M)
    replaced(place, tampered(second, place.with_name("cycle"), {MODEL: cycle.encode()}))
    looking = threading.Thread(target=slot.check)
    begun = time.monotonic()
    looking.start()
    answers = []
    while looking.is_alive():
        answers.append(told(slot.scorer)["model"]["bundle_sha256"])
    assert time.monotonic() - begun > 2.0, "the model did not hang"
    assert slot.state.refused == "parse"
    assert set(answers) == {slot.state.bundle_sha256}


def test_the_child_gets_no_more_memory_than_it_may_have(first: Path, place: Path) -> None:
    with pytest.raises(BundleRefused, match=r"^parse"):
        slot_over(place, first, settings=replace(SETTINGS, probe_mb=60))


# --- another model ------------------------------------------------------------------------------------------------


def test_another_whole_model_takes_its_place_and_the_next_answer_is_its(
    first: Path, second: Path, place: Path, parsed_here: list[str]
) -> None:
    slot = slot_over(place, first)
    heard: list[Scorer] = []
    slot.on_swap(heard.append)
    before = told(slot.scorer)
    copy_bundle(second, place)
    state = slot.check()
    after = told(slot.scorer)
    assert (state.swaps, state.refusals, state.refused) == (1, 0, None)
    assert heard == [slot.scorer]
    assert after["model"] == {"name": state.name, "version": state.version, "bundle_sha256": state.bundle_sha256}
    assert before["probability"] != after["probability"] is not None
    assert after == told(Scorer(models.bundle.read_bundle(second), SETTINGS))


def test_a_folder_that_has_not_changed_is_not_read_again(
    first: Path, second: Path, place: Path, parsed_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = slot_over(place, first)
    reads: list[Path] = []
    real = models.bundle_contents._read

    def read(folder: Path, checks: Any) -> dict[str, bytes]:
        reads.append(folder)
        return real(folder, checks)

    monkeypatch.setattr(models.bundle_contents, "_read", read)
    for _ in range(3):
        slot.check()
    assert reads == []
    (place / MODEL).write_bytes(b"")
    for _ in range(5):
        slot.check()
    assert (len(reads), slot.state.refusals) == (2, 1)


def test_a_model_read_before_needs_no_second_child(
    first: Path, second: Path, place: Path, parsed_here: list[str]
) -> None:
    slot = slot_over(place, first)
    for source in (second, first, second, first):
        copy_bundle(source, place)
        slot.check()
    assert (slot.state.swaps, len(parsed_here)) == (4, 2)


def test_a_symbolic_link_may_be_put_to_another_folder(
    first: Path, second: Path, tmp_path: Path, parsed_here: list[str]
) -> None:
    link = tmp_path / "bundle"
    link.symlink_to(first)
    slot = Slot(link, SETTINGS, None)
    (tmp_path / "next").symlink_to(second)
    (tmp_path / "next").rename(link)
    assert slot.check().swaps == 1


def test_a_model_for_something_else_is_refused(first: Path, place: Path, parsed_here: list[str]) -> None:
    slot = slot_over(place, first)
    for facts in (
        {**FACTS, "data": {**FACTS["data"], "currency": "ARS"}},
        {**FACTS, "data": {**FACTS["data"], "time_zone": "America/Lima"}},
        {**FACTS, "label": {**FACTS["label"], "name": "L2"}},
        {**FACTS, "label": {**FACTS["label"], "horizon_months": 24}},
    ):
        scoring_bundle(place, facts=facts)
        assert slot.check().refused == "use"
    assert slot.state.swaps == 0


def test_a_model_that_cannot_assess_anybody_is_refused(
    first: Path, second: Path, place: Path, parsed_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = slot_over(place, first)
    copy_bundle(second, place)
    with monkeypatch.context() as patch:
        patch.setattr("serving.scoring.assess", lambda *given, **more: 1 / 0)
        assert slot.check().refused == "warm-up"
    assert slot.scorer.bundle.sha256 == slot.state.bundle_sha256 == models.bundle.contents_of(first).sha256


def test_a_service_without_a_whole_model_does_not_begin(first: Path, place: Path) -> None:
    copy_bundle(first, place)
    (place / MODEL).write_bytes(b"")
    for folder in (place, place.with_name("nowhere")):
        with pytest.raises(BundleRefused):
            Slot(folder, SETTINGS, None)


# --- folders that are being changed -------------------------------------------------------------------------------


def test_a_folder_that_is_being_copied_is_left_alone_until_it_is_whole(
    first: Path, second: Path, place: Path, parsed_here: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    slot = slot_over(place, first)
    for name in sorted(path.name for path in second.iterdir()):
        content = (second / name).read_bytes()
        for half in (content[: len(content) // 2], content):
            (place / name).write_bytes(half)
            slot.check()
            assert slot.state.refused is None
    assert slot.state.swaps == 1


def test_a_folder_that_stays_half_copied_is_refused_once_and_taken_when_it_is_whole(
    first: Path, second: Path, place: Path, parsed_here: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    slot = slot_over(place, first)
    (place / MANIFEST).write_bytes((second / MANIFEST).read_bytes())
    with caplog.at_level(logging.INFO, logger="povrisk.serving"):
        for _ in range(4):
            slot.check()
    assert [record.getMessage() for record in caplog.records] == ["a model was refused: hashes; the one in use stays"]
    assert (slot.state.refused, slot.state.refusals) == ("hashes", 1)
    for path in second.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    state = slot.check()
    assert (state.swaps, state.refused, state.refused_at) == (1, None, None)


def test_a_missing_folder_is_told_and_its_return_too(first: Path, place: Path, parsed_here: list[str]) -> None:
    slot = slot_over(place, first)
    before = slot.scorer
    place.rename(place.with_name("away"))
    assert slot.check().refused is None, "for the moment between two renames"
    assert slot.check().refused == "files"
    place.with_name("away").rename(place)
    assert (slot.check().refused, slot.scorer) == (None, before)


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize("how", ["renamed", "overwritten"])
def test_a_folder_replaced_while_it_is_read_gives_one_model_or_none(
    how: str,
    at: int,
    first: Path,
    second: Path,
    place: Path,
    tmp_path: Path,
    parsed_here: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The folder is renamed, or each file is overwritten in place, after so many files were read."""
    third = scoring_bundle(tmp_path / "third", seed=3)
    known = {models.bundle.contents_of(folder).sha256 for folder in (first, second, third)}
    slot = slot_over(place, first)
    copy_bundle(second, place)
    real, reads = models.bundle_contents._bytes, iter(range(100))

    def bytes_of(name: str, folder: int) -> bytes | None:
        if next(reads) == at:
            (copy_bundle if how == "renamed" else overwritten)(third, place)
        return real(name, folder)

    with monkeypatch.context() as patch:
        patch.setattr(models.bundle_contents, "_bytes", bytes_of)
        slot.check()
    assert told(slot.scorer)["model"]["bundle_sha256"] in known
    assert slot.state.refused is None
    slot.check()
    assert slot.scorer.bundle.sha256 == models.bundle.contents_of(third).sha256


# --- the switch, the thread, the memory ---------------------------------------------------------------------------


def test_the_switch_leaves_the_rules_to_answer_and_gives_the_model_back(
    first: Path, second: Path, place: Path, tmp_path: Path, parsed_here: list[str]
) -> None:
    switch = tmp_path / "off"
    slot = slot_over(place, first, settings=replace(SETTINGS, kill_switch=str(switch)))
    heard: list[Scorer] = []
    slot.on_swap(heard.append)
    with_model = told(slot.scorer)
    assert slot.look_at_switch().is_rules_only is False
    switch.touch()
    assert slot.look_at_switch().is_rules_only is True
    ruled = told(slot.scorer)
    assert (ruled["status"], ruled["probability"]) == ("rules_only", None)
    assert ruled == told(Scorer(slot.scorer.bundle, replace(SETTINGS, rules_only=True)))
    copy_bundle(second, place)
    assert slot.check().swaps == 1
    assert told(slot.scorer)["status"] == "rules_only", "another model is not switched on by its arrival"
    switch.unlink()
    assert slot.look_at_switch().is_rules_only is False
    assert told(slot.scorer)["probability"] not in (None, with_model["probability"])
    assert [scorer.handling.rules_only for scorer in heard] == [True, True, False]


def test_a_switch_that_cannot_be_looked_at_stays_as_it_is(
    first: Path, place: Path, tmp_path: Path, parsed_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = slot_over(place, first, settings=replace(SETTINGS, kill_switch=str(tmp_path / "no folder" / "off")))
    assert slot.look_at_switch().is_rules_only is False
    switch = tmp_path / "no folder"
    switch.mkdir()
    (switch / "off").touch()
    assert slot.look_at_switch().is_rules_only is True

    def denied(path: object) -> None:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr("serving.slot.os.lstat", denied)
        assert slot.look_at_switch().is_rules_only is True
    shutil.rmtree(switch)
    assert slot.look_at_switch().is_rules_only is False


def test_the_thread_takes_a_new_model_and_goes_on_after_a_mishap(
    first: Path, second: Path, place: Path, tmp_path: Path, parsed_here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    slot = slot_over(place, first)
    real, mishaps = slot.check, iter([True])

    def check() -> object:
        if next(mishaps, False):
            raise OSError("something of the file system")
        return real()

    monkeypatch.setattr(slot, "check", check)
    swapped = threading.Event()
    slot.on_swap(lambda scorer: swapped.set())
    slot.watch()
    copy_bundle(second, place)
    assert swapped.wait(30)
    slot.close()
    copy_bundle(first, place)
    time.sleep(3 * SETTINGS.reload_s)
    assert slot.state.swaps == 1


def test_a_model_that_was_replaced_is_forgotten(first: Path, second: Path, place: Path, parsed_here: list[str]) -> None:
    slot = slot_over(place, first)
    former: list[weakref.ref[Bundle]] = []
    for source in (second, first, second):
        former.append(weakref.ref(slot.scorer.bundle))
        told(slot.scorer)
        copy_bundle(source, place)
        slot.check()
    gc.collect()
    assert [each() for each in former] == [None] * 3


# --- what the child is given --------------------------------------------------------------------------------------


def test_the_child_knows_no_token_no_key_and_no_store(
    first: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("POVRISK_TOKENS", "POVRISK_BUNDLE_KEY", "POVRISK_STORE", "POVRISK_SESSION_KEY", "PGPASSWORD"):
        monkeypatch.setenv(name, "secret")
    given: list[dict[str, str]] = []
    real = models.probe.subprocess.run

    def run(command: list[str], **more: Any) -> Any:
        given.append(more["env"])
        assert "secret" not in " ".join(command)
        return real(command, **more)

    monkeypatch.setattr(models.probe.subprocess, "run", run)
    models.bundle.read_bundle(first)
    assert set(given[0]) <= {*models.probe.PASSED_ON, *models.probe.ONE_THREAD, "PYTHONPATH"}
    assert "secret" not in given[0].values()


def golden_margins(scorer: Scorer) -> list[float]:
    values = np.array(scorer.bundle.manifest["golden"]["values"], np.float64)
    return scorer.bundle.model.margins(values).tolist()


def replaced(place: Path, source: Path) -> None:
    """The folder's files, signature and all, are those of the source from now on."""
    beside = place.with_name("beside")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(source, beside)
    shutil.rmtree(place)
    beside.rename(place)


def overwritten(source: Path, place: Path) -> None:
    for path in source.iterdir():
        (place / path.name).write_bytes(path.read_bytes())
