"""`make bench`: runs everything, writes `results.json` and `results.md`, and says which bars are met.

Run as `python -m benchmarks.report`; `--quick` is for trying it out, its figures mean little.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
Found = Mapping[str, Any]


class Row(NamedTuple):
    """One line of the table. `ratio` is what the bar is set on; a bar beginning with ≤ or ≥ decides `met`."""

    what: str
    ours: str
    peer: str
    ratio: float | None
    bar: str

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None without a bar or a figure.

        >>> Row("", "", "", 3.0, "≤ 4").met, Row("", "", "", 3.0, "≥ 4").met, Row("", "", "", 3.0, "").met
        (True, False, None)
        """
        if self.ratio is None or not self.bar:
            return None
        limit = float(self.bar[1:])
        return self.ratio <= limit if self.bar[0] == "≤" else self.ratio >= limit


def rows(found: Mapping[str, Found]) -> list[Row]:
    """The lines of all parts that were measured."""
    parts: dict[str, Callable[[Found], Iterator[Row]]] = {
        "vectors": _vectors,
        "explain": _explain,
        "batch": _batch,
        "rules": _rules,
        "queue": _queue,
        "serve": _serve,
    }
    return [row for name, of in found.items() if name in parts for row in parts[name](of)]


def printed(found: Mapping[str, Found]) -> Table:
    """The table for a terminal."""
    table = Table("what", "ours", "peer", "ratio", "bar", "met", title=", ".join(n for n in found if n != "machine"))
    for row in rows(found):
        table.add_row(*_cells(row))
    return table


