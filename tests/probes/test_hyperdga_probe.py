"""HyperDGA as a probe: classes, copies, reconstructions, two models; oracles and refusals."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from pydantic import ValidationError
from scipy.stats import spearmanr
from torch import Tensor, nn

import repgeo
from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.trees import binary_tree
from repgeo.errors import InputError, UnsupportedError
from repgeo.hyperbolic import hyperdga
from repgeo.models.loaded import Epoch, LoadedModel
from repgeo.probes.checking import check_probe
from repgeo.probes.hyperdga import HyperDGABetweenModels, HyperDGAProbe
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.subject import MemoryCodes

pytest.importorskip("ot", reason="transport needs the extra 'hyperbolic'")


def disk(n: int, seed: int, radius: float = 0.9) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    r = radius * torch.rand(n, generator=generator, dtype=torch.float64).sqrt()
    angle = 2 * math.pi * torch.rand(n, generator=generator, dtype=torch.float64)
    return torch.stack([r * angle.cos(), r * angle.sin()], dim=1)


def data_of(x: Tensor, y: Tensor | None = None, **meta: object) -> Dataset:
    split = Split(x, y)
    return Dataset("", split, split, meta)


def read(frame: pd.DataFrame, metric: str) -> list[float]:
    assert set(frame["status"]) == {"ok"}, frame["error"].tolist()
    return frame.loc[frame["metric"] == metric, "value"].tolist()


class _Stretched(nn.Module):
    """The first coordinate shrunk by a parameter."""

    def __init__(self, stretch: float) -> None:
        super().__init__()
        self.stretch = nn.Parameter(torch.tensor(stretch, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x[:, 0] * self.stretch, x[:, 1]], dim=1)


class Copying(nn.Module):
    """Codes are the inputs, shrunk in one direction; so is what is made of them."""

    latent_space = "poincare"

    def __init__(self, stretch: float) -> None:
        super().__init__()
        self.encoder = _Stretched(stretch)

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        return self.encoder(x)


STRETCHES: dict[Epoch, float] = {"init": 0.1, 1: 0.5, 2: 0.9}


def test_classes_are_compared_in_pairs_with_their_null_law() -> None:
    x = torch.cat([disk(60, 0), disk(40, 1), disk(50, 2) * 0.2 + torch.tensor([0.7, 0.0])])
    y = torch.tensor([0] * 60 + [1] * 40 + [2] * 50)
    frame = HyperDGAProbe(transport_points=30)(lambda x: x, x, y)
    scores = frame.loc[frame["metric"] == "score"]
    assert scores["at"].tolist() == ['{"pair":"0 - 1"}', '{"pair":"0 - 2"}', '{"pair":"1 - 2"}']
    direct = hyperdga(x[y == 0], x[y == 2])
    assert scores["value"].iloc[1] == direct.score
    assert scores["chance"].iloc[1] == pytest.approx(direct.null_mean, abs=1e-12)
    assert read(frame, "z")[1] == direct.z
    same, apart = read(frame, "z")[0], read(frame, "z")[1]
    assert abs(same) < 4 < apart  # equal laws, and a cluster by itself
    assert min(read(frame, "transport")) > 0


def test_class_pairs_are_named_by_the_data_or_by_hand() -> None:
    x, y = disk(30, 0), torch.arange(30) % 3
    data = data_of(x, y, classes=("a", "b", "c"), pairs=(("a", "c"),))
    quick = {"distances": False}
    frame = repgeo.evaluate({"m": lambda x: x}, HyperDGAProbe(class_pairs="named", **quick), data)
    assert set(frame["at"]) == {'{"pair":"a - c"}'}
    frame = repgeo.evaluate(
        {"m": lambda x: x}, HyperDGAProbe(class_pairs=(("b", "a"),), **quick), data
    )
    assert set(frame["at"]) == {'{"pair":"b - a"}'}
    frame = repgeo.evaluate(
        {"m": lambda x: x}, HyperDGAProbe(class_pairs=(("b", "d"),), **quick), data
    )
    assert "no class 'd'" in frame["error"].iloc[0]


def test_copies_with_more_noise_are_further_apart() -> None:
    data = binary_tree(seed=0, depth=6, noise=(0.1, 0.3, 0.5, 0.7, 1.0))
    plane = torch.linalg.qr(
        torch.randn(63, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    )[0]

    def project(x: Tensor) -> Tensor:
        return x.double() @ plane

    probe = HyperDGAProbe(compare="copies", space="tangent", transport_points=0)
    frame = repgeo.evaluate({"m": project}, probe, data)
    levels = frame.loc[frame["metric"] == "score", "at"].tolist()
    assert levels[0] == '{"level":0.1}'
    order = frame.loc[frame["metric"] == "order"].set_index("at")["value"]
    assert set(order.index) == {
        f'{{"score":"{name}"}}' for name in ("hyperdga", "chamfer", "chamfer_squared", "hausdorff")
    }
    assert order['{"score":"chamfer"}'] > 0.5
    assert all(-1 <= value <= 1 for value in order)


def test_the_order_of_checkpoints_is_that_of_the_downstream_correlation() -> None:
    x = disk(40, 0)
    apart = (x[:, None] - x[None, :]).norm(dim=-1)
    split = Split(x, arrays={"tree_distance": apart})
    probe = HyperDGAProbe(
        compare="reconstruction", space="model", epochs=("init", 1, 2), transport_points=0
    )
    states = {epoch: Copying(stretch).state_dict() for epoch, stretch in STRETCHES.items()}
    model = LoadedModel(
        Copying(1.0).eval().requires_grad_(False),
        "net",
        load_checkpoint=lambda epoch: dict(states[epoch]),
        checkpoints=tuple(states),
    )
    measured = measure_loaded(probe, [model], Dataset("", split, split), 0, MemoryCodes()).values
    values = {(value.metric, value.at): value.estimate.value for value in measured}
    read = {
        name: [values[name, f'{{"epoch":{epoch}}}'] for epoch in ('"init"', 1, 2)]
        for name in ("downstream", "score", "chamfer", "hausdorff")
    }
    assert read["downstream"] == sorted(read["downstream"])  # codes that follow x more and more
    for name, called in (("chamfer", "chamfer"), ("hausdorff", "hausdorff"), ("score", "hyperdga")):
        expected = -spearmanr(read[name], read["downstream"]).statistic
        found = values["order", f'{{"score":"{called}"}}']
        assert found == pytest.approx(expected, abs=1e-12)


def test_two_models_in_one_place_and_apart() -> None:
    x = disk(50, 3, radius=0.6)
    frame = HyperDGABetweenModels(distances=False)(lambda x: x, lambda x: x, x)
    assert read(frame, "score") == [0.5]  # every place is half of either
    moved = HyperDGABetweenModels(transport_points=20)(
        lambda x: x * 0.1, lambda x: x * 0.1 + torch.tensor([0.8, 0.0]), x
    )
    assert read(moved, "score")[0] > 0.9
    assert read(moved, "hausdorff")[0] > read(moved, "chamfer")[0] > 1


def test_edges_are_stored_for_figures_in_the_plane_only() -> None:
    x, y = disk(30, 0), torch.arange(30) % 2
    flat = HyperDGAProbe(space="euclidean", distances=False)(lambda x: x, x, y)
    assert read(flat, "score")[0] == hyperdga(x[y == 0], x[y == 1], model="euclidean").score
    deep = HyperDGAProbe(distances=False)(lambda x: torch.cat([x, x], dim=1) / 2, x, y)
    assert 0 <= read(deep, "score")[0] <= 1


def test_what_cannot_be_compared_is_refused() -> None:
    x = disk(10, 0)
    with pytest.raises(InputError, match="integer labels"):
        HyperDGAProbe()(lambda x: x, x)
    with pytest.raises(UnsupportedError, match="'reconstruct'"):
        HyperDGAProbe(compare="reconstruction")(lambda x: x, x)
    with pytest.raises(InputError, match="no array 'reference'"):
        HyperDGAProbe(compare="copies")(lambda x: x, x)
    with pytest.raises(UnsupportedError, match="does not say what its codes are"):
        HyperDGAProbe(space="model")(lambda x: x, x, torch.arange(10) % 2)
    with pytest.raises(ValidationError, match="epochs belong to"):
        HyperDGAProbe(epochs=(1, 2))
    with pytest.raises(ValidationError, match="class_pairs are of classes"):
        HyperDGAProbe(compare="copies", class_pairs="named")


@pytest.mark.parametrize("probe", [HyperDGAProbe(), HyperDGABetweenModels(space="euclidean")])
def test_oracles_and_invariances_hold(probe: HyperDGAProbe | HyperDGABetweenModels) -> None:
    report = check_probe(probe)
    assert report.passed, report.text()
    assert report.invariances > 0
