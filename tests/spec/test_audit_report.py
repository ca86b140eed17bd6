"""The audit on paper and in the terminal: the same findings in both languages, nothing that points at a household."""

from __future__ import annotations

import io
import json
import re
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from training.audit import Audit, audit
from training.audit_commands import audit as command
from training.audit_groups import group_text
from training.audit_report import as_json, audit_figure, headline, main_capacity, page, write_report


@pytest.fixture(scope="module")
def found() -> Audit:
    """A county in which one group is missed, one is served alike, and one has too few outcomes."""
    rng = np.random.default_rng(1)
    n = 6_000
    missed, alike = rng.random(n) < 0.3, rng.random(n) < 0.4
    probability = 1 / (1 + np.exp(-rng.normal(-2.5, 1.1, n)))
    test = pd.DataFrame(
        {
            "household_id": [f"h-{i:07d}" for i in range(n)],
            "as_of": 0,
            "outcome": (rng.random(n) < probability).astype(float),
            "probability": np.where(missed, 0.05, probability),
            "coverage": rng.random(n),
        }
    )
    names = {"disability_any": missed, "minority": alike, "low_coverage": np.arange(n) < 60, "residence_city": ~alike}
    of = pd.DataFrame({name: pd.array(cells, dtype="boolean") for name, cells in names.items()})
    return audit(test, of, seed=1, resamples=200, report_only=("residence_city",))


def table(text: str) -> list[list[str]]:
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    return [cells for cells in lines if len(cells) == 8][1:]


def test_both_pages_tell_the_same_numbers_of_the_same_groups(found: Audit) -> None:
    zh, en = (page(found, language, title="a bundle on a county") for language in ("zh", "en"))
    assert [cells[0] for cells in table(en)] == [group_text(group.name).en for group in found.groups]
    assert [cells[0] for cells in table(zh)] == [group_text(group.name).zh for group in found.groups]
    assert [cells[1:7] for cells in table(zh)] == [cells[1:7] for cells in table(en)]
    verdicts = [cells[7] for cells in table(en)]
    assert (verdicts[0], *verdicts[2:]) == ("blocks", "insufficient evidence", "for comparison")
    numbers = re.compile(r"[-+]?\d+\.\d+")
    blocked = [line for line in en.splitlines() if line.startswith("- member with a disability")]
    in_chinese = [line for line in zh.splitlines() if line.startswith("- 有残疾成员")]
    assert [numbers.findall(line) for line in blocked] == [numbers.findall(line) for line in in_chinese] != []


def test_a_page_names_who_is_blocked_with_the_interval_and_what_to_do(found: Audit) -> None:
    text = page(found, "en", title="a bundle on a county")
    gap = found.group("disability_any").find("recall_gap", 0.05)
    assert gap is not None
    assert "**Blocked by: member with a disability**" in text
    assert f"at 5 % is {gap.value:+.3f} (95 % {gap.low:+.3f} to {gap.high:+.3f})" in text
    assert "mend the links of the data" in text
    assert headline(found, "zh") == "不通过：有残疾成员"


def test_a_group_with_too_few_outcomes_has_no_figure_on_a_page(found: Audit) -> None:
    group = found.group("low_coverage")
    assert group.verdict == "insufficient"
    line = next(cells for cells in table(page(found, "en", title="t")) if cells[0] == "least known fifth")
    assert line[1:] == ["60", "<10", "–", "–", "–", "–", "insufficient evidence"]


def test_nothing_published_names_a_household(found: Audit, tmp_path: Path) -> None:
    write_report(found, tmp_path / "out", title="t")
    written = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert written == ["audit.en.md", "audit.json", "audit.png", "audit.zh.md"]
    for name in ("audit.en.md", "audit.json", "audit.zh.md"):
        assert "h-00" not in (tmp_path / "out" / name).read_text("utf-8")


def test_the_json_holds_every_figure_with_its_interval_and_the_gates(found: Audit) -> None:
    told = json.loads(json.dumps(as_json(found), allow_nan=False))
    assert told["schema"] == "audit.v1"
    first = told["groups"][0]
    recall = next(f for f in first["findings"] if (f["measure"], f["capacity"]) == ("recall", 0.05))
    assert recall["low"] <= recall["value"] <= recall["high"]
    assert "block" in {concern["level"] for concern in first["concerns"]}
    gates = {gate["name"]: gate["passed"] for gate in told["gates"]}
    assert gates["audit_recall_gap"] is False
    assert "score" not in {key for key in told if "fair" in key}


def test_the_picture_shows_each_group_that_has_figures(found: Audit) -> None:
    figure = audit_figure(found)
    axes = figure.axes[0]
    shown = [label.get_text() for label in axes.get_yticklabels()]
    assert shown[::-1] == ["member with a disability", "minority", "city"]
    assert axes.get_title() and axes.get_xlabel() and axes.get_ylabel()
    written = io.BytesIO()
    figure.savefig(written, format="png")
    assert struct.unpack(">I", written.getvalue()[16:20]) == (1000,)
    assert main_capacity(found) == 0.05


def test_the_command_audits_a_bundle_and_fits_a_terminal(tiny_bundle: Path, tiny_county: Path, tmp_path: Path) -> None:
    given = [str(tiny_bundle), str(tiny_county), "--capacity", "0.1", "--out", str(tmp_path / "report")]
    done = CliRunner().invoke(command, [*given, "--report-only"], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    assert "Reached at 10 %" in done.stdout
    assert "member with a disability" in done.stdout
    assert max(len(line) for line in done.stdout.splitlines() if "Report written" not in line) <= 80
    # Long names of groups may be cut, never a number or a word of the head.
    assert re.search(r"^group +affected +recall +gap, points +obs/exp +verdict", done.stdout, re.MULTILINE)
    assert all("…" not in line[32:] for line in done.stdout.splitlines())
    assert (tmp_path / "report" / "audit.json").is_file()

    plain = CliRunner().invoke(command, [*given[:4], "--json"])
    told = json.loads(plain.stdout)
    failed = [gate for gate in told["gates"] if not gate["passed"]]
    assert plain.exit_code == (1 if failed else 0)
    assert ("the audit blocks: " in plain.stderr) is bool(failed)
    assert told["capacities"] == [0.1]


def test_the_command_refuses_what_it_cannot_audit(tiny_bundle: Path, tiny_county: Path) -> None:
    given = [str(tiny_bundle), str(tiny_county)]
    nobody = CliRunner().invoke(command, [*given, "--since", "2035-01-01"])
    assert (nobody.exit_code, "no as-of moment" in nobody.stderr) == (1, True)
    assert CliRunner().invoke(command, [*given, "--capacity", "1.5"]).exit_code == 2
    assert CliRunner().invoke(command, ["--help"]).exit_code == 0
