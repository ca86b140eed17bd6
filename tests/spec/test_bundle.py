"""The model bundle: written whole or not at all, and read only when every check is passed."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.boosted import BoostedModel, trees_digest
from models.bundle import (
    CALIBRATION,
    FEATURES,
    HASHED,
    MANIFEST,
    MODEL,
    SIGNATURE,
    Bundle,
    BundleRefused,
    copy_bundle,
    read_bundle,
    verify_bundle,
    write_bundle,
)
from tests.bundles import CORE, small_booster, small_bundle, small_parts, small_values, tampered

KEY = b"a key that only the publisher knows"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle(tmp_path_factory.mktemp("small") / "bundle")


@pytest.fixture(scope="module")
def signed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("signed") / "bundle"
    copy_bundle(folder, target, key=KEY)
    return target


@pytest.fixture(scope="module")
def bundle(folder: Path) -> Bundle:
    return read_bundle(folder)


@pytest.fixture
def trusted_child(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """A child process that has nothing to object to, for checks that come after it."""
    margins = json.loads((folder / MANIFEST).read_text("utf-8"))["golden"]["margins"]
    monkeypatch.setattr("models.bundle.margins_in_child", lambda model_text, values, limits: margins)


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target


def failed(folder: Path, key: bytes | None = None) -> tuple[str, str]:
    """The check that a bundle fails, which `read_bundle` names too."""
    checks = verify_bundle(folder, key=key)
    assert [check.passed for check in checks] == [True] * (len(checks) - 1) + [False]
    if "parse" not in [check.name for check in checks]:  # no second child process only to ask again
        with pytest.raises(BundleRefused, match=f"^{checks[-1].name}: "):
            read_bundle(folder, key=key)
    return checks[-1].name, checks[-1].detail


def test_what_was_written_is_read(bundle: Bundle) -> None:
    parts = small_parts()
    assert bundle.catalogue == CORE
    assert bundle.catalogue.digest == CORE.digest
    assert bundle.calibration == parts["calibration"]
    assert bundle.bands == parts["bands"]
    assert bundle.base_rate == 0.25
    assert bundle.importance.tobytes() == parts["importance"].tobytes()
    assert bundle.model.had_unknown.tolist() == parts["had_unknown"].tolist()
    assert bundle.model.names == CORE.names
    assert (bundle.name, bundle.version, bundle.label) == ("small", "1", "L1")
    assert (bundle.currency, bundle.time_zone, bundle.regions) == ("CNY", "Asia/Shanghai", ("demo",))
    assert bundle.sources == {"医保": [5, 120]}
    values = small_values(seed=5)
    assert bundle.model.margins(values).tobytes() == small_booster().predict(values, raw_score=True).tobytes()


def test_a_bundle_is_the_same_bytes_for_the_same_parts(folder: Path, tmp_path: Path) -> None:
    sha256 = write_bundle(tmp_path / "again", **small_parts())
    assert sha256 == write_bundle(tmp_path / "once more", **small_parts())
    for name in (*HASHED, MANIFEST):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "again").iterdir()) == sorted((*HASHED, MANIFEST))


def test_its_sha256_is_its_identity(bundle: Bundle, folder: Path, tmp_path: Path) -> None:
    assert write_bundle(tmp_path / "same", **small_parts()) == bundle.sha256
    assert write_bundle(tmp_path / "other", **small_parts(base_rate=0.26)) != bundle.sha256
    manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    assert manifest["trees_sha256"] == trees_digest((folder / MODEL).read_text())
    assert len(manifest["golden"]["margins"]) == len(manifest["golden"]["values"]) == 32


def test_every_check_is_told(signed: Path) -> None:
    checks = verify_bundle(signed, key=KEY)
    assert all(check.passed and check.detail for check in checks)
    assert [check.name for check in checks] == [
        "files",
        "signature",
        "manifest",
        "hashes",
        "contract",
        "parse",
        "golden rows",
        "contributions",
        "calibration",
    ]


# --- who published it ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("trusted_child")
def test_a_signed_bundle_is_read_with_its_key_and_without_one(folder: Path, signed: Path) -> None:
    for name in (*HASHED, MANIFEST):
        assert (signed / name).read_bytes() == (folder / name).read_bytes()
    assert read_bundle(signed, key=KEY).sha256 == read_bundle(signed).sha256 == read_bundle(folder).sha256


@pytest.mark.parametrize("key", [b"another key", b"", KEY + b"!", KEY[:-1]])
def test_another_key_is_refused(key: bytes, signed: Path) -> None:
    assert failed(signed, key)[0] == "signature"


def test_a_missing_or_foreign_signature_is_refused(folder: Path, signed: Path, tmp_path: Path) -> None:
    assert failed(folder, KEY) == ("signature", "is missing or does not match the key")
    other = copied(signed, tmp_path / "other")
    small_bundle(tmp_path / "second", base_rate=0.5)
    copy_bundle(tmp_path / "second", tmp_path / "second signed", key=KEY)
    for content in (b"", b"\xff\xfe", b"0" * 64, (tmp_path / "second signed" / SIGNATURE).read_bytes()):
        (other / SIGNATURE).write_bytes(content)
        assert failed(other, KEY)[0] == "signature"


def test_the_signature_covers_every_byte_of_the_manifest(signed: Path, tmp_path: Path) -> None:
    other = copied(signed, tmp_path / "other")
    whole = (signed / MANIFEST).read_bytes()
    for at in range(0, len(whole), len(whole) // 50):
        (other / MANIFEST).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert failed(other, KEY)[0] == "signature"
        (other / MANIFEST).write_bytes(whole[:at])
        assert failed(other, KEY)[0] == "signature"


# --- what it holds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HASHED)
def test_one_changed_byte_is_refused_by_the_name_of_its_file(name: str, folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "other")
    whole = (folder / name).read_bytes()
    for at in range(0, len(whole), len(whole) // 25):
        (other / name).write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert failed(other) == ("hashes", f"changed since publication: {name}")
    (other / name).write_bytes(whole + b" ")
    assert failed(other) == ("hashes", f"changed since publication: {name}")


@pytest.mark.parametrize("name", [*HASHED, MANIFEST])
def test_a_missing_file_is_named(name: str, folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "other")
    (other / name).unlink()
    assert failed(other) == ("files", f"missing {name}")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    assert failed(tmp_path)[0] == "files"
    assert failed(tmp_path / "nowhere")[0] == "files"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b"{}", b'{"files": 3}', b'{"files": {}, "schema": "bundle.v2"}', b"\xff\xfe"]
)
def test_a_manifest_that_cannot_be_read_is_refused(content: bytes, folder: Path, tmp_path: Path) -> None:
    other = copied(folder, tmp_path / "other")
    (other / MANIFEST).write_bytes(content)
    assert failed(other)[0] == "manifest"


def test_another_schema_is_refused(folder: Path, tmp_path: Path) -> None:
    assert failed(tampered(folder, tmp_path / "t", {}, {"schema": "bundle.v3"})) == (
        "manifest",
        "schema is not bundle.v2",
    )


def features_with(change: Callable[[dict[str, Any]], object], folder: Path) -> dict[str, bytes]:
    written = json.loads((folder / FEATURES).read_text("utf-8"))
    change(written)
    return {FEATURES: json.dumps(written, ensure_ascii=False).encode()}


@pytest.mark.parametrize(
    "change",
    [
        lambda w: w["catalogue"]["features"][3].update(bounds=[0, 7]),
        lambda w: w["catalogue"]["features"].insert(0, w["catalogue"]["features"].pop(1)),
        lambda w: w["catalogue"]["kinds"][0].update(is_scheduled=True),
        lambda w: w.update(digest="0" * 64),
        lambda w: w["importance"].pop(),
        lambda w: w["had_unknown"].append(True),
    ],
)
def test_a_feature_contract_that_does_not_fit_its_digest_is_refused(
    change: Callable[[dict[str, Any]], object], folder: Path, tmp_path: Path
) -> None:
    other = tampered(folder, tmp_path / "t", features_with(change, folder))
    assert failed(other) == ("contract", "the feature contract does not match its digest")


def golden_with(folder: Path, name: str, change: Callable[[list[Any]], object]) -> dict[str, Any]:
    golden = json.loads((folder / MANIFEST).read_text("utf-8"))["golden"]
    change(golden[name])
    return {"golden": golden}


def nudge(numbers: list[float]) -> None:
    numbers[7] = float(np.nextafter(numbers[7], 1))


@pytest.mark.parametrize(("name", "check"), [("margins", "golden rows"), ("probabilities", "calibration")])
@pytest.mark.usefixtures("trusted_child")
def test_golden_rows_are_compared_to_the_last_bit(name: str, check: str, folder: Path, tmp_path: Path) -> None:
    other = tampered(folder, tmp_path / "t", {}, golden_with(folder, name, nudge))
    assert failed(other)[0] == check


@pytest.mark.usefixtures("trusted_child")
def test_a_calibration_that_gives_other_probabilities_is_refused(folder: Path, tmp_path: Path) -> None:
    written = json.loads((folder / CALIBRATION).read_text("utf-8")) | {"slope": 0.91}
    other = tampered(folder, tmp_path / "t", {CALIBRATION: json.dumps(written).encode()})
    assert failed(other) == ("calibration", "probabilities differ")


@pytest.mark.parametrize(
    "files",
    [
        {FEATURES: b"no JSON, SECRET"},
        {FEATURES: b'{"catalogue": {"name": "SECRET"}}'},
        {FEATURES: b'["SECRET"]'},
        {MODEL: b"SECRET \xff\xfe"},
    ],
)
def test_nonsense_with_fitting_hashes_is_refused_and_not_repeated(
    files: dict[str, bytes], folder: Path, tmp_path: Path
) -> None:
    name, detail = failed(tampered(folder, tmp_path / "t", files))
    assert name == "content"
    assert "SECRET" not in detail


@pytest.mark.usefixtures("trusted_child")
@pytest.mark.parametrize("content", [b"{}", b'{"slope": "steep"}', b'{"slope": 1, "intercept": 0, "n": 1}', b"\xff"])
def test_a_calibration_that_is_none_is_refused(content: bytes, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleRefused, match=r"^content: cannot be read"):
        read_bundle(tampered(folder, tmp_path / "t", {CALIBRATION: content}))


@pytest.mark.usefixtures("trusted_child")
def test_a_model_over_other_columns_is_refused(folder: Path, tmp_path: Path) -> None:
    """Column names are part of the contract: a model that swaps two of them would score nonsense silently."""
    text = small_parts()["model_text"]
    one, other = CORE.names[0], CORE.names[1]
    swapped = text.replace(one, "#").replace(other, one).replace("#", other)
    with pytest.raises(ValueError, match="not the columns of its feature contract"):
        write_bundle(tmp_path / "b", **small_parts(model_text=swapped))
    # LightGBM reads columns by their position, so the golden rows would not notice.
    assert failed(tampered(folder, tmp_path / "bad", {MODEL: swapped.encode()}))[0] == "content"


def test_nothing_is_imported_from_the_working_directory(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Verifying happens where the suspicious files lie."""
    where = copied(folder, tmp_path / "where")
    for name in ("json.py", "numpy.py", "lightgbm.py", "models.py"):
        (where / name).write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(where)
    assert all(check.passed for check in verify_bundle(where))


