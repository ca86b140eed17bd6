"""The code holds no construct that is known to be dangerous, but for those that were looked at one by one.

Bandit reads one expression after the other. It does not follow values: it would miss a query built in two steps, a
template whose escaping is switched off in its settings, a path or an address that a caller can choose, and a secret
that is logged. Tests of pages, stores and logs are for those.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("features", "models", "training", "serving")
# An assert states an invariant; a process is started in four places, each marked for ruff with its reason.
SKIPPED = ("B101", "B404", "B603")
# What was looked at, with why it is no hole.
LOOKED_AT = {
    ("B310", "serving/demo.py"): 2,  # its own service on the loopback interface
    ("B704", "serving/pages/sheet.py"): 1,  # its own style sheet
    ("B104", "serving/running.py"): 1,  # compared with, never bound
    ("B608", "serving/store/append_only.py"): 2,  # names of our own tables, no values
}
DANGEROUS = {
    "B301": "import pickle\npickle.loads(b'')",
    "B307": "eval(input())",
    "B506": "import yaml\nyaml.load('', yaml.Loader)",
    "B602": "import subprocess\nsubprocess.run('ls', shell=True)",
    "B608": "name = input()\nquery = f'SELECT * FROM t WHERE a = {name}'",
    "B306": "import tempfile\ntempfile.mktemp()",
    "B324": "import hashlib\nhashlib.md5(b'')",
    "B701": "import jinja2\njinja2.Environment(autoescape=False)",
}


def found(*paths: Path) -> Counter[tuple[str, str]]:
    """How often each finding occurs in each file."""
    command = [sys.executable, "-m", "bandit", "-q", "-f", "json", "-s", ",".join(SKIPPED), "-r", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    report = json.loads(done.stdout)
    assert report["errors"] == []
    return Counter((each["test_id"], each["filename"].removeprefix("./")) for each in report["results"])


def test_nothing_dangerous_is_there_that_was_not_looked_at() -> None:
    assert dict(found(*(Path(name) for name in PACKAGES))) == LOOKED_AT


def test_what_is_dangerous_would_be_found(tmp_path: Path) -> None:
    for number, code in DANGEROUS.items():
        (tmp_path / f"{number}.py").write_text(code + "\n")
    assert {number for number, _ in found(tmp_path)} >= set(DANGEROUS)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_linters_refuse_unpickling_in_every_package(package: str) -> None:
    code = "import dill\nimport pickle\n\npickle.loads(b'')\ndill.loads(b'')\n"
    command = [sys.executable, "-m", "ruff", "check", "-q", "--output-format", "concise"]
    done = subprocess.run(
        [*command, "--stdin-filename", f"{package}/x.py", "-"],
        input=code, capture_output=True, text=True, cwd=ROOT, check=False,
    )  # fmt: skip
    assert done.stdout.count("S301") == 2, done.stdout
    # Joblib and cloudpickle are not known to ruff; the import rules refuse them.
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    (rule,) = [rule for rule in rules if rule["name"] == "nobody unpickles"]
    assert set(rule["forbidden_modules"]) >= {"pickle", "joblib", "cloudpickle", "dill"}
    assert package in rule["source_modules"]


def test_no_library_is_asked_to_unpickle() -> None:
    """Numpy and pandas unpickle when they are told to; neither of the two linters sees that."""
    for path in (file for name in PACKAGES for file in (ROOT / name).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                assert not any(each.arg == "allow_pickle" for each in node.keywords), path
                name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                assert name not in ("read_pickle", "to_pickle", "unsafe_load", "full_load"), path
