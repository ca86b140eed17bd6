"""The bundle that a study's model would be used as, with everything in its manifest that decides whether it may be."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from models.bundle import write_bundle
from training.abstained import CODE
from training.card import card_figures

if TYPE_CHECKING:
    from training.study import Study


def write_candidate(done: Study, folder: Path, facts: dict[str, Any]) -> str:
    """Write the study's model as a bundle; gates, metrics and the figures of the model card go into its manifest.

    `facts` (at least `version` and `run_id`) are added as they are. Returns the bundle's SHA-256.
    """
    meta = done.dataset.meta
    return write_bundle(
        folder,
        model_text=done.learned.text,
        catalogue=done.catalogue,
        calibration=done.learned.calibration,
        certainty=done.certainty,
        similar=done.similar,
        bands=done.bands,
        reference=done.reference,
        base_rate=done.base_rate,
        importance=done.importance,
        had_unknown=done.learned.model.had_unknown,
        golden_values=done.golden_values,
        facts={
            "name": f"{meta.name}-{done.label.name}",
            "label": {
                "name": done.label.name,
                "horizon_months": done.label.horizon_months,
                "zh": done.label.meaning.zh,
                "en": done.label.meaning.en,
            },
            "data": {
                "name": meta.name,
                "digest": meta.digest,
                "provenance": meta.provenance,
                "catalogue": meta.catalogue,
                "currency": meta.currency,
                "time_zone": meta.time_zone,
                "regions": list(meta.regions),
                "sources": {name: list(lag) for name, lag in meta.sources.items()},
            },
            "training": {
                "rows": done.train_rows,
                "train_until": done.train_until,
                "split": done.split.description,
                "parameters": done.learned.parameters,
            },
            "valid_until": done.certainty.valid_until,
            "metrics": done.metrics,
            "baselines": done.baseline_metrics,
            "gates": [gate._asdict() for gate in done.gates],
            "card": card_figures(
                done.test,
                meta.time_zone,
                comparisons=done.comparisons,
                audit=done.audit,
                abstention_codes={
                    str(name).removeprefix(CODE): column.to_numpy(bool)
                    for name, column in done.test.filter(like=CODE).items()
                },
                publication_lag_days=done.publication_lag_days,
            ),
            "libraries": {name: version(name) for name in ("lightgbm", "numpy", "pandas", "scikit-learn")},
            **facts,
        },
    )
