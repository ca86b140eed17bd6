"""The notebooks as they are committed: without results, without a trace of a machine, on public names that exist.

That they run is shown by `pytest --nbmake notebooks` (`make test`).
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
TITLES = {
    "01_exploring_events.ipynb": "# Exploring events",
    "02_training_on_your_data.ipynb": "# Training on your data",
    "03_reading_one_explanation.ipynb": "# Reading one explanation",
}
OURS = {"features", "models", "training"}
OTHERS = {"IPython", "matplotlib", "mlflow", "numpy", "pandas", "shap"}
MACHINE = re.compile(
    r"(?<![\w.])/(?:home|root|work|tmp|Users|private|mnt|opt|var)/|[A-Za-z]:\\|file://|localhost|https?://"
)
LONGEST_CELL = 26

every_notebook = pytest.mark.parametrize("name", TITLES)


def written(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text("utf-8"))
    return found


def texts(name: str, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in written(name)["cells"] if cell["cell_type"] == kind]


def code(name: str) -> list[ast.Module]:
    """The code cells; lines for IPython alone are left out."""
    cells = ("\n".join(line for line in cell.splitlines() if line[:1] != "%") for cell in texts(name, "code"))
    return [ast.parse(cell) for cell in cells]


def imports(name: str) -> list[tuple[str, str | None]]:
    """(module, name taken from it) of every import."""
    found: list[tuple[str, str | None]] = []
    for node in (node for cell in code(name) for node in ast.walk(cell)):
        if isinstance(node, ast.Import):
            found += [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None and node.level == 0
            found += [(node.module, alias.name) for alias in node.names]
    return found


def test_there_are_these_three_and_each_begins_with_its_title() -> None:
    assert {path.name for path in FOLDER.iterdir() if path.suffix == ".ipynb"} == set(TITLES)
    for name, title in TITLES.items():
        assert texts(name, "markdown")[0].splitlines()[0] == title


@every_notebook
def test_outputs_are_stripped(name: str) -> None:
    for cell in written(name)["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


@every_notebook
def test_the_kernel_is_python3_and_nothing_else_is_recorded(name: str) -> None:
    metadata = written(name)["metadata"]
    assert metadata["kernelspec"] == {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert metadata["language_info"] == {"name": "python"} and set(metadata) == {"kernelspec", "language_info"}


@every_notebook
def test_no_path_of_a_machine_and_no_address_is_written_down(name: str) -> None:
    assert MACHINE.search("see /home/somebody/data") and not MACHINE.search("docs/reference/gates.md")
    for text in texts(name, "code") + texts(name, "markdown"):
        assert MACHINE.search(text) is None


@every_notebook
def test_only_public_names_of_our_packages_and_declared_libraries_are_imported(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {re.split(r"[<>=]", text)[0] for text in project["dependencies"]} | {"IPython"}
    assert declared >= OTHERS
    for module, taken in imports(name):
        assert module.split(".")[0] in OURS | OTHERS | sys.stdlib_module_names
        assert not any(part.startswith("_") for part in (*module.split("."), *([taken] if taken else [])))


@every_notebook
def test_what_is_imported_from_our_packages_exists(name: str) -> None:
    ours = [(module, taken) for module, taken in imports(name) if module.split(".")[0] in OURS]
    assert ours
    for module, taken in ours:
        assert taken is None or hasattr(importlib.import_module(module), taken), (module, taken)


@every_notebook
def test_cells_are_short_and_no_result_is_typed_into_the_text(name: str) -> None:
    assert all(len(cell.splitlines()) <= LONGEST_CELL for cell in texts(name, "code"))
    for text in texts(name, "markdown"):
        assert re.search(r"\d[.,]\d", text) is None


@every_notebook
def test_everything_is_written_to_a_temporary_place_that_is_cleared(name: str) -> None:
    cells = texts(name, "code")
    assert "place = tempfile.TemporaryDirectory(" in "".join(cells)
    assert "place.cleanup()" in cells[-1]


def test_mlflow_is_sent_to_the_temporary_place_before_it_is_loaded() -> None:
    name = "02_training_on_your_data.ipynb"
    cells = texts(name, "code")
    sent = next(n for n, cell in enumerate(cells) if 'os.environ["MLFLOW_TRACKING_URI"] =' in cell)
    loads = [n for n, cell in enumerate(cells) if re.search(r"^(import mlflow|from training\.run )", cell, re.M)]
    assert loads and sent < min(loads)
    for other in set(TITLES) - {name}:
        assert not any(module in ("mlflow", "training.run") for module, _ in imports(other))


def test_the_folder_of_ones_own_data_is_one_variable_at_the_top() -> None:
    cells = texts("02_training_on_your_data.ipynb", "code")
    assert [n for n, cell in enumerate(cells) if "POVRISK_NOTEBOOK_DATA" in cell] == [0]


def test_ruff_leaves_the_notebooks_alone() -> None:
    ruff = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["ruff"]
    assert "notebooks" in ruff["extend-exclude"]
