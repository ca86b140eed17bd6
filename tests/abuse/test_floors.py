"""Versions with known holes are not installed, and what is installed is what the constraints say.

A tool that asks a database of advisories answers "nothing known" when it cannot reach one; this table always works.
"""

from __future__ import annotations

import re
from importlib.metadata import distributions, version
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
CONSTRAINTS = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
OURSELVES = {"pip", "povrisk"}

FLOORS = [
    ("bentoml", "1.4.39", "CVE-2026-44345: commands in a foreign build file; earlier ones unpickle what is posted"),
    ("mlflow", "3.17", "CVE-2026-0545, CVE-2026-0596: jobs without a login, shell commands in a model's address"),
    ("lightgbm", "4.6.0", "CVE-2024-43598: memory overwritten by a model file"),
    ("starlette", "0.49.1", "CVE-2025-62727: a Range header that takes quadratic time"),
    ("python-multipart", "0.0.27", "CVE-2026-42561: headers that stop the parser"),
    ("aiohttp", "3.9.2", "CVE-2024-23334: files outside the served folder"),
    ("pyarrow", "23.0.1", "CVE-2026-25087, CVE-2023-47248: memory and code execution by a crafted file"),
    ("joblib", "1.2.0", "CVE-2022-21797: code in an argument is run"),
    ("werkzeug", "3.0.3", "CVE-2024-34069: the debugger of the tracking interface can be taken over from a web page"),
    ("jinja2", "3.1.6", "CVE-2025-27516: templates can leave their sandbox"),
    ("requests", "2.32.4", "CVE-2024-47081: credentials of one host sent to another"),
    ("urllib3", "2.5.0", "CVE-2025-50181: redirects followed although they were switched off"),
    ("scikit-learn", "1.5.0", "CVE-2024-5206: words of the training texts kept in a model"),
    ("pillow", "10.3.0", "CVE-2024-28219: memory overwritten by an image's colour profile"),
    ("uvicorn", "0.11.7", "CVE-2020-7694: control characters of an address written into the log"),
    ("h11", "0.16.0", "CVE-2025-43859: chunked bodies read in two ways, so that one request hides in another"),
]


# What reads bodies, models, templates or addresses of others, and must therefore stand in the table.
EXPOSED = {
    *("bentoml", "mlflow", "lightgbm", "pyarrow", "starlette", "python-multipart", "aiohttp", "joblib", "scikit-learn"),
    *("h11", "uvicorn", "jinja2", "werkzeug", "requests", "urllib3", "pillow"),
}


def test_everything_that_reads_what_others_send_has_a_floor() -> None:
    packages = [package for package, _, _ in FLOORS]
    assert set(packages) == EXPOSED
    assert len(packages) == len(set(packages))
    assert all(re.match(r"CVE-\d{4}-\d{4,}", why) for _, _, why in FLOORS)


@pytest.mark.parametrize(("package", "floor", "why"), FLOORS)
def test_no_version_with_a_known_hole_is_installed(package: str, floor: str, why: str) -> None:
    assert Version(version(package)) >= Version(floor), why


def pinned(line: str) -> tuple[str, str]:
    found = re.fullmatch(r"([a-z0-9][a-z0-9.-]*)==([0-9][0-9a-z.+!-]*)", line)
    assert found is not None, f"{line!r} is not name==version"
    return found[1], found[2]


def test_constraints_are_names_and_versions_and_nothing_else() -> None:
    pins = [pinned(line) for line in CONSTRAINTS]
    names = [name for name, _ in pins]
    assert names == [canonicalize_name(name) for name in names]
    assert len(names) == len(set(names))
    assert sorted(CONSTRAINTS) == CONSTRAINTS
    assert all(str(Version(number)) for _, number in pins)


@pytest.mark.parametrize(
    "line",
    [
        "lightgbm>=4.6",
        "lightgbm",
        "a @ file:///tmp/a",
        "-i simple",
        "numpy==2.4.6 # why",
        "numpy==2.*",
        "NumPy==2.4.6",
        "",
    ],
)
def test_a_line_that_is_no_pin_would_be_found(line: str) -> None:
    with pytest.raises(AssertionError, match="is not name==version"):
        pinned(line)


def test_everything_that_is_installed_is_pinned_to_its_version() -> None:
    pins = dict(pinned(line) for line in CONSTRAINTS)
    installed = {canonicalize_name(d.metadata["Name"]): d.version for d in distributions()}
    unpinned = sorted(set(installed) - set(pins) - OURSELVES)
    assert unpinned == []
    other = {
        name: (installed[name], pins[name]) for name in set(installed) & set(pins) if installed[name] != pins[name]
    }
    assert other == {}


def test_the_pins_are_above_the_floors_too() -> None:
    pins = dict(pinned(line) for line in CONSTRAINTS)
    for package, floor, why in FLOORS:
        assert Version(pins[package]) >= Version(floor), why
