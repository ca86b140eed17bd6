"""The `povrisk` command: every sub-command loads, helps, refuses with a reason, and answers misuse with 2."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import click
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from features.command_line import GROUP, main
from features.dataset import write_dataset
from features.matrix import matrix
from tests.records import CORE, META, at, dataset, event, history, household, member

COMMANDS = {entry.name: entry for entry in entry_points(group=GROUP)}
PROMISED = {
    "simulate", "check", "catalog", "panel", "vectors", "train", "publish", "verify", "score", "assess", "serve",
    "rules", "audit", "rollback", "models", "drift", "recalibrate", "value", "visits", "audit-arm", "visiting-bias",
}  # fmt: skip
# What asks for nothing cannot be misused by giving nothing.
WITHOUT_ARGUMENTS = {"models"}
MISUSES = (["--no-such-option"], ["too", "many", "words", "for", "any", "command"], [])


def run(*arguments: str | Path) -> Result:
    """The command as from a shell; anything but a plain ending is a failure of the test."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    return result


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = dataset(
        [
            event("CLM//INPATIENT", "2025-03-01", "2025-03-05", 14_200.0, person_id="p1"),
            event("EMP//WAGE", "2025-02-28", "2025-03-10", 2_500.0, person_id="p2", household="h2"),
        ],
        [member("p1", born="1955-03-01"), member("p2", household="h2")],
        [household(), household("h2")],
    )
    place = tmp_path_factory.mktemp("cli") / "data"
    write_dataset(place, events=made.events, members=made.members, households=made.households, meta=made.meta)
    return place


