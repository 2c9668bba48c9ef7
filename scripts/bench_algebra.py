"""Speed of exact ranks and dimensions against plain elimination and floating point.

Each variant of each work runs in a process of its own with one thread, several times in turn with
the others of its work; the table has the median seconds, how many times those of the first variant
they are, and the rank that came out (the number of networks whose rank is that of the formula).

    python scripts/bench_algebra.py --quick
    python scripts/bench_algebra.py --out results/benchmarks/algebra.csv
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarking import Benchmark, run_benchmark

#: A variant: a call that returns a rank.
Variant = Callable[[], int]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the works; `quick` ones only show that everything runs."""

    parameters: int = 2000
    width: int = 8
    networks: int = 150


QUICK = Sizes(parameters=200, width=3, networks=10)


def exact_rank(sizes: Sizes) -> dict[str, Variant]:
    """The rank of a matrix over the field of 2^31 - 1 elements, 2.5 % more columns than rows."""
    import numpy as np

    from repgeo.algebra.prime_field import random_elements
    from repgeo.algebra.rank import exact_rank as rank

    shape = (sizes.parameters, sizes.parameters * 41 // 40)
    matrix = random_elements(shape, np.random.default_rng(0))
    return {
        "repgeo exact_rank": lambda: rank(matrix),
        "python-flint, numbers handed over": lambda: rank(matrix, method="flint"),
        "numpy elimination row by row": lambda: rank(matrix, method="plain"),
    }


def attention(sizes: Sizes) -> dict[str, Variant]:
    """The dimension of two layers of lightning attention, rank 3, widths 8, three tokens."""
    import numpy as np
    import torch
    from torch.func import functional_call, jacrev

    from repgeo.algebra import attention as network_of
    from repgeo.algebra import neuromanifold_dimension
    from repgeo.models.attention_network import attention as module_of

    widths = (sizes.width,) * 3
    network = network_of(widths, (3, 3))

    def exact() -> int:
        found = neuromanifold_dimension(network)
        if not found.certified:
            raise SystemExit("The dimension is not certified.")
        return found.rank

    def in_floating_point(banks: Sequence[float]) -> int:
        module = module_of(widths, 3).double()
        generator = torch.Generator().manual_seed(0)
        weights = {
            name: torch.randn(value.shape, generator=generator, dtype=torch.float64)
            for name, value in module.named_parameters()
        }
        rank = 0
        for factor in banks:
            outputs = network.tokens * sizes.width
            samples = int(np.ceil(factor * network.parameter_count / outputs))
            x = torch.randn(
                samples, network.tokens, sizes.width, generator=generator, dtype=torch.float64
            )
            parts = jacrev(lambda p, x=x: functional_call(module, p, (x,)).reshape(-1))(weights)
            jacobian = torch.cat([part.flatten(1) for part in parts.values()], dim=1)
            rank = int(torch.linalg.matrix_rank(jacobian))
        return rank

    return {
        "repgeo, exact and certified": exact,
        "jacrev + SVD, 3 outputs a parameter": lambda: in_floating_point([3.0]),
        "the same, then with twice as many inputs": lambda: in_floating_point([3.0, 6.0]),
        "repgeo, float64, inputs doubled": lambda: (
            neuromanifold_dimension(network, backend="float64").rank
        ),
    }


def convolutions(sizes: Sizes) -> dict[str, Variant]:
    """The dimensions of random polynomial convolutional networks, all of them."""
    import numpy as np

    from repgeo.algebra import neuromanifold_dimension, polynomial_cnn

    draws = np.random.default_rng(0)
    networks = []
    for _ in range(sizes.networks):
        layers = int(draws.integers(1, 5))
        networks.append(
            polynomial_cnn(
                draws.integers(1, 5, layers).tolist(),
                int(draws.integers(2, 5)),
                strides=draws.integers(1, 4, layers).tolist(),
                outputs=int(draws.integers(1, 4)),
            )
        )

    def right(backend: Any) -> int:
        found = [neuromanifold_dimension(network, backend=backend) for network in networks]
        return sum(bool(one.agrees) for one in found)

    return {
        "repgeo, exact": lambda: right("exact"),
        "repgeo, float64": lambda: right("float64"),
    }


WORKS: dict[str, Callable[[Sizes], dict[str, Variant]]] = {
    work.__name__: work for work in (exact_rank, attention, convolutions)
}


def run_variant(work: str, variant: str, sizes: Sizes) -> dict[str, float]:
    """Seconds and the rank of one variant, in this process."""
    WORKS[work](QUICK)[variant]()  # what a first call sets up counts for nobody
    call = WORKS[work](sizes)[variant]
    start = time.perf_counter()
    rank = call()
    return {"seconds": time.perf_counter() - start, "rank": rank}


def summarise(runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median seconds, against the first variant."""
    seconds, base = (statistics.median(run["seconds"] for run in each) for each in (runs, first))
    return {
        "seconds": round(seconds, 4),
        "ratio": round(seconds / base, 2),
        "rank": int(runs[0]["rank"]),
    }


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    return f"{row['variant']:<42} {row['seconds']:>10} s  x{row['ratio']:<8} rank {row['rank']}"


def sizes_of(quick: bool) -> Sizes:
    return QUICK if quick else Sizes()


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            Path(__file__),
            "Speed of exact ranks and dimensions",
            __doc__,
            {name: work.__doc__ or "" for name, work in WORKS.items()},
            lambda work, quick: WORKS[work](sizes_of(quick)),
            lambda work, variant, quick: run_variant(work, variant, sizes_of(quick)),
            summarise,
            line,
        )
    )
