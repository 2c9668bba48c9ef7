"""Speed of relative projections, of death times of components, and of measures of similarity.

Each variant of each work runs in a process of its own with one thread, several times in turn with
the others of its work; the table has the median seconds of one run, how many times those of the
first variant they are, how much more memory the process needed, and the largest error against
float64.

    python scripts/bench_stitching.py --quick
    python scripts/bench_stitching.py --out results/benchmarks/stitching.csv
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarking import Benchmark, run_benchmark

#: A variant: what is timed, and the error of what it gave.
Variant = tuple[Callable[[], Any], Callable[[Any], float]]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the works; `quick` ones only show that everything runs."""

    codes: int = 100_000
    anchors: int = 1_024
    looked_at: int = 512
    cloud: int = 2_048
    clouds: int = 64
    aligned: int = 10_000
    aligned_by_products: int = 3_000
    neighbours_of: int = 20_000
    models: int = 12


QUICK = Sizes(
    codes=2_000,
    anchors=64,
    looked_at=64,
    cloud=64,
    clouds=4,
    aligned=300,
    aligned_by_products=300,
    neighbours_of=500,
    models=3,
)


def projection(sizes: Sizes, features: int, precision: str) -> dict[str, Variant]:
    """The robust projection of codes onto anchors, and the product of the two matrices alone."""
    import torch

    from repgeo.stitching import RelativeProjection

    dtype = getattr(torch, precision)
    generator = torch.Generator().manual_seed(0)
    codes, anchors = (
        torch.randn(n, features, generator=generator, dtype=dtype) + 1
        for n in (sizes.codes, sizes.anchors)
    )
    some = slice(0, sizes.looked_at)

    def by_the_definition(rows: Any) -> Any:
        wide, by = rows.double(), anchors.double()
        return torch.nn.functional.normalize((wide - by.mean(0)) / by.std(0, correction=0))

    def product_error(found: Any) -> float:
        exact = codes[some].double() @ anchors.double().T
        return float((found[some].double() - exact).abs().max())

    def cosine_error(found: Any) -> float:
        exact = by_the_definition(codes[some]) @ by_the_definition(anchors).T
        return float((found[some].double() - exact).abs().max())

    def ours() -> Any:
        return RelativeProjection.preset("robust").fit(anchors).transform(codes)

    return {
        "the matrix product alone": (lambda: codes @ anchors.T, product_error),
        "repgeo robust projection": (ours, cosine_error),
        "all at once in float64": (
            lambda: (by_the_definition(codes) @ by_the_definition(anchors).T).to(dtype),
            cosine_error,
        ),
    }


def _projections() -> dict[str, tuple[str, Callable[[Sizes], dict[str, Variant]]]]:
    return {
        f"projection_{features}_{precision}": (
            f"Robust projection of codes with {features} features, {precision}",
            partial(projection, features=features, precision=precision),
        )
        for precision in ("float64", "float32")
        for features in (64, 256, 768)
    }


def deaths_given_distances(sizes: Sizes) -> dict[str, Variant]:
    """Death times of components from a matrix of distances."""
    import gudhi
    import numpy as np
    import torch
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    from repgeo.stitching import h0_deaths

    generator = torch.Generator().manual_seed(0)
    points = torch.randn(sizes.cloud, 64, generator=generator, dtype=torch.float64)
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist").numpy()
    exact = linkage(squareform(distances), "single")[:, 2]

    def by_gudhi() -> Any:
        tree = gudhi.RipsComplex(distance_matrix=distances).create_simplex_tree(max_dimension=0)
        tree.compute_persistence(min_persistence=-1)
        return np.sort(tree.persistence_intervals_in_dimension(0)[:, 1])[:-1]

    def error(found: Any) -> float:
        return float(np.abs(found - exact).max())

    return {
        "repgeo h0_deaths": (lambda: h0_deaths(distances=distances), error),
        "gudhi, Rips complex of dimension 0": (by_gudhi, error),
        "scipy, single linkage": (
            lambda: linkage(squareform(distances, checks=False), "single")[:, 2],
            error,
        ),
    }


