"""Figures show the numbers they claim to show, at a legible size, also where there is little to show."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest

from features.definition import GROUP_TEXT, Group
from training.baselines import BEST_SINGLE
from training.evaluation import reached, visits_at
from training.plots import MODEL, TRUTH, calibration_figure, importance_figure, recall_figure, score_figure


def forecasts(n: int = 5_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    margin = rng.normal(-3.0, 1.2, n)
    return (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(float), 1 / (1 + np.exp(-margin))


def size(figure: Any) -> tuple[int, int]:
    written = io.BytesIO()
    figure.savefig(written, format="png")
    return struct.unpack(">II", written.getvalue()[16:24])


def few() -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(12), np.full(12, 0.03)


@pytest.mark.parametrize("rows", [forecasts, few])
def test_every_figure_is_a_thousand_pixels_wide_with_a_title_and_named_axes(rows: Any) -> None:
    y, p = rows()
    figures = [
        calibration_figure(y, p),
        recall_figure(y, {MODEL: p, BEST_SINGLE: np.round(p, 1)}),
        score_figure(y, p),
        importance_figure({Group.INCOME: 0.4, Group.MEDICAL: 0.2}),
    ]
    for figure in figures:
        assert size(figure) == (1000, 560)
        for axes in figure.axes:
            assert axes.get_title()
            assert axes.get_xlabel()
            assert axes.get_ylabel()


def test_the_calibration_figure_counts_every_row_once() -> None:
    y, p = forecasts()
    shares, counts = calibration_figure(y, p, groups=8).axes
    assert sum(int(text.get_text().replace(",", "")) for text in counts.get_xticklabels()) == len(y)
    foretold, observed = (sum(bar.get_height() for bar in bars) for bars in counts.containers)
    assert (foretold, observed) == (pytest.approx(p.sum()), y.sum())
    points = shares.lines[1]
    assert len(points.get_xdata()) == 8
    assert np.mean(points.get_ydata()) == pytest.approx(y.mean(), abs=1e-3)


def test_equal_scores_are_never_split_between_groups() -> None:
    y = np.array([0.0, 1.0] * 50)
    _, counts = calibration_figure(y, np.repeat([0.1, 0.2], 50)).axes
    assert [text.get_text() for text in counts.get_xticklabels()] == ["50", "50"]


def test_the_recall_curve_meets_the_recall_at_every_capacity() -> None:
    y, p = forecasts()
    p = np.round(p, 2)
    line = recall_figure(y, {MODEL: p}).axes[0].lines[0]
    for share in (0.02, 0.05, 0.10, 0.25):
        expected = reached(y, p, visits_at(share, len(y))).expected / y.sum()
        assert np.interp(share, line.get_xdata(), line.get_ydata()) == pytest.approx(expected, abs=1e-9)


def test_curves_are_compared_on_the_same_rows() -> None:
    y, p = forecasts()
    truth = np.where(np.arange(len(y)) < 1_000, np.nan, p)
    axes = recall_figure(y, {MODEL: p, TRUTH: truth}).axes[0]
    assert np.array_equal(axes.lines[0].get_ydata(), axes.lines[1].get_ydata())
    assert f"({len(y) - 1_000:,} rows" in axes.get_title()


def test_each_outcome_of_the_score_figure_adds_up_to_the_whole() -> None:
    y, p = forecasts()
    axes = score_figure(y, p).axes[0]
    words = [text.get_text() for text in axes.get_legend().get_texts()]
    assert words[:2] == [f"without the outcome ({int((y == 0).sum()):,})", f"with the outcome ({int(y.sum()):,})"]
    for patch in axes.patches:
        heights = patch.get_xy()[1:-1:2, 1]
        assert heights[: len(heights) // 2 + 1].sum() == pytest.approx(1.0, abs=0.02)


def test_the_importance_figure_puts_the_strongest_domain_on_top() -> None:
    axes = importance_figure({Group.INCOME: 0.1, Group.MEDICAL: 0.5, Group.COPING: 0.3}).axes[0]
    named = [text.get_text() for text in axes.get_yticklabels()]
    assert named[-1] == GROUP_TEXT[Group.MEDICAL].en
    assert [bar.get_width() for bar in axes.containers[0]] == [0.1, 0.3, 0.5]