def page(found: Mapping[str, Found]) -> str:
    """The same table as Markdown, with the machine below."""
    lines = [
        "# Measured by `make bench`",
        "",
        "| what | ours | peer | ratio | bar | met |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(row))} |" for row in rows(found)]
    told = next((part["machine"] for part in found.values() if "machine" in part), None)
    if told is not None:
        versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items() if number)
        lines += [
            "",
            f"{told['processor']}, {told['cores']} cores, {told['system']}, Python {told['python']}; {versions}.",
        ]
    lines += ["", "Times are processor time of one thread and differ between machines; the ratios differ less."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run all parts; with `--strict` it exits with 1 where a bar is missed."""
    from benchmarks.batch import batch_benchmark
    from benchmarks.explain import explain_benchmark
    from benchmarks.queue import queue_benchmark
    from benchmarks.rules import rules_benchmark
    from benchmarks.serve import QUICK, Extent, serve_benchmark
    from benchmarks.vectors import vectors_benchmark

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="where the invented data is kept")
    parser.add_argument("--quick", action="store_true", help="small and few runs")
    parser.add_argument("--strict", action="store_true", help="exit with 1 where a bar is missed")
    parser.add_argument("--out", type=Path, default=HERE, help="where the results go")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    console, quick = Console(stderr=True), given.quick

    def progress(what: str) -> None:
        console.print(what, highlight=False)

    found: dict[str, Any] = {
        "vectors": vectors_benchmark(
            given.folder, households=4_000 if quick else 200_000, rounds=1 if quick else 3,
            featuretools_households=1_000 if quick else 20_000, growth=True, progress=progress,
        )
    }  # fmt: skip
    progress("Contributions beside LightGBM's")
    found["explain"] = explain_benchmark(quick=quick)
    found["batch"] = batch_benchmark(given.folder, scale=0.02 if quick else 1.0, progress=progress)
    found["rules"] = rules_benchmark(folder=given.folder, progress=progress)
    found["queue"] = queue_benchmark(quick=quick, progress=progress)
    found["serve"] = serve_benchmark(given.folder, extent=QUICK if quick else Extent(), progress=progress)
    write(found, given.out)
    Console().print(printed(found))
    sys.exit(1 if given.strict and any(row.met is False for row in rows(found)) else 0)


def write(found: Mapping[str, Found], out: Path) -> None:
    """Both files of results."""
    (out / "results.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    (out / "results.md").write_text(page(found), "utf-8")


def _vectors(of: Found) -> Iterator[Row]:
    cpu, size = of["cpu_s"], of["workload"]
    ours = f"{cpu['ours']:.2f} s"
    about = f"{size['vectors'] / 1e6:.2g} M vectors x 130"
    yield Row(f"{about}, against a scan", ours, f"{cpu['floor']:.2f} s", of["ratio_to_floor"], "≤ 4.5")
    with_intake = f"{cpu['ours_with_intake']:.2f} s"
    yield Row("the same with intake", with_intake, f"{cpu['floor']:.2f} s", of["ratio_to_floor_with_intake"], "")
    for name, bar in (("pandas", "≥ 8"), ("polars", "≥ 5"), ("duckdb", "≥ 1")):
        if of.get(f"x_{name}") is not None:
            yield Row(f"the same by {name}", ours, f"{cpu[name]:.1f} s", of[f"x_{name}"], bar)
    us = f"{of['us_per_vector']:.2f} µs"
    if of["x_featuretools"] is None:
        yield Row("a vector by featuretools", us, "not installed", None, "≥ 30")
    else:
        theirs = f"{of['featuretools']['us_per_vector']:.0f} µs"
        yield Row("a vector by featuretools", us, theirs, of["x_featuretools"], "≥ 30")
    yield Row("peak memory, MB", f"{of['peak_rss_mb']:.0f}", _memory(of), of["peak_rss_mb"], "≤ 1000")
    steps, bars = of["us_per_event"], {"intake": "≤ 0.35", "encode": "≤ 0.5"}
    reading = steps["partition"] + steps["read"]
    yield Row("partition and read, µs/event", f"{reading:.2f}", "", reading, "≤ 0.5")
    for name, bar in bars.items():
        yield Row(f"{name}, µs/event", f"{steps[name]:.2f}", "", steps[name], bar)
    if "growth" in of:
        grown = of["growth"]
        yield Row("5 times the events, cost", f"{grown['cpu_s']:.1f} s", ours, grown["x_cpu"], "≤ 5.5")
        rss = of["peak_rss_mb_of"]["ours"]
        yield Row(
            "5 times the events, memory",
            f"{grown['peak_rss_mb']:.0f} MB",
            f"{rss:.0f} MB",
            grown["x_peak_rss"],
            "≤ 1.25",
        )
    if "full" in of:
        full = of["full"]
        name = f"shipped catalogue, {full['columns']} columns"
        yield Row(name, f"{full['us_per_vector']:.1f} µs", "", full["us_per_vector_per_column"], "")
        name = f"one household, {full['one_household_events']} events"
        yield Row(name, f"{full['one_household_us']:.0f} µs", "", full["one_household_us"], "≤ 150")


def _memory(of: Found) -> str:
    return f"{min(of['peak_rss_mb_of'][name] for name in ('pandas', 'polars', 'duckdb') if f'x_{name}' in of):.0f}"


def _explain(of: Found) -> Iterator[Row]:
    for name, key, batches in (
        ("contributions, batches, a row", "x_pred_contrib_batch", ("64", "1000")),
        ("contributions, one row", "x_pred_contrib_one", ("1",)),
    ):
        # The ratio is that of the model and batch that come off worst, so the times are theirs.
        measured = [
            (model["x_pred_contrib"][batch], model["us_per_row"][batch])
            for model in of["models"].values()
            for batch in batches
        ]
        worst = min(measured, key=lambda pair: pair[0])[1]
        ours, theirs = (f"{worst[way]:.0f} µs" for way in ("ours", "pred_contrib"))
        yield Row(name, ours, theirs, of[key], "≥ 10" if key.endswith("batch") else "≥ 1")
    yield Row("contributions, difference", "", "LightGBM", of["max_abs_diff"], "≤ 1e-9")
    theirs = f"{of['deep_pred_contrib_additivity_error']:.1e}"
    yield Row("deep trees, error of the sum", "", theirs, of["deep_additivity_error"], "≤ 1e-9")


def _batch(of: Found) -> Iterator[Row]:
    name = f"province, {of['households']:,} households"
    yield Row(name, f"{of['wall_s']:.0f} s", "", of["wall_s"], "≤ 60")
    yield Row("  memory with children, MB", f"{of['peak_rss_mb']:.0f}", "", of["peak_rss_mb"], "≤ 4096")
    for stage, share in sorted(of["shares"].items(), key=lambda item: -item[1])[:4]:
        yield Row(f"  {stage}, share", f"{of['stages'][stage]:.1f} s", "", share, "")


def _rules(of: Found) -> Iterator[Row]:
    yield Row("rules beside vectors", f"{of['us_per_household']:.0f} µs/hh", "", of["ratio_to_vectors"], "")


def _queue(of: Found) -> Iterator[Row]:
    least, most = (str(size) for size in (min(of["sizes"]), max(of["sizes"])))
    for name, pages in of["databases"].items():
        few, many = pages[least], pages[most]
        for key, what in (("first_ms", "first page"), ("deep_ms", "page at 10,000"), ("township_ms", "a township's")):
            bar = "≤ 100" if key == "first_ms" else ""
            told = f"queue of {int(most):,} on {name}, {what}, ms"
            yield Row(told, f"{many[key]:.0f}", f"{few[key]:.0f} of {int(least):,}", many[key], bar)


def _serve(of: Found) -> Iterator[Row]:
    lines = {(each["service"], each["connections"], each["households"]): each for each in of["lines"]}
    many = of["bodies"]["together"]
    yield from _beside_the_tutorial(of, lines)
    for workers, name in (("1", "ours"), ("2", "ours, 2 workers")):
        alone, served = of["bare_households_per_s"][workers].get("100"), lines[(name, 4, many)]["households_per_s"]
        what = f"{many} households a call beside in process, {workers} core(s), households/s"
        bar = "≥ 0.6" if workers == "1" else ""
        yield Row(what, f"{served:.0f}", f"{alone:.0f}", of["share_of_bare_100"][workers], bar)
    line, alone_ms = lines[("ours", 4, many)], of["bare_cpu_ms"].get("100", 0.0)
    spent = "" if line["cpu_ms"] is None else f"{line['cpu_ms'] / many:.2f}"
    yield Row("  processor ms a household, 1 core", spent, f"{alone_ms:.2f}", of["share_of_bare_100_cpu"], "")
    for c in ("1", "16", "64"):
        line = lines[("ours", int(c), 1)]
        what = f"p99 beside p50, {c} at once, ms"
        bar = "≤ 5" if c == "64" else ""
        high, middle = ("" if line[name] is None else f"{line[name]:.1f}" for name in ("p99_ms", "p50_ms"))
        yield Row(what, high, middle, of["p99_over_p50"][c], bar)
    yield Row(f"stops over 50 ms in {of['extent']['probe_s']:.0f} s", "", "", of["stops_over_50_ms"], "")
    soak = of["soak"]
    grown = f"{soak['rss_before_mb']:.0f} to {soak['rss_after_mb']:.0f}"
    yield Row(f"memory over {soak['requests']:,} requests, MB", grown, "", of["rss_growth_share"], "")
    yield Row("a store's share of the calls, 64 at once", "", "without", of["store_costs"]["c64x1"], "")
    yield Row("2 workers beside 1, 64 at once", "", "", of["x_two_workers_c64"], "")
    errors = sum(sum(line["errors"].values()) for line in of["lines"])
    yield Row("calls that were not answered", str(errors), "", float(errors), "≤ 0")


def _beside_the_tutorial(of: Found, lines: Mapping[Any, Found]) -> Iterator[Row]:
    for name, key, bar in (("tutorial", "x_tutorial_c64", "≥ 5"), ("tutorial of vectors", "x_vector_tutorial_c64", "")):
        ours, theirs = lines[("ours", 64, 1)], lines[(name, 64, 1)]
        yield Row(f"calls/s beside the {name}", f"{ours['per_s']:.0f}", f"{theirs['per_s']:.0f}", of[key], bar)
        spent, theirs_spent = ("" if each["cpu_ms"] is None else f"{each['cpu_ms']:.2f}" for each in (ours, theirs))
        yield Row("  processor ms a call", spent, theirs_spent, of[f"{key}_cpu"], "")


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.1e}" if 0 < row.ratio < 1e-3 else f"{row.ratio:.3g}"
    return row.what, row.ours, row.peer, ratio, row.bar, {True: "yes", False: "NO", None: ""}[row.met]


if __name__ == "__main__":
    main()
