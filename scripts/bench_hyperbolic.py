"""Speed of exact hyperbolic Delaunay graphs and of HyperDGA against what each could be without.

Each variant of each work runs in a process of its own with one thread, several times in turn with
the others of its work; the table has the median seconds of processor time, how many times those of
the first variant they are, the peak of memory of the process, and what was found.

    python scripts/bench_hyperbolic.py --quick
    python scripts/bench_hyperbolic.py --out results/benchmarks/hyperbolic.csv
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarking import Benchmark, run_benchmark

#: A variant: the run, which returns what was found, and by what its seconds are multiplied.
Variant = tuple[Callable[[], str], float]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the works; `quick` ones only show that everything runs."""

    plane: int = 10_000
    large_plane: int = 100_000
    high: int = 1_000
    pairs: int = 200
    scored: int = 36_000
    sampled: int = 10_000
    stars: int = 40


QUICK = Sizes(plane=500, large_plane=1_000, high=60, pairs=20, scored=500, sampled=150, stars=10)

DIMENSION = 10


def _disk(n: int, radius: float = 8.0) -> Any:
    """Points of the uniform law on a hyperbolic disk, in Poincaré coordinates."""
    import numpy as np

    rng = np.random.default_rng(0)
    r = np.arccosh(1 + (np.cosh(radius) - 1) * rng.random(n))
    angle = 2 * np.pi * rng.random(n)
    return np.tanh(r / 2)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)


def _wrapped(n: int) -> Any:
    """Points of a wrapped normal law of scale 1 in ten dimensions."""
    import numpy as np

    from repgeo.hyperbolic import WrappedNormal

    law = WrappedNormal(np.zeros(DIMENSION), np.ones(DIMENSION))
    return law.sample(n, generator=np.random.default_rng(0))


def _planar(n: int) -> dict[str, Variant]:
    import numpy as np
    from scipy.spatial import ConvexHull

    from repgeo.hyperbolic import delaunay_edges

    points = _disk(n)
    lifted = np.column_stack([points, (points**2).sum(axis=1)])
    return {
        "scipy ConvexHull of the lifted points": (
            lambda: f"{len(ConvexHull(lifted).simplices)} facets",
            1.0,
        ),
        "repgeo delaunay_edges": (lambda: f"{len(delaunay_edges(points))} edges", 1.0),
    }


def plane(sizes: Sizes) -> dict[str, Variant]:
    """The exact graph of a disk of radius 8 in two dimensions."""
    return _planar(sizes.plane)


def large_plane(sizes: Sizes) -> dict[str, Variant]:
    """The exact graph of a larger set in the same disk."""
    return _planar(sizes.large_plane)


def high_dimension(sizes: Sizes) -> dict[str, Variant]:
    """The exact graph of a wrapped normal of scale 1 in ten dimensions."""
    import numpy as np
    from scipy.optimize import nnls

    from repgeo.hyperbolic import delaunay_edges
    from repgeo.hyperbolic.sites import sites_of

    points = _wrapped(sizes.high)
    n = len(points)

    def pair_by_pair() -> str:
        sites = sites_of(points, "poincare")
        rng = np.random.default_rng(0)
        joined = 0
        for _ in range(sizes.pairs):
            i, j = rng.choice(n, 2, replace=False)
            normals = sites.normals(int(i))
            own, others = normals[j], np.delete(normals, [i, j], axis=0)
            target = np.eye(DIMENSION + 1)[0] - own[0] * own
            rows = others - np.outer(others @ own, own)
            joined += nnls(rows.T, target)[1] ** 2 > 0.5
        return f"{joined} of {sizes.pairs} pairs, scaled to all"

    return {
        "NNLS with all others, pair by pair": (pair_by_pair, n * (n - 1) / 2 / sizes.pairs),
        "repgeo delaunay_edges": (lambda: f"{len(delaunay_edges(points))} edges", 1.0),
    }