def deaths_with_gradients(sizes: Sizes) -> dict[str, Variant]:
    """Death times of many clouds of 32 points of 64 features, and the gradient of their sum."""
    import torch
    from scipy.sparse.csgraph import minimum_spanning_tree

    from repgeo.stitching import h0_deaths

    generator = torch.Generator().manual_seed(0)
    clouds = torch.randn(sizes.clouds, 32, 64, generator=generator)

    def ours(points: Any = clouds) -> Any:
        leaf = points.clone().requires_grad_()
        h0_deaths(leaf).sum().backward()
        return leaf.grad

    def one_by_one() -> Any:
        leaf = clouds.clone().requires_grad_()
        total = leaf.new_zeros(())
        for cloud in leaf:
            distances = torch.cdist(cloud.detach(), cloud.detach()).numpy()
            tree = minimum_spanning_tree(distances).tocoo()
            i, j = (torch.from_numpy(place).long() for place in (tree.row, tree.col))
            total = total + (cloud[i] - cloud[j]).norm(dim=1).sum()
        total.backward()
        return leaf.grad

    exact = ours(clouds.double())

    def error(found: Any) -> float:
        return float((found.double() - exact).abs().max())

    return {
        "repgeo h0_deaths": (ours, error),
        "a loop with scipy's spanning tree": (one_by_one, error),
    }


def alignment(sizes: Sizes, *, products: bool) -> dict[str, Variant]:
    """Unbiased CKA of codes with 256 features, by kernels entry by entry, or by their products."""
    import torch

    from repgeo.stitching import cka

    n = sizes.aligned_by_products if products else sizes.aligned
    a, b = (codes.double() for codes in _related_codes(n, 256))

    def ratio(inner: Callable[[int, int], Any]) -> Any:
        return inner(0, 1) / (inner(0, 0) * inner(1, 1)).sqrt()

    def hollow_kernels() -> list[Any]:
        return [(codes @ codes.T).fill_diagonal_(0) for codes in (a, b)]

    def by_entries() -> Any:
        kernels = hollow_kernels()
        sums = [kernel.sum(dim=0) for kernel in kernels]

        def inner(i: int, j: int) -> Any:
            means = sums[i].sum() * sums[j].sum() / ((n - 1) * (n - 2))
            return (kernels[i] * kernels[j]).sum() + means - 2 / (n - 2) * (sums[i] @ sums[j])

        return ratio(inner)

    def by_products() -> Any:
        kernels, one = hollow_kernels(), torch.ones(n, dtype=torch.float64)

        def inner(i: int, j: int) -> Any:
            product = kernels[i] @ kernels[j]
            means = (one @ kernels[i] @ one) * (one @ kernels[j] @ one) / ((n - 1) * (n - 2))
            return product.trace() + means - 2 / (n - 2) * (one @ product @ one)

        return ratio(inner)

    def error(found: Any) -> float:
        return abs(float(found) - float(by_entries()))

    kernel_form = (by_products if products else by_entries, error)
    return {
        "repgeo cka": (lambda: cka(a, b), error),
        f"kernels n x n, {'matrix products' if products else 'entry by entry'}": kernel_form,
    }


def shared_neighbours(sizes: Sizes) -> dict[str, Variant]:
    """Mutual kNN, k = 10, of 20,000 codes with 256 features."""
    import torch

    from repgeo.stitching import mutual_knn

    k, (a, b) = 10, _related_codes(sizes.neighbours_of, 256)

    def neighbours(codes: Any, *, whole: bool) -> Any:
        units = torch.nn.functional.normalize(codes)
        if whole:  # the similarity matrix, sorted
            near = (units @ units.T).fill_diagonal_(-torch.inf)
            return near.argsort(dim=1, descending=True)[:, :k]
        found = []
        for start in range(0, len(units), 500):
            near = units[start : start + 500] @ units.T
            near[torch.arange(len(near)), torch.arange(start, start + len(near))] = -torch.inf
            found.append(near.topk(k, dim=1).indices)
        return torch.cat(found)

    def shared(left: Any, right: Any) -> float:
        return float((left[:, :, None] == right[:, None]).any(dim=2).double().mean())

    def by_sorting() -> float:
        return shared(neighbours(a, whole=True), neighbours(b, whole=True))

    def error(found: Any) -> float:
        exact = shared(*(neighbours(codes.double(), whole=False) for codes in (a, b)))
        return abs(float(found) - exact)

    return {
        "repgeo mutual_knn": (lambda: mutual_knn(a.double(), b.double(), neighbours=k), error),
        "sorting the similarity matrix": (by_sorting, error),
    }


def _related_codes(n: int, features: int) -> tuple[Any, Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(n, features, generator=generator) for _ in range(2))
    return a, b + 0.5 * a


def _similarity() -> dict[str, tuple[str, Callable[[Sizes], dict[str, Variant]]]]:
    return {
        "alignment": (
            "Unbiased CKA of 10,000 codes with 256 features",
            partial(alignment, products=False),
        ),
        "alignment_by_products": (
            "Unbiased CKA of 3,000 codes with 256 features, the formula as it is written",
            partial(alignment, products=True),
        ),
        "shared_neighbours": (shared_neighbours.__doc__ or "", shared_neighbours),
    }


