"""The probe `orbit_retrieval`: moved samples found by their predicted codes."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from repgeo.errors import InputError
from repgeo.groups import SO3
from repgeo.probes.checking import check_probes
from repgeo.probes.orbit_retrieval import OrbitRetrieval


def vectors(n: int = 200) -> Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def score(frame: pd.DataFrame, metric: str, by: str, rollout: int) -> pd.Series:
    at = json.dumps({"by": by, "rollout": rollout}, separators=(",", ":"))
    found = frame[(frame["metric"] == metric) & (frame["at"] == at)]
    assert len(found) == 1, frame[["metric", "at"]]
    return found.iloc[0]


def on_vectors(**fields: object) -> OrbitRetrieval:
    return OrbitRetrieval(group="SO3", action="vector", rollouts=(1, 10, 20), **fields)  # type: ignore[arg-type]


def test_oracles_and_invariances_of_retrieval() -> None:
    (report,) = check_probes(["orbit_retrieval"])
    assert report.passed, report.text()
    assert report.oracles >= 10
    assert report.invariances >= 30


def test_equivariant_codes_are_found_after_any_number_of_steps() -> None:
    frame = on_vectors(rep="vector")(lambda x: 3 * x, vectors())
    for by in ("representation", "fitted"):
        for rollout in (1, 10, 20):
            assert score(frame, "hit_rate", by, rollout)["value"] == 1.0
            assert score(frame, "reciprocal_rank", by, rollout)["value"] == 1.0
    residual = frame[frame["metric"] == "fit_residual"].iloc[0]
    assert residual["value"] < 1e-20


def test_constant_codes_score_what_chance_does() -> None:
    frame = on_vectors()(lambda x: x.new_ones(len(x), 2), vectors())
    for by in ("representation", "fitted"):
        hits = score(frame, "hit_rate", by, 10)
        assert hits["value"] == pytest.approx(1 / 32)
        assert hits["chance"] == pytest.approx(1 / 32)
        ranks = score(frame, "reciprocal_rank", by, 10)
        assert ranks["value"] == pytest.approx(ranks["chance"])
        assert ranks["chance"] == pytest.approx(0.12683, abs=1e-5)


def test_invariant_codes_are_found_and_vectors_taken_for_invariant_are_not() -> None:
    x = torch.randn(200, 4, 3, generator=torch.Generator().manual_seed(1))
    probe = OrbitRetrieval(group="SO3", action="points", by=("representation",), rollouts=(1,))
    found = probe(lambda x: (x @ x.mT).flatten(1), x)
    assert score(found, "hit_rate", "representation", 1)["value"] == 1.0
    lost = probe(lambda x: x.flatten(1), x)
    assert score(lost, "hit_rate", "representation", 1)["value"] < 0.3


def test_errors_of_a_fitted_map_add_up() -> None:
    frame = on_vectors(by=("fitted",))(lambda x: torch.cat([x, 0.5 * x**3], dim=1), vectors(400))
    hits = [score(frame, "hit_rate", "fitted", rollout)["value"] for rollout in (1, 10)]
    assert hits[0] > hits[1] > 1 / 32
    assert frame[frame["metric"] == "fit_residual"]["value"].iloc[0] > 0.01


class PoseAndClass(nn.Module):
    """A rotation from two vectors, and a class that turns have no part in."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)


def test_distances_of_poses_and_classes() -> None:
    generator = torch.Generator().manual_seed(2)
    poses = SO3().sample(160, generator=generator).mT.reshape(160, 9)
    kinds = 5 * torch.nn.functional.one_hot(torch.arange(160) % 4).double()
    x = torch.cat([poses, kinds], dim=1)
    frame = OrbitRetrieval(
        group="SO3",
        action="3x1o+4x0e",
        rep="3x1o+4x0e",
        pose_features=9,
        by=("representation",),
        rollouts=(1, 20),
    )(PoseAndClass(), x)
    assert score(frame, "hit_rate", "representation", 20)["value"] == 1.0
    with pytest.raises(InputError, match="none is left for the class"):
        on_vectors(pose_features=3)(lambda x: x, vectors())


def test_too_few_samples_for_the_candidates_are_told() -> None:
    with pytest.raises(InputError, match="Batches of 32 candidates need as many samples"):
        on_vectors()(lambda x: x, vectors(40))
