"""Lines, planes, boundaries and rank correlations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats

from repgeo.errors import InputError
from repgeo.geometry import (
    boundary_distance,
    line_slice,
    log_volume,
    normalised_entropy,
    partial_rank_correlation,
    plane_slice,
    principal_plane,
    random_plane,
    rank_correlation,
)


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_line_goes_from_one_input_to_the_other():
    start, end = _random(2, 3), _random(2, 3, seed=1)
    made = line_slice(start, end, steps=5)
    assert made.points.shape == (5, 2, 3)
    torch.testing.assert_close(made.points[[0, -1]], torch.stack([start, end]))
    torch.testing.assert_close(made.points[2], (start + end) / 2)
    assert made.log_area == pytest.approx(math.log(float((end - start).norm())), abs=1e-12)
    assert made.anchors.tolist() == [[0.0], [1.0]]


def test_a_plane_goes_through_its_anchors():
    corners = _random(3, 2, 4)
    made = plane_slice(*corners, steps=7)
    assert made.points.shape == (49, 2, 4)
    origin = corners.mean(dim=0).flatten()
    torch.testing.assert_close(origin + made.anchors @ made.axes.T, corners.flatten(1))
    torch.testing.assert_close(made.points[24].flatten(), origin)
    # The barycentric weights of a point (a, b) in this chart.
    a, b = made.coordinates.T
    weights = torch.stack([1 / 3 - a + b / 3**0.5, 1 / 3 + a + b / 3**0.5, 1 / 3 - 2 * b / 3**0.5])
    torch.testing.assert_close(made.points.flatten(1), weights.T @ corners.flatten(1))


def test_the_area_of_a_plane_slice():
    """In a chart of an equilateral triangle with side s, a unit square covers s^2."""
    corners = 2 * torch.tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.5, math.sqrt(0.75), 1.0]])
    made = plane_slice(*corners.double(), steps=2)
    assert made.log_area == pytest.approx(math.log(4.0), abs=1e-6)
    made = plane_slice(*_random(3, 5), steps=2)
    gram = made.axes.T @ made.axes
    assert made.log_area == pytest.approx(0.5 * float(torch.linalg.slogdet(gram).logabsdet))
    # The volume of the map from coordinates splits into the two.
    f = lambda x: torch.tanh(x @ _random(5, 8, seed=2))  # noqa: E731
    through = log_volume(lambda c: f(made.points[0] + c @ made.axes.T), torch.zeros(1, 2).double())
    restricted = log_volume(f, made.points[:1], subspace=made.subspace)
    assert through.item() == pytest.approx(restricted.item() + made.log_area, abs=1e-10)


def test_slices_without_a_line_or_plane_are_refused():
    x = _random(3)
    with pytest.raises(InputError, match="different, and not on one line"):
        line_slice(x, x)
    with pytest.raises(InputError, match="different, and not on one line"):
        plane_slice(x, 2 * x, 3 * x)
    with pytest.raises(InputError, match=r"of one shape, got \(3,\), \(2,\)"):
        line_slice(x, x[:2])
    with pytest.raises(InputError, match="at least 2 steps, got 1"):
        line_slice(x, 2 * x, steps=1)


def test_entropies():
    logits = torch.tensor([[0.0, 0.0, 0.0], [1e4, 0.0, 0.0], [5.0, 5.0, -1e4]])
    found = normalised_entropy(logits)
    expected = torch.tensor([1.0, 0.0, math.log(2) / math.log(3)])
    torch.testing.assert_close(found, expected)
    with pytest.raises(InputError, match="classes >= 2"):
        normalised_entropy(logits[:, :1])


@pytest.mark.parametrize("d", [2, 3, 30, 600])
def test_principal_planes(d):
    x = _random(40, d) * torch.linspace(3.0, 0.5, d, dtype=torch.float64)
    basis = principal_plane(x)
    torch.testing.assert_close(basis.T @ basis, torch.eye(2).double(), rtol=0, atol=1e-10)
    expected = torch.linalg.svd(x - x.mean(dim=0), full_matrices=False)[2][:2].T
    projections = basis @ basis.T, expected @ expected.T
    torch.testing.assert_close(*projections, rtol=0, atol=1e-7)


def test_planes_are_refused_where_there_is_none():
    with pytest.raises(InputError, match="at least 2 coordinates, got 1"):
        principal_plane(_random(5, 1))
    with pytest.raises(InputError, match="fewer than two directions"):
        principal_plane(_random(5, 1) * torch.ones(3))
    with pytest.raises(InputError, match="at least 2 coordinates, got 1"):
        random_plane(1, torch.Generator())


def test_distances_to_a_circle():
    x = 2 * torch.rand(400, 2, generator=torch.Generator().manual_seed(0)).double() - 1
    radius = x.norm(dim=1)
    found = boundary_distance(lambda x: (x.norm(dim=1) > 0.7).long(), x, x)
    exact = (radius - 0.7).abs()
    assert bool((found >= exact - 1e-9).all())  # an upper bound
    assert float((found - exact).median()) < 0.01
    assert stats.spearmanr(found, exact).statistic > 0.99


def test_distances_are_cut_at_the_first_change_only():
    """Three classes in a row: the distance is to the next one."""
    x = torch.tensor([[0.1], [1.2], [2.6]], dtype=torch.float64)
    found = boundary_distance(lambda x: x[:, 0].long(), x, x, candidates=2)
    torch.testing.assert_close(found, torch.tensor([0.9, 0.2, 0.6]).double(), rtol=0, atol=1e-6)


def test_boundaries_of_images_and_refusals():
    x = _random(20, 1, 2, 2)
    found = boundary_distance(lambda x: (x[:, 0, 0, 0] > 0).long(), x, x)
    assert bool((found >= x[:, 0, 0, 0].abs() - 1e-9).all())
    with pytest.raises(InputError, match="gives one class to all"):
        boundary_distance(lambda x: torch.zeros(len(x)).long(), x, x)
    with pytest.raises(InputError, match="one shape per input"):
        boundary_distance(lambda x: x, x, x[:, :, :1])


def test_rank_correlations_against_scipy():
    a, b, c = _random(3, 50).numpy().round(1)  # with ties
    r = {p: stats.spearmanr(*p_).statistic for p, p_ in {"ab": (a, b), "ac": (a, c), "bc": (b, c)}.items()}  # fmt: skip  # noqa: E501
    assert rank_correlation(a, b) == pytest.approx(r["ab"], abs=1e-12)
    partial = (r["ab"] - r["ac"] * r["bc"]) / math.sqrt((1 - r["ac"] ** 2) * (1 - r["bc"] ** 2))
    assert partial_rank_correlation(a, b, c) == pytest.approx(partial, abs=1e-12)


def test_rank_correlations_where_nothing_is_left():
    a = np.arange(10.0)
    assert rank_correlation(a, np.ones(10)) == 0.0
    assert partial_rank_correlation(a, a**2, a**3) == 0.0
    assert partial_rank_correlation(a, -a, np.ones(10)) == pytest.approx(-1.0)
    with pytest.raises(InputError, match="one length"):
        rank_correlation(a, a[:5])
    with pytest.raises(InputError, match=r"n >= 2; got \(1,\)"):
        rank_correlation(a[:1], a[:1])
