"""The model card behind `GET /model`: what the model is, what it was tested on, and what it must not be used for."""

from __future__ import annotations

from typing import Any

from models.bundle import Bundle
from models.card import card as model_card
from models.record_frame import LIMITS


def card(bundle: Bundle) -> dict[str, Any]:
    """The card of the bundle in use as JSON values (`models.card`), and what only a caller of the service asks for:
    the features one by one, and the metrics and gates of the training run, unchanged."""
    manifest, made = bundle.manifest, model_card(bundle)
    return {
        **made,
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
        "decision_authority": "human",
    }
