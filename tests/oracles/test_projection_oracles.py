from __future__ import annotations

import pytest
import torch
from scipy.cluster.hierarchy import linkage
from scipy.spatial.distance import pdist

from repgeo.stitching import RelativeProjection


def test_orthonormal_anchors_give_the_direction() -> None:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(9, 4, dtype=torch.float64, generator=generator)
    found = RelativeProjection("cosine").fit(torch.eye(4, dtype=torch.float64)).transform(codes)
    assert torch.allclose(found, codes / codes.norm(dim=1, keepdim=True), atol=1e-15)


def test_two_centred_anchors_are_opposite() -> None:
    generator = torch.Generator().manual_seed(1)
    anchors, codes = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (2, 9))
    for scale in (False, True):
        projection = RelativeProjection("cosine", center=True, scale=scale)
        found = projection.fit(anchors).transform(codes)
        assert torch.allclose(found[:, 1], -found[:, 0], atol=1e-14)


def test_directions_are_recovered_from_enough_anchors() -> None:
    generator = torch.Generator().manual_seed(2)
    anchors, codes = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (12, 9))
    relative = RelativeProjection("cosine").fit(anchors).transform(codes)
    units = anchors / anchors.norm(dim=1, keepdim=True)
    recovered = relative @ torch.linalg.pinv(units.T)
    assert torch.allclose(recovered, codes / codes.norm(dim=1, keepdim=True), atol=1e-12)
    assert int(torch.linalg.matrix_rank(relative, atol=1e-10)) == 4


def test_distances_in_closed_form() -> None:
    anchors = torch.tensor([[0.0, 0.0]])
    codes = torch.tensor([[3.0, -4.0]])
    expected = {"euclidean": -5.0, "l1": -7.0, "linf": -4.0}
    for similarity, value in expected.items():
        projection = RelativeProjection(similarity, l2=False).fit(anchors)
        assert projection.transform(codes).item() == value


def test_a_planted_intertwiner_is_seen_by_the_cosine_and_not_when_normalised() -> None:
    # Codes after a ReLU, rescaled unit by unit and permuted: the network behind can undo it.
    generator = torch.Generator().manual_seed(3)
    codes = torch.randn(50, 6, dtype=torch.float64, generator=generator).relu()
    moved = (codes * torch.tensor([0.1, 1, 10, 3, 0.3, 1], dtype=torch.float64)).flip(1)
    cosine, normalised = (
        RelativeProjection("cosine"),
        RelativeProjection("cosine", center=True, scale=True),
    )
    for projection, low, high in ((cosine, 0.1, 2.0), (normalised, 0.0, 1e-13)):
        gap = projection.fit(codes[:20]).transform(codes)
        gap = gap - projection.fit(moved[:20]).transform(moved)
        assert low <= float(gap.abs().max()) <= high


def test_anchors_that_are_the_codes_give_a_matrix_of_cosines() -> None:
    # Symmetric, positive semidefinite, a diagonal of ones, rank at most min(features, n - 1).
    generator = torch.Generator().manual_seed(4)
    for n, d in ((20, 6), (5, 6)):
        codes = torch.randn(n, d, dtype=torch.float64, generator=generator) + 1
        for stats in ("anchors", "own"):
            for name in ("centered", "robust", "whitened"):
                found = RelativeProjection.preset(name, stats=stats).fit_transform(codes)
                assert torch.allclose(found, found.T, rtol=0, atol=1e-13)
                assert torch.allclose(found.diag(), torch.ones(n).double(), rtol=0, atol=1e-13)
                values = torch.linalg.eigvalsh(found)
                assert float(values.min()) >= -1e-12
                assert int((values > 1e-10).sum()) == min(d, n - 1)


def test_two_anchors_with_their_own_statistics_are_opposite() -> None:
    generator = torch.Generator().manual_seed(5)
    anchors, codes = (torch.randn(n, 4, dtype=torch.float64, generator=generator) for n in (2, 9))
    found = RelativeProjection.preset("robust", stats="own").fit(anchors).transform(codes)
    assert torch.allclose(found[:, 1], -found[:, 0], rtol=0, atol=1e-15)


