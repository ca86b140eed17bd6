"""A small line over time that is honest about where there was nothing: no line crosses a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from features.window import Micros

WIDTH, HEIGHT, MARGIN = 320, 72, 8
# A county in which everybody is at a low number must not look like a mountain range.
LEAST_TOP = 10.0


@dataclass(frozen=True)
class Sparkline:
    """A drawing of `WIDTH` x `HEIGHT`: a polyline for each run of neighbours with a number, a dot for each number, a
    place at the foot for each moment without one, and the same in words. `top` is what the upper edge stands for."""

    runs: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    blanks: tuple[float, ...]
    top: float
    said: tuple[str, ...]
    width: int = WIDTH
    height: int = HEIGHT


def sparkline(moments: Sequence[Micros], numbers: Sequence[float | None], said: tuple[str, ...]) -> Sparkline:
    """Lay out numbers per 100 at their moments, oldest first. Raises `ValueError` without any number.

    >>> drawn = sparkline([0, 1, 2, 3], [10.0, 5.0, None, 5.0], ("a", "b", "c", "d"))
    >>> drawn.runs, drawn.blanks, drawn.dots[-1]
    (('8.0,8.0 109.3,36.0',), (210.7,), (312.0, 36.0))
    """
    known = [number for number in numbers if number is not None]
    if not known:
        raise ValueError("a line needs a number")
    top, first = max(LEAST_TOP, *known), moments[0]
    span = max(moments[-1] - first, 1)
    runs: list[list[str]] = [[]]
    dots: list[tuple[float, float]] = []
    blanks: list[float] = []
    for moment, number in zip(moments, numbers, strict=True):
        x = round(MARGIN + (WIDTH - 2 * MARGIN) * (moment - first) / span, 1)
        if number is None:
            blanks.append(x)
            runs.append([])
        else:
            y = round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * number / top, 1)
            dots.append((x, y))
            runs[-1].append(f"{x},{y}")
    lines = tuple(" ".join(run) for run in runs if len(run) > 1)
    return Sparkline(lines, tuple(dots), tuple(blanks), top, said)