def _topology() -> dict[str, tuple[str, Callable[[Sizes], dict[str, Variant]]]]:
    return {
        work.__name__: (work.__doc__ or "", work)
        for work in (deaths_given_distances, deaths_with_gradients)
    }


def stitching_matrix(sizes: Sizes) -> dict[str, Variant]:
    """The stitching matrix of twelve models: all ordered pairs, default methods."""
    from repgeo.datasets.digits import digits
    from repgeo.models.building import build
    from repgeo.models.cnn import cnn
    from repgeo.models.loaded import LoadedModel, freeze
    from repgeo.models.mlp import mlp
    from repgeo.probes import Context, RelativeStitching, Subject
    from repgeo.probes.measurement import measure, prepare
    from repgeo.probes.subject import MemoryCodes

    data, probe = digits(seed=0), RelativeStitching()
    context = Context(data.digest, 0)
    made = [
        build(factory, {}, seed=seed, input_shape=data.input_shape, classes=data.classes)
        for seed in range(sizes.models)
        for factory in ((mlp, cnn)[seed % 2],)
    ]
    models = [LoadedModel(freeze(net), f"model {number}") for number, net in enumerate(made)]

    def subject(model: LoadedModel) -> Subject:
        return Subject(model, probe.cut, samples=data.test.x, codes=MemoryCodes())

    def pair(mine: Subject, other: Subject, prepared: Sequence[dict[str, Any]]) -> list[float]:
        found = measure(probe, [mine, other], prepared, data, context)
        return [value.estimate.value for value in found.values]

    def once() -> list[list[float]]:
        subjects = [subject(model) for model in models]
        prepared = [prepare(probe, one, data, context) for one in subjects]
        both = list(zip(subjects, prepared, strict=True))
        return [pair(a, b, [p, q]) for a, p in both for b, q in both]

    def anew() -> list[list[float]]:
        found = []
        for first in models:
            for second in models:
                sides = [subject(first), subject(second)]
                prepared = [prepare(probe, one, data, context) for one in sides]
                found.append(pair(*sides, prepared))
        return found

    def error(found: list[list[float]]) -> float:
        # Only a few pairs, as this is not timed but takes its time.
        few = [(0, 1), (1, 0), (1, 1)]
        exact = []
        for a, b in few:
            sides = [subject(models[a]), subject(models[b])]
            exact.append(pair(*sides, [prepare(probe, one, data, context) for one in sides]))
        mine = [found[a * len(models) + b] for a, b in few]
        return max(
            abs(x - y) for p, q in zip(mine, exact, strict=True) for x, y in zip(p, q, strict=True)
        )

    return {"prepared once per model": (once, error), "both sides of each pair anew": (anew, error)}


#: What each work is, and its variants for some sizes.
WORKS: dict[str, tuple[str, Callable[[Sizes], dict[str, Variant]]]] = {
    **_projections(),
    **_topology(),
    "stitching_matrix": (stitching_matrix.__doc__ or "", stitching_matrix),
    **_similarity(),
}


def sizes_of(quick: bool) -> Sizes:
    return QUICK if quick else Sizes()


def run_variant(work: str, variant: str, sizes: Sizes) -> dict[str, float]:
    """Seconds of one run and the error of one variant, in this process."""
    make = WORKS[work][1]
    make(QUICK)[variant][0]()  # what a first call sets up counts for nobody
    call, error = make(sizes)[variant]
    before, start = _peak_megabytes(), time.perf_counter()
    found = call()
    seconds, more = time.perf_counter() - start, _peak_megabytes() - before
    return {"seconds": seconds, "megabytes": more, "error": error(found)}


def _peak_megabytes() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def summarise(runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median seconds, against the first variant."""
    seconds, base = (statistics.median(run["seconds"] for run in each) for each in (runs, first))
    return {
        "seconds": round(seconds, 4),
        "ratio": round(seconds / base, 2),
        "megabytes": round(statistics.median(run["megabytes"] for run in runs)),
        "error": f"{max(run['error'] for run in runs):.1e}",
    }


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    return (
        f"{row['variant']:<40} {row['seconds']:>9} s  x{row['ratio']:<6} "
        f"{row['megabytes']:>5} MB  error {row['error']}"
    )


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            Path(__file__),
            "Speed of stitching",
            __doc__,
            {name: about for name, (about, _) in WORKS.items()},
            lambda work, quick: WORKS[work][1](QUICK),
            lambda work, variant, quick: run_variant(work, variant, sizes_of(quick)),
            summarise,
            line,
        )
    )
