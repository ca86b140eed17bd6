"""The packages own their names, are listed completely, and import only in one direction."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PACKAGES = ("features", "models", "training", "serving", "benchmarks")
BIN = Path(sys.executable).parent


@pytest.mark.parametrize("name", PACKAGES)
def test_nothing_else_in_the_environment_owns_our_names(name: str) -> None:
    assert set(packages_distributions()[name]) == {"povrisk"}


def in_repository() -> list[Path]:
    """Files that git has or would take, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode != 0:
        pytest.skip("git cannot list the files of this folder")
    return [path for path in map(Path, listed.stdout.splitlines()) if (ROOT / path).is_file()]


def test_the_list_of_packages_is_complete() -> None:
    files = [path for path in in_repository() if path.parts[0] in PACKAGES and path.suffix == ".py"]
    folders = {".".join(path.parent.parts) for path in files}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == folders
    marked = {".".join(path.parent.parts) for path in files if path.name == "__init__.py"}
    assert marked == folders


def test_it_is_never_uploaded_by_mistake() -> None:
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


def test_every_declared_dependency_is_pinned_within_its_bounds() -> None:
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text("utf-8").split())
    extras = PROJECT["project"]["optional-dependencies"]
    declared = [*PROJECT["project"]["dependencies"], *extras["test"], *extras["bench"]]
    for requirement in map(Requirement, declared):
        assert requirement.specifier.contains(Version(pins[requirement.name])), requirement


# --- import rules -------------------------------------------------------------------------------------------------


def lint_imports(folder: Path) -> tuple[int, dict[str, str]]:
    """Exit code, and KEPT or BROKEN for each contract."""
    done = subprocess.run(
        [str(BIN / "lint-imports"), "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = re.findall(r"^(.+) (KEPT|BROKEN)$", re.sub(r"\x1b\[[0-9;]*m", "", done.stdout), re.M)
    assert found, done.stdout + done.stderr
    return done.returncode, {name.strip(): state for name, state in found}


CONTRACTS = {contract["name"] for contract in PROJECT["tool"]["importlinter"]["contracts"]}


def test_the_packages_keep_every_import_rule() -> None:
    assert lint_imports(ROOT) == (0, dict.fromkeys(CONTRACTS, "KEPT"))


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their rules in another place."""
    folder = tmp_path_factory.mktemp("copy")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def test_serving_may_not_import_mlflow(copied: Path) -> None:
    planted = copied / "serving" / "planted.py"
    planted.write_text("def load():\n    import mlflow\n\n    return mlflow\n")
    try:
        code, states = lint_imports(copied)
    finally:
        planted.unlink()
    assert code == 1
    assert {name for name, state in states.items() if state == "BROKEN"} == {"a registry outage cannot reach serving"}


def test_every_import_rule_finds_what_it_forbids(copied: Path) -> None:
    plants = {
        "features/planted.py": "import sklearn\nfrom models import tier\n",
        "models/planted.py": "import bentoml\nfrom pickle import loads\n",
        "training/planted.py": "import bentoml\nimport serving.settings\n",
        # By way of somebody else, which is how such things come about.
        "serving/planted.py": "import mlflow\n",
    }
    for name, content in plants.items():
        (copied / name).write_text(content)
    try:
        code, states = lint_imports(copied)
    finally:
        for name in plants:
            (copied / name).unlink()
    assert code == 1
    assert states == dict.fromkeys(CONTRACTS, "BROKEN")


def test_training_and_serving_never_import_each_other(copied: Path) -> None:
    for package, other in (("training", "serving.settings"), ("serving", "training.moments")):
        planted = copied / package / "planted.py"
        planted.write_text(f"import {other}\n")
        try:
            code, states = lint_imports(copied)
        finally:
            planted.unlink()
        assert code == 1
        assert "BROKEN" in {state for name, state in states.items() if name.startswith("training and serving")}


# --- unpickling ---------------------------------------------------------------------------------------------------

UNPICKLERS = {"pickle", "cPickle", "_pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal", "skops"}
CALLS = {"read_pickle", "to_pickle", "import_module", "__import__"}


def unpickling(source: str) -> list[str]:
    """Where a file unpickles, or could by a name that an import rule does not see."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in UNPICKLERS]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in UNPICKLERS:
            found.append(str(node.module))
        elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
            found.append("allow_pickle")
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            # A module's name may be put together at run time, but only with a beginning of our own.
            given = ast.unparse(node.args[0]) if node.args else ""
            if name in CALLS and not re.match(r"f'(features|training\.panels|\{package\.__name__\})\.", given):
                found.append(f"{name}({given})")
    return found


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "def f():\n    import dill.session",
        "pd.read_pickle(p)",
        "np.load(p, allow_pickle=True)",
        "importlib.import_module('pick' + 'le')",
        "__import__('pickle')",
    ],
)
def test_unpickling_would_be_found(source: str) -> None:
    assert unpickling(source)


def test_nobody_unpickles() -> None:
    allowed = {
        "training/labels.py": ["import_module(module)"],  # "training.panels." + the catalogue's name
    }
    found = {
        str(path): said
        for path in in_repository()
        if path.parts[0] in PACKAGES and path.suffix == ".py"
        if (said := unpickling((ROOT / path).read_text("utf-8")))
    }
    assert found == allowed