def test_every_promised_command_is_there() -> None:
    assert set(COMMANDS) >= PROMISED


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_loads_helps_and_speaks_to_machines(name: str) -> None:
    command = COMMANDS[name].load()
    assert isinstance(command, click.Command)
    assert command.name == name
    result = run(name, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {name} ")
    assert "--json" in result.stdout
    assert command.help
    # A choice says itself what it may be.
    options = [p for p in command.params if isinstance(p, click.Option) and not isinstance(p.type, click.Choice)]
    assert all(option.help for option in options if option.name != "seed")


@pytest.mark.parametrize(
    ("name", "misuse"),
    [(name, misuse) for name in sorted(COMMANDS) for misuse in MISUSES if misuse or name not in WITHOUT_ARGUMENTS],
)
def test_misuse_ends_with_2(name: str, misuse: list[str]) -> None:
    result = run(name, *misuse)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr
    assert result.stdout == ""


def test_the_whole_helps_and_tells_its_version() -> None:
    helped = run("--help")
    assert helped.exit_code == 0
    assert run("-h").stdout == helped.stdout
    assert all(f"\n  {name} " in helped.stdout for name in COMMANDS)
    assert run("--version").stdout.split()[-1].count(".") == 2
    assert run("no-such-command").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "EMPTY"],
        ["vectors", "EMPTY", "--as-of", "2025-06-30", "--out", "OUT"],
        ["vectors", "DATA", "--as-of", "yesterday", "--out", "OUT"],
        ["train", "EMPTY"],
        ["train", "DATA", "--label", "no such label"],
        ["verify", "EMPTY"],
        ["score", "EMPTY", "DATA", "--as-of", "2025-06-30", "--out", "OUT"],
        ["request", "EMPTY", "--household", "h1", "--as-of", "2025-06-30"],
        ["request", "DATA", "--household", "SECRET-17", "--as-of", "2025-06-30"],
        ["evaluate", "EMPTY", "DATA"],
        ["serve", "EMPTY"],
        ["catalog", "events", "--catalogue", "atlantis"],
        ["catalog", "policies", "--catalogue", "eph"],
        ["rules", "check", "--packs", "EMPTY"],
        ["rules", "report", "EMPTY", "--as-of", "2025-06-30"],
        ["vectors", "DATA", "--as-of", "9999-12-31", "--out", "OUT"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_input_that_is_refused_ends_with_1_and_a_reason(arguments: list[str], folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    places = {
        "EMPTY": tmp_path / "empty", "DATA": folder, "OUT": tmp_path / "out",
    }  # fmt: skip
    result = run(*(places.get(word, word) for word in arguments))
    assert result.exit_code == 1, result.output
    assert result.stderr.startswith(("Error: ", "POVRISK_BUNDLE_KEY")) or "REFUSED" in result.stdout
    assert "SECRET-17" not in result.output
    assert not (tmp_path / "out").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty"]


@pytest.mark.parametrize("what", ["events", "features"])
@pytest.mark.parametrize("name", ["core", "eph", "sipp"])
def test_the_catalogue_is_told_to_machines_and_people(what: str, name: str) -> None:
    listed = json.loads(run("catalog", what, "--catalogue", name, "--json").stdout)
    assert listed
    for one in listed:
        zh, en = one["name"] if what == "events" else one["meaning"]
        assert zh and en
        assert one["unit"]
        assert one["department"][1] if what == "events" else one["group"]
    shown = run("catalog", what, "--catalogue", name)
    assert shown.exit_code == 0
    assert f"{len(listed)} {'event kinds' if what == 'events' else 'features'}" in shown.stdout


def test_vectors_are_the_rows_of_the_matrix(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "vectors.parquet"
    result = run("vectors", folder, "--as-of", "2025-03-31", "--as-of", "2025-12-31", "--out", out, "--json")
    assert result.exit_code == 0
    said = json.loads(result.stdout)
    assert (said["rows"], said["features"]) == (4, len(CORE.features))
    table = pq.read_table(out)
    assert table.column_names == ["household_id", "as_of", *CORE.names]
    assert table.schema.metadata[b"features_digest"].decode() == CORE.digest
    read = table.to_pandas()
    assert read["household_id"].tolist() == ["h1", "h2"] * 2
    made = history(
        [
            event("CLM//INPATIENT", "2025-03-01", "2025-03-05", 14_200.0, person_id="p1"),
            event("EMP//WAGE", "2025-02-28", "2025-03-10", 2_500.0, person_id="p2", household="h2"),
        ],
        [member("p1", born="1955-03-01"), member("p2", household="h2")],
        [household(), household("h2")],
    )
    expected = np.concatenate([matrix(made, at(day)).values for day in ("2025-03-31", "2025-12-31")])
    assert np.array_equal(read[list(CORE.names)].to_numpy(), expected, equal_nan=True)
    # Unknown is empty in the file, not a number that is none.
    assert table["wage_amount_12m"].null_count == 2
    assert META.time_zone == "Asia/Shanghai"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["vectors.parquet"]


CHILD = """
import sys
from features.command_line import main
try:
    main(["check", sys.argv[1], "--json"])
except SystemExit as ended:
    print("ended", ended.code)
print(sorted({"mlflow", "bentoml", "lightgbm", "sklearn", "shap"} & set(sys.modules)))
"""


def test_the_folder_of_the_output_is_made(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "not" / "there" / "vectors.parquet"
    assert run("vectors", folder, "--as-of", "2025-06-30", "--out", out).exit_code == 0
    assert pq.read_table(out).num_rows == 2


def test_a_command_imports_only_what_it_needs(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-c", CHILD, str(folder)], capture_output=True, text=True, timeout=120, check=True
    )
    found, ended, imported = done.stdout.splitlines()
    assert json.loads(found)["rows"] == {"events": 2, "members": 2, "households": 2}
    assert ended == "ended 0"
    assert imported == "[]"


def test_the_installed_command_runs() -> None:
    command = Path(sys.executable).parent / "povrisk"
    done = subprocess.run([command, "catalog", "events", "--json"], capture_output=True, timeout=120, check=True)
    assert len(json.loads(done.stdout)) == len(CORE.kinds)
