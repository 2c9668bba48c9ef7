"""Speed of measures of equivariance against the published and the obvious ways.

Each variant of each work runs in a process of its own with one thread, several times in turn with
the others of its work; the table has the median milliseconds of processor time of a call, how many
times those of the first variant they are, and the result.

    python scripts/bench_equivariance.py --quick
    python scripts/bench_equivariance.py --out results/benchmarks/equivariance.csv
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarking import Benchmark, run_benchmark

#: A variant: a call that returns a number that all variants of a work agree on.
Variant = Callable[[], float]


@dataclass(frozen=True)
class Sizes:
    """Sizes of the works; `quick` ones only show that everything runs."""

    images: int = 256
    side: int = 32
    width: int = 16
    angles: int = 16
    frequencies: int = 8
    rotations: int = 1000
    degree: int = 6
    layers: int = 10
    elements: int = 64
    clouds: int = 32
    repeats: int = 3


QUICK = Sizes(
    images=8, side=16, width=4, angles=8, frequencies=2, rotations=20, degree=2, layers=3,
    elements=4, clouds=4, repeats=1,
)  # fmt: skip


def _normal(*shape: int, seed: int = 0) -> Any:
    import torch

    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _residual_network(width: int) -> Any:
    """Three stages of two residual blocks, weights at random."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after),
                nn.ReLU(), nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after),
            )  # fmt: skip
            self.skip = nn.Identity() if before == after else nn.Conv2d(before, after, 1, stride)

        def forward(self, x: Any) -> Any:
            return torch.relu(self.body(x) + self.skip(x))

    torch.manual_seed(0)
    widths = [width, width, width, 2 * width, 2 * width, 4 * width, 4 * width]
    blocks = [Block(a, b, 1 if a == b else 2) for a, b in itertools.pairwise(widths)]
    net = nn.Sequential(
        nn.Conv2d(3, width, 3, 1, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4 * width, 10),
    )  # fmt: skip
    return net.eval().requires_grad_(False)


def lie_derivative_of_images(sizes: Sizes) -> dict[str, Variant]:
    """The Lie derivative of a small residual network in a translation of images.

    Bilinear interpolation has a kink where it starts: its derivative there is one-sided, the slope
    and half of the curvature of the images. Its result is not that of a shift.
    """
    import torch

    from repgeo.equivariance import lie_derivative
    from repgeo.groups import ImageShifts, Translations

    net, x = _residual_network(sizes.width), _normal(sizes.images, 3, sizes.side, sizes.side)
    action = ImageShifts(Translations(2))
    right = torch.tensor([0.0, 1.0])

    def forward_mode() -> float:
        return float(lie_derivative(net, x, right, rep_in=action).square().mean())

    def sampled(t: Any) -> Any:
        """Images shifted by t pixels, by bilinear interpolation with products of their own."""
        side = sizes.side
        columns = torch.arange(side) - t
        low = columns.detach().floor()
        weight = columns - low
        left, after = (low.long() % side), (low.long() + 1) % side
        return x[..., left] * (1 - weight) + x[..., after] * weight

    def shifted(t: Any) -> Any:
        """The same by the Fourier transform: no kink at 0, where neighbours change over."""
        element = torch.stack([torch.zeros(()), t])[None]
        return action.apply(element, x[None])[0]

    def double_backward(move: Callable[[Any], Any]) -> float:
        t = torch.zeros((), requires_grad=True)
        outputs = net(move(t))
        probe = torch.ones_like(outputs, requires_grad=True)
        (slope,) = torch.autograd.grad(outputs, t, probe, create_graph=True)
        (derivative,) = torch.autograd.grad(slope, probe)
        return float(derivative.square().mean())

    return {
        "repgeo lie_derivative, Fourier shift": forward_mode,
        "double backward, bilinear sampler": lambda: double_backward(sampled),
        "double backward, Fourier shift": lambda: double_backward(shifted),
    }


def disentanglement_of_a_torus(sizes: Sizes) -> dict[str, Variant]:
    """D_LSBD of codes of a warped torus."""
    import torch

    from repgeo.equivariance import d_lsbd

    n, most = sizes.angles, sizes.frequencies
    angle = 2 * torch.pi * torch.arange(n, dtype=torch.float64) / n
    a, b = torch.meshgrid(angle, angle, indexing="ij")
    warped = a + 0.5 * a.sin()
    codes = torch.stack([warped.cos(), warped.sin(), (2 * b).cos(), (2 * b).sin()], dim=-1)

    def search() -> float:
        best = float("inf")
        for frequencies in itertools.product(range(-most, most + 1), repeat=2):
            total = 0.0
            for factor, (w, grid) in enumerate(zip(frequencies, (a, b), strict=True)):
                rows = (codes - codes.mean(dim=factor, keepdim=True)).reshape(-1, 4)
                U, S, _ = torch.linalg.svd(rows, full_matrices=False)
                plane = (U * S)[:, :2] / (S[:2] / (len(rows) - 1) ** 0.5 * 2**0.5)
                turn = -w * grid.flatten()
                c, s = turn.cos(), turn.sin()
                p, q = plane.T
                back = torch.stack([c * p - s * q, s * p + c * q], dim=1)
                total += float((back - back.mean(dim=0)).square().sum(dim=1).mean())
            best = min(best, total / 2)
        return best

    return {
        "repgeo d_lsbd": lambda: d_lsbd(codes).score,
        "search over pairs of frequencies": search,
    }


