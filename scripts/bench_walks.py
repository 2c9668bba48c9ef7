"""Speed of walks within classes of inputs against the published way and the obvious one.

Each variant of each work runs in a process of its own with one thread, several times in turn with
the others of its work; the table has the median seconds for one step of one walker, how many times
those of the first variant they are, and how far the output has drifted.

    python scripts/bench_walks.py --quick
    python scripts/bench_walks.py --out results/benchmarks/walks.csv
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarking import Benchmark, run_benchmark

#: A variant: how many steps of walkers it makes, and the run, which returns the drift.
Variant = tuple[int, Callable[[], float]]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the works; `quick` ones only show that everything runs."""

    image: int = 28
    steps: int = 100
    slow_steps: int = 30
    walkers: int = 64
    batched_steps: int = 50
    alone: int = 8
    large_inputs: int = 150_528
    projections: int = 10


QUICK = Sizes(
    image=20, steps=5, slow_steps=2, walkers=4, batched_steps=3, alone=2, large_inputs=1_000,
    projections=2,
)  # fmt: skip


def _normal(*shape: int, seed: int = 0) -> Any:
    import torch

    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def _convolution(image: int) -> tuple[Any, Any]:
    """A classifier of the published shape with weights at random, and a dark image with a blot."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    side = ((image - 4) // 2 - 4) // 2
    net = nn.Sequential(
        nn.Conv2d(1, 10, 5), nn.AvgPool2d(2), nn.ReLU(),
        nn.Conv2d(10, 20, 5), nn.AvgPool2d(2), nn.ReLU(), nn.Flatten(),
        nn.Linear(20 * side**2, 50), nn.ReLU(), nn.Linear(50, 50), nn.ReLU(), nn.Linear(50, 10),
    )  # fmt: skip
    x = torch.full((1, 1, image, image), -0.4242, dtype=torch.float64)
    middle = slice(image // 4, 3 * image // 4)
    blot = x[:, :, middle, middle]
    blot.copy_(_normal(*blot.shape).abs().clamp(max=2.5) - 0.4)
    return net.double().eval().requires_grad_(False), x


def image_step(sizes: Sizes) -> dict[str, Variant]:
    """A step on a convolutional classifier of ten classes."""
    import torch

    from repgeo.geometry import WalkSpec, null_walk

    net, x = _convolution(sizes.image)

    def ours(box: tuple[float, float] | None, step_size: float) -> Callable[[], float]:
        walk = WalkSpec(steps=sizes.steps, step_size=step_size, box=box)
        return lambda: float(null_walk(net, x, walk).drift.max())

    def published() -> float:
        at = x.clone()
        draws = torch.Generator().manual_seed(0)
        for _ in range(sizes.slow_steps):
            leaf = at.clone().requires_grad_()
            outputs = net(leaf)[0]
            rows = [torch.autograd.grad(value, leaf, retain_graph=True)[0] for value in outputs]
            J = torch.stack(rows).flatten(1)
            vectors = torch.linalg.eigh(J.T @ J)[1]
            place = int(torch.randint(x.numel() - 10, (1,), generator=draws))
            at = at + 0.5 * 0.1 * (2 * (place % 2) - 1) * vectors[:, place].view_as(at)
        return float((net(at) - net(x)).abs().max())

    box = (x.min().item(), 2.8215)
    return {
        "repgeo null_walk": (sizes.steps, ours(None, 0.05)),
        "the same in a box": (sizes.steps, ours(box, 0.05)),
        "long steps in a box": (sizes.steps, ours(box, 2.0)),
        "d x d metric and eigh, not corrected": (sizes.slow_steps, published),
    }


def many_walkers(sizes: Sizes) -> dict[str, Variant]:
    """A step of many walkers of a tanh network 64-64-64-10."""
    import torch
    from torch import nn

    from repgeo.geometry import WalkSpec, null_walk

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 10)
    )
    net = net.double().requires_grad_(False)
    x = _normal(sizes.walkers, 64)
    walk = WalkSpec(steps=sizes.batched_steps, step_size=0.2)

    def one_by_one() -> float:
        return max(float(null_walk(net, row[None], walk).drift.max()) for row in x[: sizes.alone])

    return {
        "repgeo null_walk, all at once": (
            sizes.walkers * sizes.batched_steps,
            lambda: float(null_walk(net, x, walk).drift.max()),
        ),
        "one by one": (sizes.alone * sizes.batched_steps, one_by_one),
    }


def projection(sizes: Sizes) -> dict[str, Variant]:
    """A projection onto the kernel of a Jacobian of ten rows that is given."""
    import torch

    from repgeo.geometry import NullSpace

    J, v = _normal(1, 10, sizes.large_inputs), _normal(1, sizes.large_inputs, seed=1)

    def ours() -> float:
        for _ in range(sizes.projections):
            projected = NullSpace.of(J).project(v)
        return float((J[0] @ projected[0]).abs().max())

    def by_pseudo_inverse() -> float:
        for _ in range(sizes.projections):
            projected = v[0] - torch.linalg.pinv(J[0]) @ (J[0] @ v[0])
        return float((J[0] @ projected).abs().max())

    return {
        "repgeo NullSpace": (sizes.projections, ours),
        "pseudo-inverse": (sizes.projections, by_pseudo_inverse),
    }


WORKS: dict[str, Callable[[Sizes], dict[str, Variant]]] = {
    work.__name__: work for work in (image_step, many_walkers, projection)
}


def run_variant(work: str, variant: str, sizes: Sizes) -> dict[str, float]:
    """Seconds of a step and the drift of one variant, in this process."""
    place = list(WORKS[work](sizes)).index(variant)
    list(WORKS[work](QUICK).values())[place][1]()  # what a first call sets up counts for nobody
    steps, call = WORKS[work](sizes)[variant]
    start = time.perf_counter()
    drift = call()
    return {"seconds": (time.perf_counter() - start) / steps, "drift": drift}


def summarise(runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median milliseconds, against the first variant."""
    seconds, base = (statistics.median(run["seconds"] for run in each) for each in (runs, first))
    return {
        "milliseconds": round(1000 * seconds, 4),
        "ratio": round(seconds / base, 2),
        "drift": f"{max(run['drift'] for run in runs):.1e}",
    }


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    return (
        f"{row['variant']:<40} {row['milliseconds']:>10} ms  x{row['ratio']:<8} "
        f"drift {row['drift']}"
    )


def sizes_of(quick: bool) -> Sizes:
    return QUICK if quick else Sizes()


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            Path(__file__),
            "Speed of walks within classes of inputs",
            __doc__,
            {name: work.__doc__ or "" for name, work in WORKS.items()},
            lambda work, quick: WORKS[work](sizes_of(quick)),
            lambda work, variant, quick: run_variant(work, variant, sizes_of(quick)),
            summarise,
            line,
        )
    )
