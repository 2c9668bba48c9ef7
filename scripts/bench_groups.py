"""Speed of finite groups: tables from weights, representations, isomorphisms, Fourier transforms.

Each variant of each work runs in a process of its own with one thread, several times in turn with
the others of its work; the table has the median milliseconds of one call, and how many times those
of the first variant they are.

    python scripts/bench_groups.py --quick
    python scripts/bench_groups.py --out results/benchmarks/groups.csv
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarking import Benchmark, run_benchmark

#: A variant: the call, what share of the whole work it does, and calls of one run. The call returns
#: a number that shows it was right: an error, or how many answers were wrong.
Variant = tuple[Callable[[], float], float, int]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the works; `quick` ones only show that everything runs."""

    symmetric: int = 5
    slow_rows: int = 2
    table: str = "S5"
    scrambled: str = "S4xC3"
    points: int = 1024
    signals: int = 16
    transforms: int = 100


QUICK = Sizes(symmetric=3, slow_rows=1, table="S3", scrambled="D6", points=32, transforms=5)


def table_readout(sizes: Sizes) -> dict[str, Variant]:
    """The multiplication table of S5 from the blocks of its seven representations."""
    from repgeo.groups import decode_table, irreps, symmetric

    group = symmetric(sizes.symmetric)
    blocks = [rho.matrices for rho in irreps(group)]

    def ours() -> float:
        return float((decode_table(blocks)[0] != group.table).sum())

    def triple_loop() -> float:
        wrong = 0
        n = group.order
        for g in range(sizes.slow_rows):
            for h in range(n):
                best, nearest = float("inf"), -1
                for k in range(n):
                    distance = 0.0
                    for R in blocks:
                        gap = R[g] @ R[h] - R[k]
                        distance += R.shape[-1] * float(gap.abs().square().sum())
                    if distance < best:
                        best, nearest = distance, k
                wrong += nearest != group.table[g, h]
        return float(wrong)

    return {
        "repgeo decode_table": (ours, 1.0, 5),
        "triple loop over g, h, k": (triple_loop, sizes.slow_rows / group.order, 1),
    }


def representations(sizes: Sizes) -> dict[str, Variant]:
    """All irreducible representations of a table of order 120 that is not told to be S5's."""
    import numpy as np
    import torch

    from repgeo.groups import from_table, named_group, numerical_irreps

    named = named_group(sizes.table)
    group = from_table(named.relabelled(np.random.default_rng(0).permutation(named.order)).table)
    table = torch.tensor(group.table)

    def ours() -> float:
        found = numerical_irreps(group)
        if sum(rho.dimension**2 for rho in found) != group.order:
            return float("inf")
        R = found[-1].matrices
        return float((R[0][None] @ R - R[table[0]]).abs().max())

    return {"repgeo numerical_irreps": (ours, 1.0, 2)}


def isomorphism(sizes: Sizes) -> dict[str, Variant]:
    """An isomorphism of two scrambled copies of a group of order 72."""
    import numpy as np

    from repgeo.groups import from_table, named_group

    group = named_group(sizes.scrambled)
    draws = np.random.default_rng(0)

    def ours() -> float:
        # New groups each time: nothing of them has been computed before.
        first, second = (
            from_table(group.relabelled(draws.permutation(group.order)).table) for _ in range(2)
        )
        found = first.isomorphic_to(second)
        if found is None:
            return float("inf")
        image = np.array([found[g] for g in range(group.order)])
        return float((image[first.table] != second.table[np.ix_(image, image)]).sum())

    return {"repgeo isomorphic_to, both tables checked": (ours, 1.0, 5)}


def fourier(sizes: Sizes) -> dict[str, Variant]:
    """The Fourier transform of 16 signals on the cyclic group of order 1024."""
    import math

    import torch

    from repgeo.groups import cyclic, fourier_transform

    n = sizes.points
    group = cyclic(n)
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(sizes.signals, n, dtype=torch.complex128, generator=draws)
    k = torch.arange(n)
    turns = (torch.outer(k, k) % n).double() / n
    characters = torch.exp(-2j * math.pi * turns) / n**0.5
    exact = x @ characters

    def ours() -> float:
        return float((fourier_transform(x, group).stacks[0][..., 0, 0] - exact).abs().max())

    def dense() -> float:
        return float((x @ characters - exact).abs().max())

    return {
        "repgeo fourier_transform": (ours, 1.0, sizes.transforms),
        "dense character matrix": (dense, 1.0, sizes.transforms),
    }


WORKS: dict[str, Callable[[Sizes], dict[str, Variant]]] = {
    work.__name__: work for work in (table_readout, representations, isomorphism, fourier)
}


def run_variant(work: str, variant: str, sizes: Sizes) -> dict[str, float]:
    """Seconds of a whole work and its error, in this process."""
    call, share, calls = WORKS[work](sizes)[variant]
    if share == 1:
        call()  # what a first call sets up counts for nobody
    start = time.perf_counter()
    for _ in range(calls):
        error = call()
    return {"seconds": (time.perf_counter() - start) / calls / share, "error": error}


def summarise(runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median milliseconds, against the first variant."""
    seconds, base = (statistics.median(run["seconds"] for run in each) for each in (runs, first))
    return {
        "milliseconds": round(1000 * seconds, 4),
        "ratio": round(seconds / base, 2),
        "error": f"{max(run['error'] for run in runs):.1e}",
    }


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    return (
        f"{row['variant']:<42} {row['milliseconds']:>12} ms  x{row['ratio']:<9} "
        f"error {row['error']}"
    )


def sizes_of(quick: bool) -> Sizes:
    return QUICK if quick else Sizes()


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            Path(__file__),
            "Speed of finite groups",
            __doc__,
            {name: work.__doc__ or "" for name, work in WORKS.items()},
            lambda work, quick: WORKS[work](sizes_of(quick)),
            lambda work, variant, quick: run_variant(work, variant, sizes_of(quick)),
            summarise,
            line,
        )
    )