# --- whole or not at all ------------------------------------------------------------------------------------------


def only(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("files_before_the_disk_is_full", [0, 1, 3])
def test_a_full_disk_leaves_no_half_bundle_and_the_old_one_as_it_was(
    files_before_the_disk_is_full: int, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = copied(folder, tmp_path / "old")
    before = {path.name: path.read_bytes() for path in old.iterdir()}
    left = [files_before_the_disk_is_full] * 2
    real = Path.write_bytes

    def write_bytes(path: Path, content: bytes) -> int:
        attempt = 0 if path.parent.name.startswith(".new") else 1
        if left[attempt] == 0:
            real(path, content[: len(content) // 2])
            raise OSError(28, os.strerror(28))
        left[attempt] -= 1
        return real(path, content)

    parts = small_parts(base_rate=0.5)
    monkeypatch.setattr(Path, "write_bytes", write_bytes)
    for name in ("new", "old"):
        with pytest.raises(OSError, match="No space left"):
            write_bundle(tmp_path / name, **parts)
    assert only(tmp_path) == ["old"]
    assert {path.name: path.read_bytes() for path in old.iterdir()} == before


def test_a_number_that_json_does_not_have_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        small_bundle(tmp_path / "b", facts={"metrics": {"auc": float("nan")}})
    assert only(tmp_path) == []


def test_a_bundle_replaces_a_bundle_whole_and_no_other_folder(folder: Path, signed: Path, tmp_path: Path) -> None:
    place = copied(signed, tmp_path / "place")
    copy_bundle(folder, place)
    assert SIGNATURE not in only(place)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(BundleRefused, match="thesis exists and is no bundle"):
        copy_bundle(folder, tmp_path / "thesis")
    assert only(tmp_path / "thesis") == ["chapter.txt"]
    (tmp_path / "empty").mkdir()
    copy_bundle(folder, tmp_path / "empty")
    assert only(tmp_path / "empty") == sorted((*HASHED, MANIFEST))


def test_an_incomplete_source_is_not_copied(folder: Path, tmp_path: Path) -> None:
    source = copied(folder, tmp_path / "source")
    (source / MODEL).unlink()
    with pytest.raises(OSError, match=r"model\.txt"):
        copy_bundle(source, tmp_path / "target")
    assert only(tmp_path) == ["source"]


def test_a_bundle_whose_contributions_miss_the_score_is_refused(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = BoostedModel.contributions

    def off(model: BoostedModel, values: np.ndarray, **told: object) -> tuple[np.ndarray, np.ndarray]:
        found, base = real(model, values)
        return found, base + 1e-4

    assert [check.name for check in verify_bundle(tiny_bundle) if not check.passed] == []
    monkeypatch.setattr(BoostedModel, "contributions", off)
    last = verify_bundle(tiny_bundle)[-1]
    assert (last.name, last.passed) == ("contributions", False)
    with pytest.raises(BundleRefused, match="do not add up"):
        read_bundle(tiny_bundle)
