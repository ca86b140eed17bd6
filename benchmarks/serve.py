"""The scoring service under load, beside the tutorial's service on the same model and the same work without HTTP.

Everything happens on this machine and ends by itself. One-worker services are up at the same time and take turns, each
held to the first core, while the client has the second; so the ratios are of one run and of one core each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal

from benchmarks.apart import machine, run_apart
from benchmarks.batch import trained_bundle
from benchmarks.bodies import Bodies, write_bodies
from benchmarks.load import TOKEN as TOKEN_VARIABLE
from benchmarks.serve_check import refuse_difference
from benchmarks.serve_figures import EVENTS, OURS, STORED, TWO, VECTOR, Point, line, ratios
from benchmarks.services import TOKEN, Running, on_cores, our_service, tutorial_service
from benchmarks.wrk import put_by_wrk
from features.dataset import META_FILE
from models.bundle import read_bundle
from training.county.simulate import simulate

SERVICE_CORE, CLIENT_CORE = (0,), (1,)
BOTH = (*SERVICE_CORE, *CLIENT_CORE)
MONTHS, SEED = 60, 11
WARM_CONNECTIONS, LOADED_CONNECTIONS = 16, 16
PROBE_EVERY_S = 0.01
SOAK_WITHIN_S = 3600.0

Progress = Callable[[str], None]
Client = Literal["own", "wrk"]
Rounds = dict[Point, list[dict[str, Any]]]


@dataclass(frozen=True)
class Extent:
    """How much is measured: seconds of a line in one round, rounds, bodies, and how long probe and soak are."""

    seconds: float = 4.0
    rounds: int = 3
    households: int = 400
    together: int = 100
    county: int = 3_000
    warm_s: float = 2.0
    probe_s: float = 60.0
    soak: int = 3_000


QUICK = Extent(seconds=0.4, rounds=1, households=20, together=10, county=200, warm_s=0.2, probe_s=0.5, soak=20)


def serve_benchmark(
    folder: Path | None = None,
    *,
    bundle: Path | None = None,
    county: Path | None = None,
    extent: Extent | None = None,
    client: Client | None = None,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """All figures of `povrisk benchmark serve`.

    `bundle` is any published bundle of the core catalogue; without one a small model is trained first. The households
    asked about are those of `county`, or of a simulated one. `folder` keeps both for the next time.
    """
    if folder is None:
        with TemporaryDirectory(prefix="povrisk-benchmark-") as place:
            return serve_benchmark(
                Path(place), bundle=bundle, county=county, extent=extent, client=client, progress=progress
            )
    folder.mkdir(parents=True, exist_ok=True)
    extent, client = extent or Extent(), client or "own"
    bundle = bundle or trained_bundle(folder, progress)
    if county is None:
        county = folder / f"county-{extent.county}"
        if not (county / META_FILE).is_file():
            progress("Simulating a county")
            simulate(county, households=extent.county, months=MONTHS, seed=SEED)
    with TemporaryDirectory(dir=folder) as place:
        return _Run(bundle.resolve(), county, Path(place).resolve(), extent, client, progress).figures()


class _Run:
    def __init__(
        self, bundle: Path, county: Path, scratch: Path, extent: Extent, client: Client, progress: Progress
    ) -> None:
        self.bundle, self.scratch, self.extent, self.client, self.progress = bundle, scratch, extent, client, progress
        opened = read_bundle(bundle)
        progress("Writing the bodies")
        self.bodies: Bodies = write_bodies(
            scratch, county, opened, households=extent.households, together=extent.together
        )
        self.opened, self.rounds = opened, dict[Point, list[dict[str, Any]]]()
        self.bare: dict[str, list[dict[str, float]]] = {"1": [], "2": []}
        self.bare_cpu_ms: list[dict[str, float]] = []

    def figures(self) -> dict[str, Any]:
        """Everything, in the order in which it is measured."""
        many = self.bodies.together
        ours = [Point(OURS, c) for c in (1, 16, 64)] + [Point(OURS, c, many) for c in (1, 4)]
        theirs = [Point(EVENTS, c) for c in (1, 16, 64)] + [Point(EVENTS, 4, many)]
        points = [*ours, Point(STORED, 64), Point(STORED, 4, many), *theirs, *(Point(VECTOR, c) for c in (1, 16, 64))]
        with self._one_worker_each() as services:
            files = {name: self.bodies.file(1, is_vector=name == VECTOR) for name in services}
            agreement = refuse_difference(
                self.opened, {name: (_score(of), files[name]) for name, of in services.items() if name != STORED}
            )
            self._measure(services, points, processes=1)
            probe, soak = self._probe(services[OURS]), self._soak(services[OURS])
        with our_service(self.bundle, self.scratch, workers=2, store="none", cores=BOTH) as both:
            self._measure({TWO: both}, [point._replace(service=TWO) for point in ours], processes=2)
        lines = [line(point, rounds) for point, rounds in self.rounds.items()]
        bare = {processes: _medians(rounds) for processes, rounds in self.bare.items()}
        bare_cpu_ms = _medians(self.bare_cpu_ms)
        return {
            **ratios(lines, bare, bare_cpu_ms, many),
            "stops_over_50_ms": probe["over_50_ms"],
            "rss_growth_share": soak["rss_growth_share"],
            "lines": lines,
            "bare_households_per_s": bare,
            "bare_cpu_ms": bare_cpu_ms,
            "probe": probe,
            "soak": soak,
            "client": self.client,
            "agreement": agreement,
            "bodies": {name: value for name, value in asdict(self.bodies).items() if not isinstance(value, Path)},
            "extent": asdict(self.extent),
            "machine": machine(),
        }

    @contextmanager
    def _one_worker_each(self) -> Iterator[dict[str, Running]]:
        """All at once: the ones that are not asked do nothing."""
        at: Any = {"cores": SERVICE_CORE}
        store = f"sqlite:///{self.scratch / 'store.db'}"
        with ExitStack() as stack:
            self.progress("Starting the services")
            yield {
                OURS: stack.enter_context(our_service(self.bundle, self.scratch, workers=1, store="none", **at)),
                STORED: stack.enter_context(our_service(self.bundle, self.scratch, workers=1, store=store, **at)),
                EVENTS: stack.enter_context(tutorial_service("events", self.bundle, self.scratch, **at)),
                VECTOR: stack.enter_context(tutorial_service("vector", self.bundle, self.scratch, **at)),
            }

    def _measure(self, services: Mapping[str, Running], points: Sequence[Point], *, processes: int) -> None:
        """Every point in every round, and the same work without HTTP. Lines that are compared are neighbours."""
        warm = {(point.service, point.households) for point in points}
        for name, households in sorted(warm):
            self._ask(services[name], Point(name, WARM_CONNECTIONS, households), self.extent.warm_s)
        ordered = sorted(points, key=lambda point: (point.households, point.connections))
        for number in range(self.extent.rounds):
            self.progress(f"Round {number + 1} of {self.extent.rounds}, {processes} in process")
            self.bare[str(processes)].append(self._bare(processes))
            for point in ordered:
                self.progress(f"{point.service}: {point.connections} at once, {point.households} each")
                service = services[point.service]
                rss, cpu = service.rss_mb(), service.cpu_s()
                told = self._ask(service, point, self.extent.seconds)
                told |= {"service_cpu_s": service.cpu_s() - cpu}
                told |= {"rss_before_mb": rss, "rss_after_mb": service.rss_mb()}
                self.rounds.setdefault(point, []).append(told)

    def _ask(self, service: Running, point: Point, seconds: float) -> dict[str, Any]:
        bodies = self.bodies.file(point.households, is_vector=point.service == VECTOR)
        with on_cores(BOTH if point.service == TWO else CLIENT_CORE):
            if self.client == "own":
                return _load(_score(service), bodies, connections=point.connections, seconds=seconds)
            return put_by_wrk(
                _score(service), bodies, TOKEN, connections=point.connections, seconds=max(1, round(seconds))
            )

    def _bare(self, processes: int) -> dict[str, float]:
        """Households a second without a service, by size of the group; of several processes the sum."""

        def one(core: int) -> dict[str, Any]:
            with on_cores((core,)):
                arguments = [str(self.bundle), str(self.bodies.one), "--seconds", str(self.extent.seconds)]
                return run_apart("benchmarks.bare", arguments)

        with ThreadPoolExecutor(processes) as pool:
            found = list(pool.map(one, BOTH[:processes]))
        if processes == 1:
            self.bare_cpu_ms.append({name: told["cpu_ms"] for name, told in found[0].items()})
        return {name: sum(each[name]["households_per_s"] for each in found) for name in found[0]}

    def _probe(self, service: Running) -> dict[str, Any]:
        """A hundred times a second, while others ask: how long is `GET /livez` not answered?"""
        self.progress(f"Probing for {self.extent.probe_s:.0f} s")

        def loaded() -> dict[str, Any]:
            with on_cores(CLIENT_CORE):
                bodies, seconds = self.bodies.one, self.extent.probe_s + 2
                return _load(_score(service), bodies, connections=LOADED_CONNECTIONS, seconds=seconds)

        with ThreadPoolExecutor(1) as pool:
            load = pool.submit(loaded)
            with on_cores(CLIENT_CORE):
                probed = _load(
                    f"{service.url}/livez", None, connections=1, seconds=self.extent.probe_s, every_s=PROBE_EVERY_S
                )
        return {**probed, "calls_per_s_meanwhile": load.result()["per_s"]}

    def _soak(self, service: Running) -> dict[str, Any]:
        """Many requests, and how much more memory the service holds after them."""
        self.progress(f"Soaking with {self.extent.soak:,} requests")
        before = service.rss_mb()
        with on_cores(CLIENT_CORE):
            told = _load(
                _score(service),
                self.bodies.one,
                connections=LOADED_CONNECTIONS,
                seconds=SOAK_WITHIN_S,
                limit=self.extent.soak,
            )
        after = service.rss_mb()
        return {**told, "rss_before_mb": before, "rss_after_mb": after, "rss_growth_share": after / before - 1}


def _score(service: Running) -> str:
    return f"{service.url}/score"


def _load(
    address: str,
    bodies: Path | None,
    *,
    connections: int,
    seconds: float,
    limit: int | None = None,
    every_s: float = 0.0,
) -> dict[str, Any]:
    """One run of our own client, in a process of its own."""
    arguments = [address, "--connections", str(connections), "--seconds", str(seconds), "--every", str(every_s)]
    arguments += [] if bodies is None else ["--bodies", str(bodies)]
    arguments += [] if limit is None else ["--limit", str(limit)]
    return run_apart("benchmarks.load", arguments, environment={TOKEN_VARIABLE: TOKEN})


def _medians(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: median(each[name] for each in rounds) for name in rounds[0]}
