"""The figures of `povrisk benchmark serve`: medians over rounds, and the ratios that the bars are set on."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

OURS, STORED, TWO, EVENTS, VECTOR = "ours", "ours with a store", "ours, 2 workers", "tutorial", "tutorial of vectors"


class Point(NamedTuple):
    """One line of the table: who is asked by how many connections with how many households a call."""

    service: str
    connections: int
    households: int = 1


Measured = Mapping[Point, Sequence[Mapping[str, Any]]]


def line(point: Point, rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians over the rounds; the worst of maxima, the sum of errors.

    >>> of = {"per_s": 8.0, "p50_ms": 2.0, "p99_ms": 3.0, "max_ms": 9.0, "errors": {}, "requests": 80, "wall_s": 10.0,
    ...       "service_cpu_s": 4.0, "client_cpu_s": 1.0, "rss_before_mb": 1.0, "rss_after_mb": 2.0}
    >>> told = line(Point("ours", 1, 100), [of, {**of, "per_s": 10.0, "max_ms": 8.0}, {**of, "errors": {"503": 2}}])
    >>> told["per_s"], told["households_per_s"], told["max_ms"], told["errors"], told["cpu_ms"], told["service_cores"]
    (8.0, 800.0, 9.0, {'503': 2}, 50.0, 0.4)
    """
    middle = {name: _median(rounds, name) for name in ("per_s", "p50_ms", "p99_ms")}
    errors: Counter[str] = Counter()
    for each in rounds:
        errors.update(each["errors"])
    requests = sum(each["requests"] for each in rounds)
    wall_s = sum(each["wall_s"] for each in rounds)
    return {
        **point._asdict(),
        **middle,
        "households_per_s": None if middle["per_s"] is None else middle["per_s"] * point.households,
        "max_ms": max((each["max_ms"] for each in rounds if each["max_ms"] is not None), default=None),
        "requests": requests,
        "errors": dict(errors),
        "cpu_ms": 1e3 * sum(each["service_cpu_s"] for each in rounds) / requests if requests else None,
        "service_cores": sum(each["service_cpu_s"] for each in rounds) / wall_s,
        "client_cores": sum(each["client_cpu_s"] for each in rounds) / wall_s,
        "rss_before_mb": rounds[0]["rss_before_mb"],
        "rss_after_mb": rounds[-1]["rss_after_mb"],
    }


def ratios(
    lines: Sequence[Mapping[str, Any]],
    bare: Mapping[str, Mapping[str, Any]],
    bare_cpu_ms: Mapping[str, float],
    together: int,
) -> dict[str, Any]:
    """What the bars are set on, and what else is worth comparing; None where something was not measured.

    `bare` has households a second of one process alone (`"1"`) and of two at once (`"2"`), by size of the group;
    `bare_cpu_ms` the processor milliseconds a household of one.
    The `..._cpu` compare processor time instead of calls a second: they hold on a busy machine, too.
    """
    of = {Point(each["service"], each["connections"], each["households"]): each for each in lines}

    def ratio(over: Point, under: Point, name: str) -> float | None:
        return _over(_get(of, over, name), _get(of, under, name))

    ours, many = Point(OURS, 64), Point(OURS, 4, together)
    return {
        "x_tutorial_c64": ratio(ours, Point(EVENTS, 64), "per_s"),
        "x_tutorial_c64_cpu": ratio(Point(EVENTS, 64), ours, "cpu_ms"),
        "x_vector_tutorial_c64": ratio(ours, Point(VECTOR, 64), "per_s"),
        "x_vector_tutorial_c64_cpu": ratio(Point(VECTOR, 64), ours, "cpu_ms"),
        "share_of_bare_100": {
            workers: _over(_get(of, at, "households_per_s"), bare.get(workers, {}).get("100"))
            for workers, at in (("1", many), ("2", many._replace(service=TWO)))
        },
        "share_of_bare_100_cpu": _over(
            bare_cpu_ms.get("100", 0.0) * together,
            _get(of, many, "cpu_ms"),
        ),
        "share_of_bare_64": _over(_get(of, ours, "per_s"), bare.get("1", {}).get("64")),
        "p99_over_p50": {
            str(c): _over(_get(of, Point(OURS, c), "p99_ms"), _get(of, Point(OURS, c), "p50_ms")) for c in (1, 16, 64)
        },
        "store_costs": {
            f"c{at.connections}x{at.households}": _over(
                _get(of, at._replace(service=STORED), "per_s"), _get(of, at, "per_s")
            )
            for at in (ours, many)
        },
        "x_two_workers_c64": ratio(ours._replace(service=TWO), ours, "per_s"),
    }


def _get(of: Mapping[Point, Mapping[str, Any]], point: Point, name: str) -> float | None:
    found = of.get(point)
    return None if found is None else found[name]


def _over(over: float | None, under: float | None) -> float | None:
    return over / under if over is not None and under else None


def _median(rounds: Sequence[Mapping[str, Any]], name: str) -> float | None:
    known = [each[name] for each in rounds if each[name] is not None]
    return statistics.median(known) if known else None
