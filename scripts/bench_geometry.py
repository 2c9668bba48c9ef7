"""Speed and memory of repgeo.geometry against the obvious implementations.

Each variant of each work runs in a process of its own with one thread, several times in turn with
the others of its work; the table has the median seconds, the peak memory above that before the
run, the ratio to this library, and how far the results differ.

    python scripts/bench_geometry.py --quick
    python scripts/bench_geometry.py --out results/benchmarks/geometry.csv
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarking import Benchmark, run_benchmark


@dataclass(frozen=True)
class Sizes:
    """Sizes of the works; `quick` ones only show that everything runs."""

    mlp_points: int = 64
    mlp_width: int = 2000
    mlp_inputs: int = 784
    resnet_width: int = 16
    resnet_points: int = 4
    image: int = 32
    spectrum_rows: int = 2048
    curvature_points: int = 400
    curvature_width: int = 250
    shallow_points: int = 1600
    shallow_width: int = 250
    flat_points: tuple[int, ...] = (1_000, 100_000)


QUICK = Sizes(
    mlp_points=4,
    mlp_width=200,
    mlp_inputs=80,
    resnet_width=2,
    resnet_points=2,
    image=16,
    spectrum_rows=128,
    curvature_points=20,
    curvature_width=20,
    shallow_points=10,
    shallow_width=40,
    flat_points=(100, 1_000),
)


def _normal(*shape: int, seed: int = 0, dtype: Any = None) -> Any:
    import torch

    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype or torch.float64)


def _seeded(module: Any, scale: float = 1.0) -> Any:
    """Weights N(0, scale^2 / inputs of the unit), vectors (biases, norms) as 1/2 + N(0, 0.01)."""
    import torch

    with torch.no_grad():
        for number, parameter in enumerate(module.parameters()):
            drawn = _normal(*parameter.shape, seed=number)
            fan = parameter[0].numel()
            drawn = drawn * scale / fan**0.5 if parameter.ndim > 1 else 0.5 + 0.1 * drawn
            parameter.copy_(drawn.to(parameter))
    return module.eval()


def mlp_volume(sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """log-volume of a shallow sigmoid network, float64."""
    import torch
    from torch import nn

    from repgeo.geometry import log_volume

    net = _seeded(nn.Sequential(nn.Linear(sizes.mlp_inputs, sizes.mlp_width), nn.Sigmoid()))
    net = net.double().requires_grad_(False)
    x = _normal(sizes.mlp_points, sizes.mlp_inputs, seed=99)

    def reference() -> Any:
        J = torch.func.vmap(torch.func.jacfwd(lambda p: net(p[None])[0]))(x)
        return 0.5 * torch.linalg.slogdet(J.mT @ J).logabsdet

    J = net[1](net[0](x)).mul(1 - net[1](net[0](x)))[:, :, None] * net[0].weight

    def gram_alone() -> Any:
        parts = []
        for part in J.split(4):
            factor = torch.linalg.cholesky(part.mT @ part)
            parts.append(factor.diagonal(dim1=-2, dim2=-1).log().sum(-1))
        return torch.cat(parts)

    return {
        "repgeo log_volume": lambda: log_volume(net, x),
        "vmap(jacfwd), slogdet of the Gram": reference,
        "d x d Gram and Cholesky alone": gram_alone,
    }


def resnet_volume(sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """log-volume (coarea) of a ResNet-18 encoder with 3 x 32 x 32 inputs, float32."""
    import torch

    from repgeo.geometry import log_volume
    from repgeo.models.resnet import resnet

    shape = (3, sizes.image, sizes.image)
    net = resnet(shape, 10, width=sizes.resnet_width, blocks=(2, 2, 2, 2), activation="gelu")
    encoder = _seeded(net.encoder, 1.4).requires_grad_(False)
    x = _normal(sizes.resnet_points, *shape, seed=99, dtype=torch.float32)

    def volume(J: Any) -> Any:
        J = J.flatten(2).double()
        return 0.5 * torch.linalg.slogdet(J @ J.mT).logabsdet

    def by_vmap() -> Any:
        return volume(torch.func.vmap(torch.func.jacrev(lambda p: encoder(p[None])[0]))(x))

    def by_sum() -> Any:
        for parameter in encoder.parameters():  # as for a network that is not frozen
            parameter.requires_grad_(True)
        J = torch.autograd.functional.jacobian(
            lambda rows: encoder(rows).sum(dim=0), x, create_graph=True
        )
        return volume(J.detach().transpose(0, 1))

    return {
        "repgeo log_volume": lambda: log_volume(encoder, x),
        "vmap(jacrev), slogdet": by_vmap,
        "autograd.functional.jacobian(create_graph=True)": by_sum,
    }


def _convolution(rows: int, image: int) -> tuple[Any, Any]:
    import torch
    from torch import nn

    channels = max(1, rows // (image // 4) ** 2)
    f = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Conv2d(16, channels, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
    )
    f = _seeded(f, 1.5).double().requires_grad_(False)
    return f, _normal(1, 3, image, image, seed=99, dtype=torch.float64)


def _spectrum(rows: int, image: int) -> dict[str, Callable[[], Any]]:
    import torch

    from repgeo.geometry import jacobian, volume_spectrum

    f, x = _convolution(rows, image)
    return {
        "repgeo volume_spectrum": lambda: volume_spectrum(f, x, k=10),
        "lanczos": lambda: volume_spectrum(f, x, k=10, solver="lanczos"),
        "dense": lambda: volume_spectrum(f, x, k=10, solver="dense"),
        "jacobian, full SVD": lambda: torch.linalg.svdvals(jacobian(f, x))[:, :10],
    }


def spectrum_large(sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """The ten largest singular values of a 2,048 x 3,072 convolutional Jacobian, float64."""
    return _spectrum(sizes.spectrum_rows, sizes.image)


def spectrum_small(sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """The same of one with an eighth of the rows."""
    return _spectrum(sizes.spectrum_rows // 8, sizes.image)


def curvature(sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """Scalar curvature of a network of three tanh layers with six inputs, float64."""
    import torch
    from torch import nn

    from repgeo.geometry import scalar_curvature

    w = sizes.curvature_width
    layers = [nn.Linear(6, w), nn.Tanh(), nn.Linear(w, w), nn.Tanh(), nn.Linear(w, w), nn.Tanh()]
    net = _seeded(nn.Sequential(*layers), 1.2).double().requires_grad_(False)
    x = _normal(sizes.curvature_points, 6, seed=99)

    def metric(p: Any) -> Any:
        J = torch.func.jacfwd(lambda t: net(t[None])[0])(p)
        return J.T @ J

    def christoffel(p: Any) -> Any:
        g, dg = metric(p), torch.func.jacfwd(metric)(p)
        lowered = 0.5 * (dg.permute(0, 2, 1) + dg - dg.permute(2, 0, 1))
        return torch.einsum("ia,ajk->ijk", torch.linalg.inv(g), lowered)

    def at(p: Any) -> Any:
        gamma, dgamma = christoffel(p), torch.func.jacfwd(christoffel)(p)
        ricci = torch.einsum("ijli->jl", dgamma) - torch.einsum("iijl->jl", dgamma)
        ricci = ricci + torch.einsum("iip,pjl->jl", gamma, gamma)
        ricci = ricci - torch.einsum("ilp,pij->jl", gamma, gamma)
        return (torch.linalg.inv(metric(p)) * ricci).sum()

    return {
        "repgeo scalar_curvature": lambda: scalar_curvature(net, x),
        "repgeo scalar_curvature, not a chain": lambda: scalar_curvature(lambda t: 1 * net(t), x),
        "nested Christoffel symbols": lambda: torch.func.vmap(at, chunk_size=50)(x),
    }


def shallow_curvature(sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """Scalar curvature of a shallow network in the plane, float64."""
    import torch

    from repgeo.geometry import ShallowNetwork

    n = sizes.shallow_width
    net = ShallowNetwork(_normal(n, 2), _normal(n, seed=1), activation="tanh")
    x = _normal(sizes.shallow_points, 2, seed=99)

    def by_triples() -> Any:
        z = x @ net.weight.T + net.bias
        first = 1 - z.tanh() ** 2
        both = -2 * z.tanh() * first**2
        w = net.weight
        m = w[:, None, 0] * w[None, :, 1] - w[:, None, 1] * w[None, :, 0]
        total = torch.einsum("jk,ij,ik,bi,bj,bk->b", m**2, m, m, first**2, both, both)
        return -total / torch.linalg.det(net.metric(x)) ** 2

    def as_published() -> Any:
        found = []
        for part in x.split(100):  # 9 operands of (100, n, n, n): as many as fit into memory
            z = part @ net.weight.T + net.bias
            slope = 1 - z.tanh() ** 2
            bend = -2 * z.tanh() * slope
            w = net.weight
            m = w[:, None, 0] * w[None, :, 1] - w[:, None, 1] * w[None, :, 0]
            total = torch.einsum(
                "jk,jk,ij,ik,bi,bi,bj,bj,bk,bk->b",
                m, m, m, m, slope, slope, slope, bend, slope, bend,
            )  # fmt: skip
            found.append(-total / torch.linalg.det(net.metric(part)) ** 2)
        return torch.cat(found)

    return {
        "repgeo ShallowNetwork": lambda: net.scalar_curvature(x),
        "sum over triples by one einsum": as_published,
        "the same with products formed first": by_triples,
    }


def flat_memory(sizes: Sizes) -> dict[str, Callable[[], Any]]:
    """log-volume of a small network at more and more points: memory must not grow."""
    from torch import nn

    from repgeo.geometry import log_volume

    net = _seeded(nn.Sequential(nn.Linear(20, 100), nn.Tanh(), nn.Linear(100, 50), nn.Tanh()))
    net = net.double().requires_grad_(False)
    few, many = sizes.flat_points
    x = _normal(many, 20, seed=99)
    return {
        f"{few} points": lambda: log_volume(net, x[:few])[:few],
        f"{many} points": lambda: log_volume(net, x)[:few],
    }


WORKS: dict[str, Callable[[Sizes], dict[str, Callable[[], Any]]]] = {
    work.__name__: work
    for work in (
        mlp_volume,
        resnet_volume,
        spectrum_large,
        spectrum_small,
        curvature,
        shallow_curvature,
        flat_memory,
    )
}


def run_variant(work: str, variant: str, sizes: Sizes) -> dict[str, Any]:
    """Seconds, memory and result of one variant, in this process."""
    # What the first call imports and sets up counts for nobody. Variants have the same order.
    small = WORKS[work](QUICK)
    list(small.values())[list(WORKS[work](sizes)).index(variant)]()
    call = WORKS[work](sizes)[variant]
    before = memory_mb(reset=True)
    start = time.perf_counter()
    result = call()
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "peak_mb": memory_mb() - before,
        "result": result.double().tolist(),
    }


def memory_mb(*, reset: bool = False) -> float:
    """The peak of resident memory since the last reset; with `reset`, what is held now."""
    if reset:
        # The peak of importing torch, or of the parent, would hide that of the call.
        Path("/proc/self/clear_refs").write_text("5")
    wanted = "VmRSS:" if reset else "VmHWM:"
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(wanted):
            return int(line.split()[1]) / 1024
    raise OSError("This kernel does not tell the peak of resident memory.")


def difference(a: list[Any], b: list[Any]) -> float:
    """The largest absolute difference of two results, relative above 1."""
    import numpy as np

    left, right = np.asarray(a), np.asarray(b)
    return float(np.max(np.abs(left - right) / np.maximum(1.0, np.abs(left))))


def summarise(runs: Sequence[dict[str, Any]], first: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Median seconds and memory, against the first variant."""
    seconds, base = (statistics.median(run["seconds"] for run in each) for each in (runs, first))
    return {
        "seconds": round(seconds, 4),
        "ratio": round(seconds / base, 2),
        "peak_mb": round(statistics.median(run["peak_mb"] for run in runs), 1),
        "difference": f"{difference(first[0]['result'], runs[0]['result']):.1e}",
    }


def line(row: dict[str, Any]) -> str:
    """A row as it is printed."""
    return (
        f"{row['variant']:<50} {row['seconds']:>9} s  x{row['ratio']:<8} "
        f"{row['peak_mb']:>8} MB  difference {row['difference']}"
    )


def sizes_of(quick: bool) -> Sizes:
    return QUICK if quick else Sizes()


if __name__ == "__main__":
    run_benchmark(
        Benchmark(
            Path(__file__),
            "Speed and memory of the geometry",
            __doc__,
            {name: work.__doc__ or "" for name, work in WORKS.items()},
            lambda work, quick: WORKS[work](sizes_of(quick)),
            lambda work, variant, quick: run_variant(work, variant, sizes_of(quick)),
            summarise,
            line,
        )
    )