def score(sizes: Sizes) -> dict[str, Variant]:
    """The score with its null law, z and p, given the graph."""
    import numpy as np

    from repgeo.hyperbolic import aligned, delaunay_graph

    graph = delaunay_graph(_disk(sizes.scored))
    share = (np.arange(sizes.scored) < sizes.scored // 2).astype(float)
    rng = np.random.default_rng(0)
    first = share.astype(bool)

    def shuffled() -> str:
        labels = [rng.permutation(first) for _ in range(1_000)]
        counts = [int((row[graph.edges[:, 0]] != row[graph.edges[:, 1]]).sum()) for row in labels]
        return f"std {np.std(counts) / len(graph.edges):.5f}"

    def ours() -> str:
        found = aligned(graph, share)
        return f"std {found.null_std:.5f}, {found.edges} edges"

    return {"1,000 shuffles of the labels": (shuffled, 1.0), "repgeo aligned": (ours, 1.0)}


def sampled(sizes: Sizes) -> dict[str, Variant]:
    """The score of two halves of a wrapped normal in ten dimensions, exact or within .05.

    The exact graph decides each pair once, half of what all stars take one by one.
    """
    import numpy as np

    from repgeo.hyperbolic import sampled_hyperdga
    from repgeo.hyperbolic.sites import sites_of
    from repgeo.hyperbolic.star import StarBuilder

    points = _wrapped(sizes.sampled)
    n = len(points)

    def some() -> str:
        builder = StarBuilder(sites_of(points, "poincare"))
        sites = np.random.default_rng(1).choice(n, sizes.stars, replace=False)
        degrees = [int((builder.star(int(site)) == 1).sum()) for site in sites]
        return f"mean degree {np.mean(degrees):.0f}, {sizes.stars} stars, scaled to {n} / 2"

    def ours() -> str:
        generator = np.random.default_rng(0)
        found = sampled_hyperdga(points[: n // 2], points[n // 2 :], generator=generator)
        return (
            f"{found.score:.3f} in [{found.ci_low:.3f}, {found.ci_high:.3f}], {found.stars} stars"
        )

    return {
        "repgeo exact graph by stars": (some, n / 2 / sizes.stars),
        "repgeo sampled_hyperdga": (ours, 1.0),
    }


WORKS: dict[str, Callable[[Sizes], dict[str, Variant]]] = {
    work.__name__: work for work in (plane, large_plane, high_dimension, score, sampled)
}


def run_variant(work: str, variant: str, sizes: Sizes) -> dict[str, Any]:
    """Seconds, peak memory and findings of one variant, in this process."""
    place = list(WORKS[work](sizes)).index(variant)
    list(WORKS[work](QUICK).values())[place][0]()  # what a first call sets up counts for nobody
    call, factor = WORKS[work](sizes)[variant]
    start = time.process_time()
    found = call()
    seconds = (time.process_time() - start) * factor
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30
    return {"seconds": seconds, "gib": peak, "found": found}


def summarise(runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median seconds, against the first variant."""
    seconds, base = (statistics.median(run["seconds"] for run in each) for each in (runs, first))
    return {
        "seconds": round(seconds, 4),
        "ratio": round(seconds / base, 4),
        "gib": round(max(run["gib"] for run in runs), 2),
        "found": runs[0]["found"],
    }


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    return (
        f"{row['variant']:<38} {row['seconds']:>10} s  x{row['ratio']:<8} "
        f"{row['gib']:>6} GiB  {row['found']}"
    )


def sizes_of(quick: bool) -> Sizes:
    return QUICK if quick else Sizes()


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            Path(__file__),
            "Speed of exact hyperbolic Delaunay graphs",
            __doc__,
            {name: (work.__doc__ or "").partition("\n")[0] for name, work in WORKS.items()},
            lambda work, quick: WORKS[work](sizes_of(quick)),
            lambda work, variant, quick: run_variant(work, variant, sizes_of(quick)),
            summarise,
            line,
        )
    )