def test_whitening_in_closed_form() -> None:
    # Of codes with covariance C: cosines of the Mahalanobis product <x, C^-1 a>.
    generator = torch.Generator().manual_seed(6)
    anchors, codes = (torch.randn(n, 3, dtype=torch.float64, generator=generator) for n in (30, 9))
    anchors = anchors @ torch.tensor([[2.0, 1.0, 0], [0, 1, 0.5], [0, 0, 0.3]]).double() + 1
    covariance = torch.cov(anchors.T, correction=0)
    for ridge in (0.0, 0.2):
        added = ridge * covariance.trace() / 3 * torch.eye(3, dtype=torch.float64)
        inverse = torch.linalg.inv(covariance + added)
        x, a = codes - anchors.mean(dim=0), anchors - anchors.mean(dim=0)
        products = x @ inverse @ a.T
        expected = products / torch.outer(
            (x @ inverse * x).sum(dim=1).sqrt(), (a @ inverse * a).sum(dim=1).sqrt()
        )
        found = RelativeProjection.preset("whitened", ridge=ridge).fit(anchors).transform(codes)
        assert torch.allclose(found, expected, rtol=0, atol=1e-13)


def test_independent_anchors_are_all_alike_when_whitened_by_themselves() -> None:
    # k <= d anchors, centred and whitened, are the vertices of a regular simplex.
    generator = torch.Generator().manual_seed(7)
    anchors = torch.randn(5, 12, dtype=torch.float64, generator=generator)
    expected = 1.25 * torch.eye(5, dtype=torch.float64) - 0.25
    found = RelativeProjection.preset("whitened").fit_transform(anchors)
    assert torch.allclose(found, expected, rtol=0, atol=1e-13)


def test_collinear_centroids_stay_apart_where_they_are_normalised() -> None:
    # Clusters at (1,1), (3,3) and (-1,2): from the origin, two of them lie in one direction.
    generator = torch.Generator().manual_seed(8)
    centroids = torch.tensor([[1.0, 1.0], [3.0, 3.0], [-1.0, 2.0]], dtype=torch.float64)
    spread = torch.randn(3, 40, 2, dtype=torch.float64, generator=generator)
    codes = (centroids[:, None] + 0.02 * spread).flatten(0, 1)

    def gaps(points: torch.Tensor, middles: torch.Tensor) -> tuple[list[float], float]:
        """The two largest deaths, and how far they can be from those of the middles alone."""
        deaths = linkage(pdist(points.numpy()), "single")[:, 2]
        radius = (points.unflatten(0, (3, 40)) - middles[:, None]).norm(dim=2).max()
        return sorted(deaths.tolist())[-2:], 2 * float(radius)

    found, within = gaps(codes, centroids)
    assert within < 0.2
    assert found == pytest.approx([5**0.5, 8**0.5], abs=within)
    cosine = RelativeProjection("cosine").fit(centroids)
    found, within = gaps(cosine.transform(codes), cosine.transform(centroids))
    assert found[0] < within < 0.2  # two of the three clusters have become one
    assert found[1] > 1
    # Normalised, the three are apart again: as rows of cosines between normalised centroids.
    robust = RelativeProjection.preset("robust").fit(centroids)
    standard = (centroids - centroids.mean(0)) / centroids.std(0, correction=0)
    units = standard / standard.norm(dim=1, keepdim=True)
    expected = linkage(pdist((units @ units.T).numpy()), "single")[:, 2].tolist()
    found, within = gaps(robust.transform(codes), robust.transform(centroids))
    assert min(expected) > 1
    assert within < 0.3
    assert found == pytest.approx(expected, abs=within)


def test_an_exact_intertwiner_leaves_a_network_alone_and_its_robust_codes() -> None:
    # Units of a ReLU layer, rescaled and permuted, with the inverse in the next layer.
    generator = torch.Generator().manual_seed(9)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    x, first, bias, second = normal(200, 8), normal(8, 16), normal(16), normal(16, 3)
    scales, order = normal(16).exp(), torch.randperm(16, generator=generator)
    codes = (x @ first + bias).relu()
    moved = (x @ (first * scales)[:, order] + (bias * scales)[order]).relu()
    assert torch.allclose(codes @ second, moved @ (second / scales[:, None])[order], atol=1e-12)
    assert float((codes @ second - moved @ second).abs().max()) > 1  # the absolute stitch

    def change(name: str, **changes: object) -> float:
        before, after = (
            RelativeProjection.preset(name, **changes).fit(each[:40]).transform(each)
            for each in (codes, moved)
        )
        return float((before - after).abs().max())

    assert change("robust") < 1e-13
    assert change("whitened") < 1e-11
    assert change("cosine") > 0.3
    assert change("centered") > 0.3
    assert change("whitened", ridge=1e-3) > 1e-4  # the price of a ridge


def test_relative_coordinates_of_an_anchor_have_a_one() -> None:
    generator = torch.Generator().manual_seed(10)
    anchors = torch.randn(7, 4, dtype=torch.float64, generator=generator)
    found = RelativeProjection("cosine").fit_transform(anchors)
    assert torch.allclose(found.diag(), torch.ones(7).double(), rtol=0, atol=1e-15)
    assert float(found.abs().max()) <= 1.0
