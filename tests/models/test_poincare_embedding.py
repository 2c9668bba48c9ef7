"""Poincaré embeddings: the loss in closed form, steps within the ball, a tree recovered."""

from __future__ import annotations

import math

import pytest
import torch

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import ConfigurationError, InputError
from repgeo.hyperbolic import distance_matrix
from repgeo.models.mlp import mlp
from repgeo.models.poincare_embedding import PoincareEmbedding, poincare_embedding
from repgeo.models.recipe import parse_recipe
from repgeo.models.training import train
from repgeo.objectives.poincare_pairs import PoincarePairs

pytest.importorskip("geoopt", reason="Riemannian descent needs the extra 'hyperbolic'")


def tree_pairs(depth: int) -> tuple[torch.Tensor, int]:
    """(node, ancestor) of the complete binary tree."""
    nodes = 2**depth - 1
    pairs = []
    for node in range(1, nodes):
        above = node
        while above:
            above = (above - 1) // 2
            pairs.append([node, above])
    return torch.tensor(pairs), nodes


def test_the_loss_of_known_distances() -> None:
    # tanh(1/2) is at distance 1 of the origin
    points = torch.tensor([[0.0], [math.tanh(0.5)], [-math.tanh(1.0)]], dtype=torch.float64)
    batch = Split(torch.tensor([[0, 1]]), arrays={"negatives": torch.tensor([[2, -1]])})
    loss = PoincarePairs().loss(PoincareEmbedding(points), batch, torch.Generator())
    exact = math.log(math.exp(-1) + math.exp(-2)) + 1
    assert loss.item() == pytest.approx(exact, abs=1e-12)


def test_negatives_are_no_relatives() -> None:
    pairs, nodes = tree_pairs(4)
    data = Dataset("tree", Split(pairs), Split(pairs), {"nodes": nodes})
    related = {(int(u), int(v)) for u, v in pairs} | {(u, u) for u in range(nodes)}
    seen = 0
    objective = PoincarePairs(negatives=20)
    for batch in objective.batches(data, 8, torch.Generator().manual_seed(0)):
        for (below, _), row in zip(batch.x.tolist(), batch.negatives.tolist(), strict=True):
            kept = [v for v in row if v >= 0]
            seen += len(kept)
            assert not any((below, v) in related for v in kept)
    assert seen > 0


def test_a_step_is_the_riemannian_one() -> None:
    net = PoincareEmbedding(torch.tensor([[0.5, 0.0]]).double())
    descent = PoincarePairs(rate=0.1).optimizer(net)
    net.encoder.points.grad = torch.tensor([[1.0, 2.0]]).double()
    descent.step()
    scale = ((1 - 0.25) / 2) ** 2  # the inverse metric at |y| = 1/2
    expected = torch.tensor([[0.5 - 0.1 * scale, -0.2 * scale]]).double()
    assert torch.allclose(net.encoder.points, expected, atol=1e-12)


def test_training_puts_the_root_inside_and_pairs_near() -> None:
    pairs, nodes = tree_pairs(5)
    data = Dataset("tree", Split(pairs), Split(torch.arange(nodes)[:, None]), {"nodes": nodes})
    torch.manual_seed(0)
    net = poincare_embedding(nodes=nodes).double()
    recipe, objective, _ = parse_recipe(
        {"objective": "poincare_pairs", "epochs": 60, "batch_size": 16, "warmup": 0.1}
    )
    train(net, recipe, objective, data, generator=torch.Generator().manual_seed(0))
    points = net(data.test.x).detach()
    assert points.shape == (nodes, 2)
    radius = points.norm(dim=1)
    assert radius.max() < 1
    assert radius[0] < radius[15:].min()  # the root lies further in than every leaf
    apart = distance_matrix(points, points)
    related = torch.eye(nodes, dtype=torch.bool)
    related[pairs[:, 0], pairs[:, 1]] = related[pairs[:, 1], pairs[:, 0]] = True
    assert apart[pairs[:, 0], pairs[:, 1]].mean() < apart[~related].mean()


def test_what_cannot_be_embedded_is_refused() -> None:
    batch = Split(torch.tensor([[0, 1]]), arrays={"negatives": torch.tensor([[1]])})
    with pytest.raises(ConfigurationError, match="moves points of a ball"):
        PoincarePairs().loss(mlp((2,), 2), batch, torch.Generator())
    real = Split(torch.zeros(3, 2))
    with pytest.raises(InputError, match=r"integers \(n, 2\)"):
        next(PoincarePairs().batches(Dataset("", real, real), 2, torch.Generator()))
    with pytest.raises(InputError, match="numbers of type integer"):
        poincare_embedding(nodes=3)(torch.zeros(2, 1))
