"""The files of a bundle as bytes, and whether they are those that were published.

All are read once, from one folder held open, and judged on what was read: a folder that is replaced meanwhile gives the
former files, the new ones, or a mixture whose hashes do not fit.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

SCHEMA = "bundle.v2"
MODEL, CALIBRATION, FEATURES, CERTAINTY, SIMILAR, MANIFEST, SIGNATURE = (
    "model.txt",
    "calibration.json",
    "features.json",
    "certainty.json",
    "similar.json",
    "manifest.json",
    "manifest.sig",
)
HASHED = (MODEL, CALIBRATION, FEATURES, CERTAINTY)
# Part of the bundle only where its manifest names them.
OPTIONAL = (SIMILAR,)
EVERY = (*HASHED, *OPTIONAL, MANIFEST, SIGNATURE)
# Fifty times the largest file of a model of 600 trees. More would fill the memory before its hash is known.
MAX_FILE_BYTES = 64 << 20


class Check(NamedTuple):
    """One verification step."""

    name: str
    passed: bool
    detail: str


class BundleRefused(Exception):
    """The bundle must not be used; the message says which check failed, `check` its name alone (empty where it was not
    a check)."""

    def __init__(self, message: str, check: str = "") -> None:
        super().__init__(message)
        self.check = check


class Checks(list[Check]):
    """The checks made so far, in order."""

    def need(self, name: str, passed: bool, good: str, bad: str) -> None:
        """Note a check. Raises `BundleRefused` if it failed."""
        self.append(Check(name, passed, good if passed else bad))
        if not passed:
            raise BundleRefused(f"{name}: {bad}", name)


@dataclass(frozen=True)
class Contents:
    """Files whose hashes are those of the manifest, not parsed yet; `sha256` is the manifest's own."""

    files: Mapping[str, bytes]
    manifest: Mapping[str, Any]
    sha256: str


def contents_of(
    folder: Path, *, key: bytes | None = None, proven: str | None = None, checks: Checks | None = None
) -> Contents:
    """Read the bundle's files and verify signature and hashes; nothing but the manifest is parsed, and only after its
    signature. Raises `BundleRefused`. `proven` as in `models.bundle.read_bundle`."""
    checks = Checks() if checks is None else checks
    files = _read(folder, checks)
    if key is not None:
        told = files.get(SIGNATURE, b"").strip()
        is_signed = hmac.compare_digest(told, signature(files[MANIFEST], key).encode())
        checks.need("signature", is_signed, "matches the key", "is missing or does not match the key")
    sha256 = hashlib.sha256(files[MANIFEST]).hexdigest()
    if proven is not None:
        checks.need("identity", sha256 == proven, "as before", "is another bundle than before")
    try:
        manifest = json.loads(files[MANIFEST])
        hashed = (*HASHED, *(name for name in OPTIONAL if name in manifest["files"]))
        hashes = {name: manifest["files"][name] for name in hashed}
        schema = manifest["schema"]
    except (ValueError, KeyError, TypeError, RecursionError):
        checks.need("manifest", False, "", "is not a readable bundle manifest")
        raise
    checks.need("manifest", schema == SCHEMA, f"schema {SCHEMA}", f"schema is not {SCHEMA}")
    missing = [name for name in hashed if name not in files]
    wrong = [name for name in hashed if name in files and hashlib.sha256(files[name]).hexdigest() != hashes[name]]
    reason = f"missing {', '.join(missing)}" if missing else f"changed since publication: {', '.join(wrong)}"
    checks.need("hashes", not missing and not wrong, "all files unchanged", reason)
    return Contents({name: files[name] for name in hashed}, manifest, sha256)


def signature(content: bytes, key: bytes) -> str:
    """HMAC-SHA-256 in hexadecimal."""
    return hmac.new(key, content, hashlib.sha256).hexdigest()


def _read(folder: Path, checks: Checks) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        checks.need("files", False, "", f"missing {', '.join((*HASHED, MANIFEST))}")
        raise
    try:
        for name in EVERY:
            content = _bytes(name, opened)
            if content is not None:
                files[name] = content
    finally:
        os.close(opened)
    missing = [name for name in (*HASHED, MANIFEST) if name not in files]
    too_large = [name for name, content in files.items() if len(content) > MAX_FILE_BYTES]
    reason = f"missing {', '.join(missing)}" if missing else f"too large: {', '.join(too_large)}"
    checks.need("files", not missing and not too_large, "all present", reason)
    return files


def _bytes(name: str, folder: int) -> bytes | None:
    """The content up to a byte more than allowed; None for what is no file or cannot be read."""
    try:
        # A pipe of that name must not hold us up.
        file = os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(file, "rb") as reading:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return None
        try:
            return reading.read(MAX_FILE_BYTES + 1)
        except OSError:
            return None
