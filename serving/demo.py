"""`make demo`: from nothing to an explained score over HTTP, with synthetic households, through the public doors only.

Simulates a county, trains under MLflow, publishes, starts the service on a free loopback port, posts one household,
prints its assessment in Chinese and English, and stops. Everything it makes lies in `demo/`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from features.dataset import read_meta
from serving.running import free_port
from serving.terminal import show

HOUSEHOLDS, MONTHS, SEED = 5_000, 60, 7
READY_WITHIN_S = 120
STOP_WITHIN_S = 30


def main() -> None:
    """Run the demo; exits with the failing command's code if one fails."""
    console = Console()
    place = Path("demo")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    store = f"sqlite:///{(place / 'mlflow.db').as_posix()}"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": store}
    county, bundle, scores = place / "county", place / "bundle", place / "scores.parquet"

    console.rule("1 of 5  A synthetic county with known truth")
    size = ["--households", str(HOUSEHOLDS), "--months", str(MONTHS), "--seed", str(SEED)]
    _povrisk(["simulate", *size, "--out", str(county)], environment)

    console.rule("2 of 5  Training under MLflow")
    predictions = str(place / "predictions.parquet")
    trained = json.loads(
        _povrisk(["train", str(county), "--predictions", predictions, "--json"], environment, capture=True)
    )
    _print_study(trained, console)

    console.rule("3 of 5  Publishing the bundle, scoring the county")
    _povrisk(["publish", trained["run_id"], "--out", str(bundle)], environment)
    as_of = read_meta(county).moments.until
    _povrisk(["score", str(bundle), str(county), "--as-of", as_of, "--out", str(scores)], environment)

    console.rule("4 of 5  One household over HTTP")
    household = _telling_household(scores)
    asked = _povrisk(["request", str(county), "--household", household, "--as-of", as_of], environment, capture=True)
    answer = _over_http(bundle, asked.encode(), environment)
    console.rule("5 of 5  The assessment, for a person to review")
    show(answer, None, console)
    console.print(f"\nThe whole answer: {place / 'assessment.json'}", soft_wrap=True)
    (place / "assessment.json").write_text(json.dumps(answer, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    console.print(f"MLflow UI:        .venv/bin/mlflow ui --backend-store-uri {store}", soft_wrap=True)
    console.print("The service:      make serve   (its API is described at http://127.0.0.1:3000/docs.json)")


def _povrisk(arguments: list[str], environment: dict[str, str], *, capture: bool = False) -> str:
    command = [sys.executable, "-m", "features.command_line", *arguments]
    done = subprocess.run(  # noqa: S603 - our own module and our own arguments
        command, env=environment, check=False, stdout=subprocess.PIPE if capture else None, encoding="utf-8"
    )
    if done.returncode != 0:
        sys.exit(done.returncode)
    return done.stdout or ""


def _print_study(found: dict[str, Any], console: Console) -> None:
    """The few numbers that say whether the model is worth anything."""
    table = Table("on the test rows", "AUC", "average precision", "recall at 5 %", "obs / exp")
    console.print(found["first_line"], markup=False)
    for name, metrics in {"this model": found["metrics"], **found["baselines"]}.items():
        shown = ("auc", "average_precision", "recall_at_5pct", "observed_expected")
        table.add_row(name, *(f"{metrics[metric]:.3f}" for metric in shown))
    console.print(table)
    metrics = found["metrics"]
    console.print(f"The true hazard of this synthetic county has AUC {metrics['truth_auc']:.3f} on the same rows.")
    console.print(found["why"], markup=False)


def _telling_household(scores: Path) -> str:
    """The household with the most reasons among those at the top of the list."""
    table = pq.read_table(scores, columns=["household_id", "status", "probability", "reasons"]).to_pandas()
    scored = table[table["status"] == "scored"].nlargest(50, "probability")
    most = scored["reasons"].map(len).idxmax()
    return str(scored.loc[most, "household_id"])


def _over_http(bundle: Path, body: bytes, environment: dict[str, str]) -> dict[str, Any]:
    """Start the service, ask it once, stop it."""
    port, token = free_port("127.0.0.1", 0), secrets.token_urlsafe(24)
    service = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "features.command_line", "serve", str(bundle), "--port", str(port)],
        env={**environment, "POVRISK_TOKENS": f"platform:{token}"},
    )
    try:
        _wait_until_ready(service, f"http://127.0.0.1:{port}/readyz")
        call = urllib.request.Request(
            f"http://127.0.0.1:{port}/score",
            data=body,
            headers={
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
                "X-Purpose": "prepare_visit",
            },
        )
        print(f"POST http://127.0.0.1:{port}/score")  # noqa: T201 - this is what the demo shows
        with urllib.request.urlopen(call, timeout=30) as reply:  # noqa: S310
            answer: dict[str, Any] = json.load(reply)["results"][0]
            return answer
    finally:
        service.terminate()
        service.wait(STOP_WITHIN_S)


def _wait_until_ready(service: subprocess.Popen[bytes], url: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        if service.poll() is not None:
            sys.exit("the service did not start")
        try:
            with urllib.request.urlopen(url, timeout=2):  # noqa: S310
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    sys.exit("the service was not ready in time")


if __name__ == "__main__":
    main()
