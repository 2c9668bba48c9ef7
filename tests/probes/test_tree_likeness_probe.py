"""The probe of tree-like codes: known trees, known spaces, subsets, and what it refuses."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import torch
from torch import Tensor

import repgeo
from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.trees import binary_tree
from repgeo.probes.tree_likeness import TreeLikeness


def measured(probe: TreeLikeness, model: object, data: Dataset) -> pd.DataFrame:
    return repgeo.evaluate({"m": model}, probe, data)


def values(probe: TreeLikeness, model: object, data: Dataset) -> dict[str, float]:
    frame = measured(probe, model, data)
    assert set(frame["status"]) == {"ok"}, frame["error"].tolist()
    return dict(zip(frame["metric"], frame["value"], strict=True))


def error(probe: TreeLikeness, model: object, data: Dataset) -> str:
    frame = measured(probe, model, data)
    assert frame["status"].tolist() == ["failed"]
    return str(frame["error"].iloc[0])


def test_hamming_coordinates_are_the_tree() -> None:
    data = binary_tree(seed=0, depth=5)
    # squared Euclidean distances of the bits are the distances of the tree: not a tree themselves
    read = values(TreeLikeness(points=31, bases=31), lambda x: x, data)
    assert read["spearman"] == pytest.approx(1.0, abs=1e-12)
    assert 0.9 < read["pearson"] < 1.0
    assert 0 < read["relative_delta"] < 1


def test_a_star_of_far_points_is_a_tree_in_hyperbolic_space() -> None:
    angles = torch.arange(4.0, dtype=torch.float64) * math.pi / 2
    star = torch.stack([angles.cos(), angles.sin()], dim=1)

    def scaled(radius: float) -> float:
        split = Split(star * radius)
        read = values(
            TreeLikeness(space="tangent", bases=4), lambda x: x, Dataset("", split, split)
        )
        assert read["delta"] <= math.log(2) + 1e-9  # the plane's own
        return read["relative_delta"]

    assert scaled(20.0) < 0.05 < 0.4 < scaled(0.01)


def test_subsets_and_orders_take_their_columns_along() -> None:
    data = binary_tree(seed=0, depth=4)
    order = torch.randperm(15, generator=torch.Generator().manual_seed(0))
    moved = Dataset("", data.train, data.test.take(order))
    some = Dataset("", data.train, data.test.take(order[:9]))
    probe = TreeLikeness()

    def shifted(x: Tensor) -> Tensor:
        return x[:, :6] + 2 * x[:, 3:9]

    assert values(probe, shifted, moved) == pytest.approx(values(probe, shifted, data), abs=1e-12)
    assert values(probe, shifted, some)["pearson"] != values(probe, shifted, data)["pearson"]


def test_what_has_no_distances_is_refused() -> None:
    data = binary_tree(seed=0, depth=3)
    assert "are the same" in error(TreeLikeness(), lambda x: 0 * x, data)
    two = data.test.take(torch.arange(2))
    found = error(TreeLikeness(), lambda x: x, Dataset("", two, two))
    assert "three samples, got 2" in found
    wrong = Split(data.test.x, arrays={"tree_distance": torch.zeros(7)})
    found = error(TreeLikeness(), lambda x: x, Dataset("", wrong, wrong))
    assert "(samples, nodes)" in found
    assert "open ball" in error(TreeLikeness(space="poincare"), lambda x: x, data)
