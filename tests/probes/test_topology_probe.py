"""The probe of death times and loops: against slow ways, its choice of points, bad input."""

from __future__ import annotations

import json

import gudhi
import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist, squareform

from repgeo.datasets import Dataset, Split
from repgeo.errors import InputError
from repgeo.models.loaded import load_model
from repgeo.probes import Context, Subject, Topology
from repgeo.probes.checking import check_probe
from repgeo.probes.topology import loop_bars
from repgeo.stitching import beta_candidates, h0_deaths, overlap_coefficient


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def values(frame, metric):
    """Coordinates of a metric's rows -> value."""
    rows = frame[frame["metric"] == metric]
    return {
        tuple(sorted(json.loads(at or "{}").items())): value
        for at, value in zip(rows["at"], rows["value"], strict=True)
    }


def same(x):
    return x


@pytest.mark.parametrize("probe", list(Topology.variants()), ids=str)
def test_oracles_and_invariances_are_executed(probe):
    report = check_probe(probe)
    assert report.passed, report.text()
    assert report.oracles >= (0 if probe.layer_post else 4)
    assert report.invariances >= 150


def test_readings_are_those_of_clouds_that_are_whole_classes():
    x = torch.cat([normal(16, 3), 5 + 2 * normal(16, 3, seed=1), 9 * normal(10, 3, seed=2)])
    y = torch.tensor([0] * 16 + [1] * 16 + [2] * 10)  # of class 2 there are too few
    frame = Topology(loops=0)(same, x, y)
    deaths = h0_deaths(x[:32].reshape(2, 16, 3))
    pure = (("cloud", "class"),)
    assert values(frame, "death_mean")[pure] == pytest.approx(float(deaths.mean()))
    assert values(frame, "death_max")[pure] == pytest.approx(float(deaths[:, -1].mean()))
    means = deaths.mean(dim=1)
    assert values(frame, "class_spread")[()] == pytest.approx(float(means.std() / means.mean()))
    found = values(frame, "beta")
    for (of, factor), beta in beta_candidates(deaths).items():
        assert found[("factor", factor), ("of", of)] == pytest.approx(beta)
    row = frame[(frame["metric"] == "death_mean") & (frame["at"] == '{"cloud":"class"}')].iloc[0]
    assert row["chance"] == values(frame, "death_mean")[(("cloud", "mixed"),)]
    assert row["unit"] == "code"


def test_relative_death_is_one_where_all_distances_are_one():
    frame = Topology(cloud_size=5, loops=0)(same, torch.eye(20).double(), torch.arange(20) // 5)
    assert values(frame, "relative_death")[(("cloud", "class"),)] == pytest.approx(1.0)


def test_clouds_are_disjoint_class_pure_and_the_same_for_every_order():
    y = torch.arange(200) % 4
    test = Split(normal(200, 2), y, torch.arange(200) + 7)
    probe = Topology(cloud_size=8, clouds=3)
    chosen = probe._choose(test, Context("data", 0))
    assert chosen.pure.shape == (12, 8)
    assert len(chosen.pure.unique()) == 96
    assert bool((y[chosen.pure] == chosen.labels[:, None]).all())
    assert chosen.mixed.shape == (12, 8)
    assert len(chosen.mixed.unique()) == 96
    order = torch.randperm(200, generator=torch.Generator().manual_seed(0))
    again = probe._choose(test.take(order), Context("data", 0))
    assert torch.equal(order[again.pure].sort().values, chosen.pure.sort().values)
    other = probe._choose(test, Context("data", 1))
    assert not torch.equal(other.pure, chosen.pure)


def test_mixed_clouds_are_the_chance_level_of_labels_that_mean_nothing():
    x = normal(600, 5)
    frame = Topology(loops=0, clouds=20)(same, x, torch.arange(600) % 3)
    found = values(frame, "relative_death")
    assert found[(("cloud", "class"),)] == pytest.approx(found[(("cloud", "mixed"),)], rel=0.05)


def loops_by_definition(distances):
    """Without a bound on the edges, and without a collapse."""
    tree = gudhi.RipsComplex(distance_matrix=distances).create_simplex_tree(max_dimension=2)
    tree.compute_persistence()
    bars = tree.persistence_intervals_in_dimension(1)
    return np.array(sorted(bars.tolist())).reshape(-1, 2)


@pytest.mark.parametrize("n", [4, 12, 40])
def test_loops_are_those_of_the_whole_complex(n):
    for seed in range(3):
        distances = squareform(pdist(normal(n, 2, seed=seed).numpy()))
        np.testing.assert_allclose(loop_bars(distances), loops_by_definition(distances), rtol=1e-12)


def test_few_points_have_no_loop():
    assert loop_bars(np.zeros((3, 3))).shape == (0, 2)
    assert loop_bars(squareform(pdist(normal(9, 1).numpy()))).shape == (0, 2)


def test_overlap_of_two_layers_and_a_stored_diagram():
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = torch.nn.Identity()

        def forward(self, x):
            return self.encoder(x) * 3

    x, y = normal(64, 4), torch.arange(64) % 2
    frame = Topology(layer_post="output", cloud_size=8, clouds=4, loops=20)(Net(), x, y)
    split = Split(x, y)
    probe = Topology(cloud_size=8, clouds=4, loops=20)
    data = Dataset("data", split, split)
    subject = Subject(load_model(same, "same"), samples=x)
    readings = list(probe.measure(subject, data, Context(data.digest, 0)))
    stored = {r.metric: r.artifact for r in readings if r.artifact and r.at.get("cloud") == "class"}
    deaths = stored["death_mean"]["deaths"]
    assert deaths.shape == (8, 7)
    assert stored["death_mean"]["classes"].tolist() == [0] * 4 + [1] * 4
    found = values(frame, "overlap")[()]
    assert 0 < found < 1
    assert overlap_coefficient(deaths, 3 * deaths) == pytest.approx(found, abs=0.2)
    bars = {
        r.at["dimension"]: r.artifact["bars"] for r in readings if r.metric == "total_persistence"
    }
    assert bars[0].shape == (19, 2)
    assert bool((bars[0][:, 0] == 0).all())
    for dimension, found in bars.items():
        total = next(
            r.value
            for r in readings
            if r.metric == "total_persistence" and r.at["dimension"] == dimension
        )
        assert float((found[:, 1] - found[:, 0]).sum()) == pytest.approx(total)


def test_collapsed_codes_have_deaths_of_zero_and_no_relative_ones():
    frame = Topology(cloud_size=4, loops=10)(torch.zeros_like, normal(12, 3), torch.arange(12) % 2)
    assert values(frame, "death_max")[(("cloud", "class"),)] == 0.0
    assert values(frame, "total_persistence")[(("dimension", 1),)] == 0.0
    assert not {"relative_death", "class_spread"} & set(frame["metric"])


def test_what_topology_refuses():
    x = normal(20, 3)
    with pytest.raises(InputError, match="labels"):
        Topology()(same, x)
    with pytest.raises(InputError, match="no class has 16 test points"):
        Topology()(same, x, torch.arange(20) % 2)
    with pytest.raises(InputError, match="norm 0 has no direction"):
        Topology(cloud_size=4, metric_of_codes="cosine")(torch.zeros_like, x, torch.arange(20) % 2)
