from __future__ import annotations

import torch

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
