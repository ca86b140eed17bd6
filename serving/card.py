"""The model card behind `GET /model`: what the model is, what it was tested on, and what it must not be used for."""

from __future__ import annotations

from typing import Any

from models.bundle import Bundle
from models.record_frame import LIMITS

FORBIDDEN_USES = [
    {
        "zh": "不得据此自动给予、拒绝、暂停或取消任何救助。",
        "en": "Granting, refusing, suspending or ending any assistance automatically.",
    },
    {
        "zh": "不得用分数低代替走访，也不得据此把户移出监测名单。",
        "en": "Using a low score in place of a visit, or to take a household off the watch list.",
    },
    {"zh": "不得公布户名单或分数。", "en": "Publishing names of households or their scores."},
    {"zh": "不得用于考核、排名基层工作人员。", "en": "Rating or ranking the people who do the work."},
    {
        "zh": "不得用于执法、信贷、就业或入学审查。",
        "en": "Law enforcement, credit, employment or school admission.",
    },
]


def card(bundle: Bundle) -> dict[str, Any]:
    """The card as JSON values; `metrics` and `gates` are those of the training run, unchanged."""
    manifest = bundle.manifest
    return {
        "name": bundle.name,
        "version": bundle.version,
        "bundle_sha256": bundle.sha256,
        "label": manifest["label"],
        "base_rate": bundle.base_rate,
        "trained_on": {**manifest["data"], **manifest.get("training", {})},
        "metrics": manifest.get("metrics", {}),
        "baselines": manifest.get("baselines", {}),
        "gates": manifest.get("gates", []),
        "libraries": manifest.get("libraries", {}),
        "features": [
            {
                "name": feature.name,
                "meaning": feature.meaning._asdict(),
                "group": feature.group.value,
                "unit": feature.unit.value,
                "window_months": feature.window.months,
                "when_absent": feature.when_absent.value,
                "direction": feature.direction.name.lower(),
            }
            for feature in bundle.catalogue.features
        ],
        "features_digest": bundle.catalogue.digest,
        "limits": LIMITS,
        "forbidden_uses": FORBIDDEN_USES,
        "decision_authority": "human",
    }
