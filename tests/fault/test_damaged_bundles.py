"""Damaged model files: never a death of this process, never another score.

With the hashes left as they were, damage is refused before anything is parsed. With hashes that fit the damage, as
somebody without the key could make them, a child process meets it first: the bundle is refused, or the damage does
no harm.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import lightgbm as lgb
import numpy as np
import pytest

import models.bundle
import models.probe
from models.bundle import MANIFEST, MODEL, BundleRefused, ProbeLimits, read_bundle, verify_bundle
from tests.bundles import small_booster, small_bundle, small_values, tampered

KEY = b"the publisher's"
LIMITS = ProbeLimits(seconds=10, megabytes=2048)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few golden rows, so that some branches are taken by none of them."""
    return small_bundle(tmp_path_factory.mktemp("small") / "bundle", golden_values=small_values(101, 4))


@pytest.fixture(scope="module")
def model_text(folder: Path) -> str:
    return (folder / MODEL).read_text()


def no_child(text: str, values: object, limits: object) -> None:
    raise AssertionError("a model file was parsed although its hash does not fit")


def truncated(content: bytes) -> list[bytes]:
    return [content[: len(content) * i // 40] for i in range(40)]


def flipped(content: bytes) -> list[bytes]:
    random_ = random.Random(7)
    damaged = []
    for _ in range(60):
        at = random_.randrange(len(content))
        damaged.append(content[:at] + bytes([content[at] ^ random_.randrange(1, 256)]) + content[at + 1 :])
    return damaged


@pytest.mark.parametrize("damage", [truncated, flipped])
def test_damage_is_refused_before_anything_is_parsed(
    damage: Callable[[bytes], list[bytes]], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.bundle, "margins_in_child", no_child)
    other = tampered(folder, tmp_path / "other", {})
    for content in damage((folder / MODEL).read_bytes()):
        (other / MODEL).write_bytes(content)
        with pytest.raises(BundleRefused, match=r"^hashes: changed since publication: model\.txt$"):
            read_bundle(other)


def test_another_models_file_is_refused_before_it_is_parsed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models.bundle, "margins_in_child", no_child)
    other = tampered(folder, tmp_path / "other", {})
    (other / MODEL).write_bytes((small_bundle(tmp_path / "valid too", seed=2) / MODEL).read_bytes())
    with pytest.raises(BundleRefused, match=r"^hashes"):
        read_bundle(other)


def test_with_a_key_damage_whose_hashes_fit_is_refused_before_it_is_parsed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.bundle.copy_bundle(folder, tmp_path / "signed", key=KEY)
    monkeypatch.setattr(models.bundle, "margins_in_child", no_child)
    for content in truncated((folder / MODEL).read_bytes()):
        other = tampered(tmp_path / "signed", tmp_path / "other", {MODEL: content})
        with pytest.raises(BundleRefused, match=r"^signature"):
            read_bundle(other, key=KEY)


# --- hashes that fit the damage -----------------------------------------------------------------------------------


def with_line(text: str, tree: int, name: str, change: Callable[[list[str]], object]) -> str:
    """The model with one line of one tree changed, and the size of the tree in the header made to fit."""
    blocks = text.split("Tree=")
    found = re.search(rf"^{name}=(.*)$", blocks[tree + 1], re.M)
    assert found is not None
    numbers = found[1].split(" ")
    change(numbers)
    line = f"{name}={' '.join(numbers)}"
    blocks[tree + 1] = blocks[tree + 1].replace(found[0], line)
    sizes = re.findall(r"^tree_sizes=(.*)$", blocks[0], re.M)[0].split(" ")
    sizes[tree] = str(int(sizes[tree]) + len(line) - len(found[0]))
    blocks[0] = re.sub(r"^tree_sizes=.*$", f"tree_sizes={' '.join(sizes)}", blocks[0], flags=re.M)
    return "Tree=".join(blocks)


def unvisited(folder: Path) -> tuple[int, int, int]:
    """A tree, a leaf that no golden row falls into, and the node whose left child it is."""
    golden = json.loads((folder / MANIFEST).read_text("utf-8"))["golden"]["values"]
    text = (folder / MODEL).read_text()
    leaves = lgb.Booster(model_str=text).predict(np.array(golden, np.float64), pred_leaf=True).astype(int)
    for tree, block in enumerate(text.split("Tree=")[1:]):
        children = [int(c) for c in re.findall(r"^left_child=(.*)$", block, re.M)[0].split(" ")]
        for node, child in enumerate(children):
            if child < 0 and -child - 1 not in leaves[:, tree]:
                return tree, -child - 1, node
    raise AssertionError("every left leaf is visited; take fewer golden rows")


def assign(at: int, value: str) -> Callable[[list[str]], object]:
    return lambda numbers: numbers.__setitem__(at, value)


DAMAGES: dict[str, Callable[[str, Path], str]] = {
    "empty": lambda text, _: "",
    "cut in the header": lambda text, _: text[: text.index("Tree=0") // 2],
    "cut in the first tree": lambda text, _: text[: text.index("split_gain")],
    "cut in the last tree": lambda text, _: text[: text.rindex("leaf_weight")],
    "a tree left out": lambda text, _: text[: text.index("Tree=2")] + text[text.index("Tree=3") :],
    "a node that is its own child": lambda text, f: with_line(
        text, unvisited(f)[0], "left_child", assign(unvisited(f)[2], str(unvisited(f)[2]))
    ),
    "a child that does not exist": lambda text, f: with_line(
        text, unvisited(f)[0], "left_child", assign(unvisited(f)[2], "900000000")
    ),
    "more leaves than there are": lambda text, _: with_line(text, 1, "num_leaves", assign(0, "70000")),
    "another threshold at the root": lambda text, _: with_line(text, 0, "threshold", assign(0, "1e300")),
    "a text for a number": lambda text, _: with_line(text, 0, "leaf_value", assign(0, "zero")),
    "another valid model": lambda text, _: small_booster(seed=2).model_to_string(),
    "another column": lambda text, _: with_line(text, 0, "split_feature", assign(0, "183")),
    "noise in the parameters": lambda text, _: text.replace("[boosting: gbdt]", "[boosting? gbdt]"),
    "a parameter that nobody knows": lambda text, _: text.replace("[enable_bundle", "[enavle_bundle"),
    "a weight that only training needs": lambda text, _: with_line(text, 0, "leaf_weight", assign(0, "7")),
}
HARMLESS = {"a weight that only training needs"}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_whose_hashes_fit_is_refused_or_harmless(
    name: str, folder: Path, model_text: str, tmp_path: Path
) -> None:
    damaged = DAMAGES[name](model_text, folder)
    assert damaged != model_text
    checks = verify_bundle(tampered(folder, tmp_path / "other", {MODEL: damaged.encode()}), limits=LIMITS)
    # "content": what the child said is no answer, because LightGBM wrote a warning into it.
    refused = [check.name for check in checks if not check.passed]
    assert refused == [] if name in HARMLESS else refused in (["parse"], ["golden rows"], ["content"])
    if not refused:
        values = small_values(seed=9, n=2_000)
        scores = [
            lgb.Booster(model_str=text).predict(values, raw_score=True).tobytes() for text in (damaged, model_text)
        ]
        assert scores[0] == scores[1]


def test_a_child_that_takes_too_long_is_ended_and_its_model_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    children: list[subprocess.Popen[bytes]] = []

    class Watched(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *given: object, **more: object) -> None:
            super().__init__(*given, **more)  # type: ignore[arg-type, call-overload]
            children.append(self)

    monkeypatch.setattr(models.probe.subprocess, "Popen", Watched)
    with pytest.raises(BundleRefused, match=r"^parse: a child process could not read the model"):
        read_bundle(folder, limits=ProbeLimits(seconds=0.05))
    assert [child.poll() is None for child in children] == [False]


@pytest.mark.parametrize("answer", ["", "null", "[1, 2", "[LightGBM] [Warning] odd\n[0.1]", '{"margins": []}', "[NaN]"])
def test_an_answer_of_the_child_that_is_none_is_refused(
    answer: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the child that says what it is told to."""
    (tmp_path / "child.py").write_text(f"import sys; sys.stdin.read(); sys.stdout.write({answer!r})")
    real = subprocess.run

    def run(command: list[str], **more: object) -> object:
        return real([sys.executable, str(tmp_path / "child.py")], **more)  # type: ignore[call-overload]

    monkeypatch.setattr(models.probe.subprocess, "run", run)
    with pytest.raises(BundleRefused, match=r"^(parse|golden rows|content): "):
        read_bundle(folder)
