"""`make demo`: from nothing to an explained score over HTTP, with synthetic households, through the public doors only.

Simulates a county, trains under MLflow, publishes, fills the queue, starts the service on a free loopback port, posts
one household, prints its assessment in Chinese and English, records a visit, and stops. Everything it makes lies in
`demo/`; `make serve` goes on with it, on the day on which the county's records end.
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
from email.message import Message
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from features.dataset import read_meta
from serving.running import free_port
from serving.terminal import show

HOUSEHOLDS, MONTHS, SEED, VISITS = 5_000, 60, 7, 60
READY_WITHIN_S = 120
STOP_WITHIN_S = 30


def main() -> None:
    """Run the demo; exits with the failing command's code if one fails."""
    console = Console()
    place = Path("demo")
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    runs, store = (f"sqlite:///{(place / name).as_posix()}" for name in ("mlflow.db", "store.db"))
    environment = {**os.environ, "MLFLOW_TRACKING_URI": runs}
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

    console.rule("3 of 5  Publishing the bundle, scoring the county, filling the queue")
    _povrisk(["publish", trained["run_id"], "--out", str(bundle)], environment)
    today = read_meta(county).moments.until
    # The service lives on the day on which the records of the county end.
    environment["POVRISK_TODAY"] = today
    (place / "today").write_text(today + "\n", encoding="utf-8")
    filled = ["--store", store, "--visits", str(VISITS)]
    _povrisk(["score", str(bundle), str(county), "--as-of", today, "--out", str(scores), *filled], environment)

    console.rule("4 of 5  One household over HTTP, and what a visit finds")
    household = _telling_household(scores)
    asked = _povrisk(["request", str(county), "--household", household, "--as-of", today], environment, capture=True)
    answer, receipt = _over_http(bundle, asked.encode(), today, {**environment, "POVRISK_STORE": store})
    console.rule("5 of 5  The assessment, for a person to review")
    show(answer, None, console)
    _print_receipt(receipt, console)
    console.print(f"\nThe whole answer: {place / 'assessment.json'}", soft_wrap=True)
    (place / "assessment.json").write_text(json.dumps(answer, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    console.print(f"MLflow UI:        .venv/bin/mlflow ui --backend-store-uri {runs}", soft_wrap=True)
    console.print("The pages:        make serve, then http://127.0.0.1:3000/login with a token that it prints")
    console.print("The API:          make serve, then http://127.0.0.1:3000/docs.json with the same token")


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


def _over_http(
    bundle: Path, body: bytes, today: str, environment: dict[str, str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Start the service, ask it once, report a visit, stop it; the assessment and the receipt."""
    url = f"http://127.0.0.1:{(port := free_port('127.0.0.1', 0))}"
    tokens = {role: secrets.token_urlsafe(24) for role in ("platform", "caseworker")}
    service = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "features.command_line", "serve", str(bundle), "--port", str(port)],
        env={**environment, "POVRISK_TOKENS": ",".join(f"{role}:{token}" for role, token in tokens.items())},
    )
    try:
        _wait_until_ready(service, f"{url}/readyz")
        answer = _call(f"{url}/score", tokens["platform"], body, "prioritise_visit")[0]["results"][0]
        path = f"{url}/assessments/{answer['assessment_id']}"
        version = _call(path, tokens["caseworker"])[1]["X-Task-Version"]
        visit = _visit(answer, int(version), today)
        receipt, _ = _call(f"{path}/feedback", tokens["caseworker"], json.dumps(visit).encode(), key="demo-visit")
        return answer, receipt
    finally:
        service.terminate()
        service.wait(STOP_WITHIN_S)


def _visit(answer: dict[str, Any], version: int, today: str) -> dict[str, Any]:
    """What somebody might report: the first fact is right, and the tier too."""
    first = next(fact["fact_id"] for reason in answer["reasons"] for fact in reason["facts"])
    return {
        "version": version,
        "visited_on": today,
        "facts": [{"fact_id": first, "answer": "confirmed"}],
        "judgement": {"judgement": "about_right"},
    }


def _call(
    url: str, token: str, body: bytes | None = None, purpose: str = "prepare_visit", key: str = ""
) -> tuple[dict[str, Any], Message]:
    """One call: what it answers, and with which headers."""
    print(f"{'GET' if body is None else 'POST'} {url}")  # noqa: T201 - this is what the demo shows
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", "X-Purpose": purpose}
    if key:
        headers["Idempotency-Key"] = key
    with urllib.request.urlopen(  # noqa: S310
        urllib.request.Request(url, data=body, headers=headers),  # noqa: S310
        timeout=30,
    ) as reply:
        return json.load(reply), reply.headers


def _print_receipt(receipt: dict[str, Any], console: Console) -> None:
    entry = f"entry {receipt['journal_seq']} of the journal, {receipt['journal_hash'][:16]}..."
    console.print(f"\nThe visit:        review {receipt['review_id'][:8]}..., {entry}", soft_wrap=True)
    console.print(f"Assessed again:   {receipt['assessment_id']}", soft_wrap=True)


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
