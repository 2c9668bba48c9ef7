from __future__ import annotations

import math
import os

import numpy as np
import pytest
import torch
from torch import nn

import repgeo
from repgeo.datasets import Dataset, Split
from repgeo.errors import DatasetError, InputError, UnsupportedError
from repgeo.groups import irreps, named_group
from repgeo.models.composition_networks import composition_mlp
from repgeo.models.power_spectral import planted_representation, power_spectral
from repgeo.models.scalar_neurons import published_bispectral
from repgeo.probes import CayleyRecovery, CircularHarmonics, FourierFeatures, InvariancePurity
from repgeo.probes.cayley_recovery import (
    block_contents,
    misplaced_energy,
    missing_representations,
)
from repgeo.probes.checking import check_probes
from repgeo.probes.circular_harmonics import polar_samples
from repgeo.probes.fourier_features import PlantedRows

DATA = os.environ.get("REPGEO_DATA")
NAMES = ["fourier_features", "cayley_recovery", "invariance_purity", "circular_harmonics"]


@pytest.mark.parametrize("name", NAMES)
def test_oracles_of_group_probes(name):
    (report,) = check_probes([name], invariances=False)
    assert report.passed, report.text()
    assert report.oracles >= 7


def on(name):
    split = Split(torch.zeros(2, named_group(name).order))
    return Dataset("planted", split, split, {"group": name})


def values(probe, model, data):
    frame = repgeo.evaluate({"model": model}, [probe], data)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    return frame


def test_scores_of_random_rows_are_at_chance():
    rows = torch.randn(4000, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    frame = values(FourierFeatures(), PlantedRows(rows), on("S3")).set_index("metric")
    score = frame.loc["score"]
    assert abs(score["value"] - score["chance"]) < 0.01
    assert score["chance"] == pytest.approx(0.7237, abs=0.005)
    assert frame.loc["significant", "value"] == 0
    assert abs(frame.loc["pure", "value"] - frame.loc["pure", "chance"]) < 0.01


def test_ranks_and_angles_of_exact_and_of_partial_filters():
    group = named_group("S3")
    exact = planted_representation("S3")
    frame = values(FourierFeatures(), exact, on("S3"))
    assert frame[frame["metric"] == "rank"]["value"].tolist() == [1, 1, 4]
    assert frame[frame["metric"] == "angle"]["value"].max() < 1e-7
    part = PlantedRows(irreps(group)[2].matrices.flatten(1).T[:2])
    frame = values(FourierFeatures(), part, on("S3"))
    assert frame[frame["metric"] == "rank"]["value"].tolist() == [0, 0, 2]


def test_which_rows_are_read():
    net = composition_mlp((2, 5), 5, width=3)
    data = on("C5")
    by_filters = values(FourierFeatures(), net, data)
    by_name = values(FourierFeatures(weight="encoder.linear.weight"), net, data)
    assert by_filters["value"].tolist() == by_name["value"].tolist()
    assert int(by_filters["n"].max()) == 6  # three units on two factors
    plain = nn.Linear(5, 3)
    assert len(values(InvariancePurity(group="C5"), plain, data)) == 4
    two = nn.Sequential(nn.Linear(5, 5), nn.Linear(5, 2))
    with pytest.raises(UnsupportedError, match=r"0.weight, 1.weight. Choose one"):
        FourierFeatures(group="C5")(two, torch.zeros(2, 5))
    with pytest.raises(InputError, match="no weight 'nothing'"):
        FourierFeatures(group="C5", weight="nothing")(two, torch.zeros(2, 5))
    with pytest.raises(InputError, match="does not act on signals of 7"):
        FourierFeatures(group="C7", weight="0.weight")(two, torch.zeros(2, 5))
    with pytest.raises(InputError, match="needs a group"):
        FourierFeatures()(two, torch.zeros(2, 5))
    with pytest.raises(InputError, match="do not fit"):
        FourierFeatures(group="C7")(net, torch.zeros(2, 2, 5))


def test_rows_of_zeros_are_left_out():
    rows = torch.cat([torch.ones(1, 5), torch.zeros(2, 5)])
    frame = values(InvariancePurity(), PlantedRows(rows), on("C5")).set_index("metric")
    assert frame.loc["defect", "n"] == 1
    with pytest.raises(InputError, match="All rows"):
        InvariancePurity(group="C5")(PlantedRows(torch.zeros(2, 5)), torch.zeros(1, 5))


def test_rates_over_starts():
    good = planted_representation("Q8", eta=0.05, draws=6)
    frame = values(CayleyRecovery(threshold=0.5), good, on("Q8")).set_index("metric")
    assert frame.loc["starts", "value"] == 6
    assert frame.loc["success", "value"] == 1
    assert frame.loc["certified_starts", "value"] == 1
    assert frame.loc["certified_wrong", "value"] == 0
    assert frame.loc["misplaced_successes", "value"] == 0
    assert frame.loc["missing_successes", "value"] == 0
    assert not {"misplaced_failures", "missing_failures"} & set(frame.index)
    untrained = power_spectral((8,), group="Q8", starts=5)
    frame = values(CayleyRecovery(), untrained, on("Q8")).set_index("metric")
    assert frame.loc["success", "value"] == 0
    assert frame.loc["misplaced_failures", "value"] == 1
    assert frame.loc["isomorphic", "value"] == 0


def test_what_failed_starts_have_in_common():
    group = named_group("S4")
    trivial, sign, two, *threes = (rho.matrices for rho in irreps(group))
    zeros = torch.zeros(24, 2, 1, dtype=two.dtype)
    # Two blocks hold one representation, and another is nowhere.
    repeated = [trivial, trivial, two, *threes]
    # The characters stand in the block of dimension 2, which two others have left.
    both = torch.cat([torch.cat([trivial, zeros[:, :1]], 2), torch.cat([zeros[:, :1], sign], 2)], 1)
    swapped = [two[:, :1, :1], two[:, 1:, 1:], both, *threes]
    # Everything in its place, too large by a tenth.
    inexact = [1.1 * R for R in (trivial, sign, two, *threes)]
    for blocks, misplaced, missing in ((repeated, 0, 1), (swapped, 1, 3), (inexact, 0, 0)):
        contents = block_contents(blocks, group)
        assert np.allclose(contents[:, 1:].sum(axis=1), 1)
        assert contents[:, 0].tolist() == [1, 1, 2, 3, 3]
        assert misplaced_energy(contents, group) == pytest.approx(misplaced, abs=1e-12)
        assert missing_representations(contents, group) == missing


def test_components_need_no_rows_of_their_own():
    rows = PlantedRows(torch.eye(6))
    whole = FourierFeatures(group="C6")(rows, torch.zeros(1, 6))
    brief = FourierFeatures(group="C6", components=False)(rows, torch.zeros(1, 6))
    assert set(whole["metric"]) - set(brief["metric"]) == {"rank", "angle"}
    assert brief["value"].tolist() == whole["value"].tolist()[: len(brief)]


def test_a_model_without_blocks_is_unsupported():
    frame = repgeo.evaluate({"model": nn.Linear(8, 2)}, [CayleyRecovery()], on("Q8"))
    assert set(frame["status"]) == {"unsupported"}


def test_polar_samples_of_a_turning_patch():
    side = 33
    at = torch.arange(side, dtype=torch.float64) - 16
    y, x = torch.meshgrid(at, at, indexing="ij")
    rows = torch.stack([x.flatten(), y.flatten(), torch.ones(side * side, dtype=torch.float64)])
    found = polar_samples(rows / 16, angles=8, radii=4)
    turn = 2 * math.pi * torch.arange(8) / 8
    radius = torch.arange(1, 5) / 4
    assert torch.allclose(found[0], radius[:, None] ** 1.5 * turn.cos().double(), atol=1e-6)
    assert torch.allclose(found[1], radius[:, None] ** 1.5 * turn.sin().double(), atol=1e-6)
    with pytest.raises(InputError, match="square patches, got 12"):
        polar_samples(torch.ones(2, 12), angles=8, radii=4)
    with pytest.raises(InputError, match="Choose one"):
        CircularHarmonics()(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2)), torch.zeros(1, 4))


