"""The model card: what the model is, what it was judged on, what it must not be used for, what it cannot know.

Everything in it comes from the verified bundle, so that anybody who has the bundle can make the same card again. What
was not measured is named as missing; nothing is filled in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from features.definition import GROUP_TEXT, Direction, Feature, Group, Text
from models import card_texts as texts
from models.bundle import Bundle
from models.tier import CAPACITY_SHARES

SCHEMA = "card.v1"


def card(bundle: Bundle) -> dict[str, Any]:
    """The card of a bundle as JSON values, every text in Chinese and English.

    Figures come from the manifest: `metrics`, `baselines`, `gates`, `training`, `data` and, where training wrote it,
    `card` (see `training.card.card_figures`). `missing` lists the sections that have no figures.
    """
    manifest = bundle.manifest
    figures: Mapping[str, Any] = manifest.get("card") or {}
    written = {
        "schema": SCHEMA,
        "name": bundle.name,
        "version": bundle.version,
        "bundle_sha256": bundle.sha256,
        "run_id": manifest.get("run_id"),
        "valid_until": bundle.certainty.valid_until,
        "intended_uses": _coded(texts.INTENDED_USES),
        "forbidden_uses": _coded(texts.FORBIDDEN_USES),
        "foresees": {**manifest["label"], "base_rate": bundle.base_rate},
        "data": _data(bundle, figures),
        "label_honesty": _label_honesty(figures),
        "model": _model(bundle),
        "performance": _performance(manifest, figures),
        "capacity": _capacity(bundle),
        "calibration": _calibration(bundle, figures),
        "groups": figures.get("groups"),
        "abstention": figures.get("abstention"),
        "gates": [dict(gate) for gate in manifest.get("gates", [])],
        "cannot_know": _coded(texts.CANNOT_KNOW),
        "absent_domains": _absent_domains(bundle),
        "decision": {"authority": "human", "texts": [text._asdict() for text in texts.DECISION]},
        "objection": [text._asdict() for text in texts.OBJECTION],
        "versions": {
            "libraries": manifest.get("libraries", {}),
            "features_digest": bundle.catalogue.digest,
            "trees_sha256": manifest.get("trees_sha256"),
        },
    }
    return {**written, "missing": _missing(written)}


def _coded(those: Mapping[str, Text]) -> list[dict[str, str]]:
    return [{"code": code, **text._asdict()} for code, text in those.items()]


def _data(bundle: Bundle, figures: Mapping[str, Any]) -> dict[str, Any]:
    of, training = bundle.manifest["data"], bundle.manifest.get("training", {})
    lags = [{"source": name, "median_days": lag[0], "p95_days": lag[1]} for name, lag in bundle.sources.items()]
    return {
        **{name: of.get(name) for name in ("name", "digest", "provenance", "catalogue")},
        **{"currency": bundle.currency, "time_zone": bundle.time_zone, "regions": list(bundle.regions)},
        "sources": lags,
        "train_rows": training.get("rows"),
        "train_until": training.get("train_until"),
        "split": training.get("split"),
        "test": figures.get("test"),
    }


def _label_honesty(figures: Mapping[str, Any]) -> dict[str, Any]:
    given: Mapping[str, Any] = figures.get("label") or {}
    return {
        "texts": [text._asdict() for text in (texts.MATURE, texts.UNVISITED, texts.TREATED)],
        "treated_share": given.get("treated_share"),
        "routes": given.get("routes"),
        "publication_lag_days": given.get("publication_lag_days"),
    }


def _model(bundle: Bundle) -> dict[str, Any]:
    training = bundle.manifest.get("training", {})
    features = bundle.catalogue.features
    moved = float(bundle.importance.sum())
    domains = []
    for group in Group:
        inside = np.array([feature.group is group for feature in features], np.bool_)
        if inside.any():
            share = float(bundle.importance[inside].sum()) / moved if moved > 0.0 else None
            counted = _counted([feature for feature, is_in in zip(features, inside, strict=True) if is_in])
            domains.append({"group": group.value, **GROUP_TEXT[group]._asdict(), **counted, "share": share})
    return {
        "text": texts.MODEL._asdict(),
        "members": len(bundle.certainty.members) or None,
        "parameters": training.get("parameters"),
        **_counted(features),
        "domains": domains,
    }


def _counted(features: Sequence[Feature]) -> dict[str, int]:
    directed = sum(feature.direction is not Direction.OPEN for feature in features)
    return {"features": len(features), "monotone": directed}


def _performance(manifest: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    metrics: Mapping[str, float] = manifest.get("metrics") or {}
    shown = []
    for name, text in texts.METRICS.items():
        if (value := metrics.get(name)) is not None:
            interval = [metrics.get(f"{name}_low"), metrics.get(f"{name}_high")]
            whole = None if None in interval else interval
            shown.append({"metric": name, **text._asdict(), "value": value, "interval": whole})
    others = {
        name: {metric: values[metric] for metric in texts.METRICS if metric in values}
        for name, values in (manifest.get("baselines") or {}).items()
    }
    return {"metrics": shown, "challengers": others, "comparisons": figures.get("comparisons")}


def _capacity(bundle: Bundle) -> list[dict[str, Any]]:
    metrics: Mapping[str, float] = bundle.manifest.get("metrics") or {}
    return [
        {
            "tier": tier,
            **texts.TIERS[tier]._asdict(),
            "share": share,
            "from_probability": getattr(bundle.bands, tier),
            "reached": metrics.get(f"recall_at_{100 * share:g}pct"),
        }
        for tier, share in CAPACITY_SHARES.items()
    ]


def _calibration(bundle: Bundle, figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "slope": bundle.calibration.slope,
        "intercept": bundle.calibration.intercept,
        "fitted_on": {"rows": bundle.calibration.n, "positives": bundle.calibration.positives},
        "deciles": figures.get("deciles"),
    }


def _absent_domains(bundle: Bundle) -> list[dict[str, str]]:
    present = {feature.group for feature in bundle.catalogue.features}
    return [{"code": group.value, **GROUP_TEXT[group]._asdict()} for group in Group if group not in present]


def _missing(written: Mapping[str, Any]) -> list[str]:
    """Sections without the figures that belong there."""
    has = {
        "data": written["data"]["test"],
        "label_honesty": written["label_honesty"]["routes"],
        "performance": written["performance"]["metrics"],
        "calibration": written["calibration"]["deciles"],
        "groups": written["groups"],
        "abstention": written["abstention"],
        "gates": written["gates"],
        "valid_until": written["valid_until"],
    }
    return [name for name, figures in has.items() if not figures]


def is_number(value: object) -> bool:
    """Whether a figure of the card can be shown."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