def wigner_of_layers(sizes: Sizes) -> dict[str, Variant]:
    """Wigner matrices of all degrees for the layers of a network."""
    import torch
    from e3nn import o3

    from repgeo.groups import SO3, WignerCache, wigner_matrices

    rotations = SO3().sample(sizes.rotations)
    degrees = range(sizes.degree + 1)

    def cached() -> float:
        cache, total = WignerCache(), 0.0
        for _ in range(sizes.layers):
            for degree in degrees:
                total += float(cache.matrices(degree, rotations)[0, 0, 0])
        return total

    def recomputed() -> float:
        return sum(
            float(wigner_matrices(degree, rotations)[0, 0, 0])
            for _ in range(sizes.layers)
            for degree in degrees
        )

    def by_e3nn() -> float:
        torch.set_default_dtype(torch.float64)
        total = 0.0
        for _ in range(sizes.layers):
            for degree in degrees:
                block = o3.Irreps([(1, (degree, 1))]).D_from_matrix(rotations)
                total += float(block[0, 0, 0])
        torch.set_default_dtype(torch.float32)
        return total

    return {
        "repgeo WignerCache": cached,
        "repgeo, anew for each layer": recomputed,
        "e3nn, anew for each layer": by_e3nn,
    }


def error_of_an_e3nn_network(sizes: Sizes) -> dict[str, Variant]:
    """The equivariance error of a polynomial e3nn network on clouds of four points."""
    import torch
    from e3nn import o3

    from repgeo.equivariance import equivariance_error
    from repgeo.groups import SO3, PointCloudAction

    torch.manual_seed(0)
    harmonics = o3.Irreps.spherical_harmonics(3)
    hidden = o3.Irreps("8x0e+8x1o+8x2e")
    first = o3.FullyConnectedTensorProduct(harmonics, harmonics, hidden)
    second = o3.FullyConnectedTensorProduct(hidden, harmonics, "4x0e+1o")

    def net(x: Any) -> Any:
        edges = x[:, :, None] - x[:, None]
        features = o3.spherical_harmonics(harmonics, edges, normalize=False)
        points = first(features.sum(dim=2), features.sum(dim=2))
        return second(points, features.sum(dim=2)).sum(dim=1)

    x, group = _normal(sizes.clouds, 4, 3), SO3()
    elements = group.sample(sizes.elements)
    out = o3.Irreps("4x0e+1o")

    def at_once() -> float:
        with torch.no_grad():
            return equivariance_error(
                net, x, group, rep_in=PointCloudAction(group), rep_out=out, elements=elements
            ).mean

    def one_by_one() -> float:
        with torch.no_grad():
            total, codes = 0.0, net(x)
            for g in elements.float():
                expected = codes @ out.D_from_matrix(g).T
                total += float((net(x @ g.T) - expected).norm(dim=1).mean())
            return total / len(elements) / float(codes.square().sum(dim=1).mean().sqrt())

    return {"repgeo equivariance_error": at_once, "one rotation at a time": one_by_one}


WORKS: dict[str, Callable[[Sizes], dict[str, Variant]]] = {
    work.__name__: work
    for work in (
        lie_derivative_of_images,
        disentanglement_of_a_torus,
        wigner_of_layers,
        error_of_an_e3nn_network,
    )
}


def run_variant(work: str, variant: str, sizes: Sizes) -> dict[str, float]:
    """Processor seconds of a call and the result of one variant, in this process.

    Not those of the clock: what else the machine does then counts for nobody.
    """
    WORKS[work](QUICK)[variant]()  # what a first call sets up counts for nobody
    call = WORKS[work](sizes)[variant]
    call()
    seconds = []
    for _ in range(sizes.repeats):
        start = time.process_time()
        result = call()
        seconds.append(time.process_time() - start)
    return {"seconds": min(seconds), "result": result}


def summarise(runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median milliseconds, against the first variant."""
    seconds, base = (statistics.median(run["seconds"] for run in each) for each in (runs, first))
    return {
        "milliseconds": round(1000 * seconds, 3),
        "ratio": round(seconds / base, 2),
        "result": f"{runs[0]['result']:.6g}",
    }


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    return (
        f"{row['variant']:<40} {row['milliseconds']:>10} ms  x{row['ratio']:<8} "
        f"result {row['result']}"
    )


def sizes_of(quick: bool) -> Sizes:
    return QUICK if quick else Sizes()


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            Path(__file__),
            "Speed of measures of equivariance",
            __doc__,
            {name: (work.__doc__ or "").partition("\n")[0] for name, work in WORKS.items()},
            lambda work, quick: WORKS[work](sizes_of(quick)),
            lambda work, variant, quick: run_variant(work, variant, sizes_of(quick)),
            summarise,
            line,
        )
    )