@pytest.mark.skipif(not DATA, reason="REPGEO_DATA, which holds the published weights, is not set")
def test_published_rows_that_are_characters():
    net = published_bispectral("translation")
    frame = FourierFeatures(group="C16xC16", purity=0.9)(net, torch.zeros(1, 256))
    found = frame.set_index("metric")["value"]
    assert found["pure"] * 256 == 165
    assert found["distinct"] == 92
    # The plain way: a two-dimensional fft of each row.
    power = np.abs(np.fft.fft2(net.weight.detach().reshape(-1, 16, 16).numpy())) ** 2
    shares = power.reshape(256, -1).max(axis=1) / power.reshape(256, -1).sum(axis=1)
    assert int((shares >= 0.9).sum()) == 165
    assert found["score"] == pytest.approx(float(shares.mean()), abs=1e-6)


@pytest.mark.skipif(not DATA, reason="REPGEO_DATA, which holds natural images, is not set")
@pytest.mark.parametrize("components", [None, 20])
def test_natural_patches(components):
    from repgeo.datasets.natural_patches import natural_patches

    sizes = {"side": 8, "train_size": 400, "test_size": 20, "components": components}
    turned = natural_patches(seed=0, action="rotation", **sizes)
    assert turned.train.x.shape == (400, components or 64)
    # Rotations keep what lies within the circle: norms agree up to interpolation.
    a, b = turned.train.x.norm(dim=1), turned.train.moved.norm(dim=1)
    assert float(torch.corrcoef(torch.stack([a, b]))[0, 1]) > 0.5 or components is None
    if components is not None:
        both = torch.cat([turned.train.x, turned.train.moved])
        assert torch.allclose(both.T @ both / len(both), torch.eye(components), atol=1e-3)
        return
    shifted = natural_patches(seed=0, action="translation", **sizes)
    assert shifted.meta["group"] == "C8xC8"
    x, y = (z.reshape(-1, 8, 8) for z in (shifted.train.x, shifted.train.moved))
    powers = [torch.fft.fft2(z).abs() for z in (x, y)]
    assert torch.allclose(*powers, atol=1e-3)


def test_natural_patches_without_their_folder(monkeypatch):
    from repgeo.datasets.natural_patches import natural_patches

    monkeypatch.delenv("REPGEO_DATA", raising=False)
    with pytest.raises(DatasetError, match="REPGEO_DATA names"):
        natural_patches(seed=0, action="rotation")
