"""What the README says of groups and equivariance is what the published tables hold."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import repgeo

ROOT = Path(__file__).parents[1]
TEXT = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())

pytestmark = pytest.mark.skipif(
    not (ROOT / "results").is_dir(), reason="a source distribution has no results/"
)

read = functools.cache(repgeo.read)


def rows(task: str, metric: str, model: str, **parts: str) -> pd.DataFrame:
    """The rows of a metric and a model whose other columns hold the given texts."""
    frame = read(ROOT / "results" / task)
    frame = frame[(frame["metric"] == metric) & (frame["model"] == model)]
    for column, text in parts.items():
        frame = frame[frame[column].fillna("").str.contains(text, regex=False)]
    assert len(frame), (task, metric, model, parts)
    return frame.sort_values("seed")


def mean(task: str, metric: str, model: str, **parts: str) -> float:
    return float(rows(task, metric, model, **parts)["value"].mean())


def difference(task: str, metric: str, model: str, other: str, **parts: str) -> tuple[float, ...]:
    """Mean of the paired differences over seeds, and its 95 % Student-t interval."""
    first, second = (rows(task, metric, name, **parts)["value"] for name in (model, other))
    differences = first.to_numpy() - second.to_numpy()
    half = stats.t.ppf(0.975, len(differences) - 1) * stats.sem(differences)
    middle = float(differences.mean())
    return middle, middle - float(half), middle + float(half)


def assert_told(*sentences: str) -> None:
    assert [sentence for sentence in sentences if sentence not in TEXT] == []


def test_tetris():
    task, of_group = "equivariance_tetris", {"params": '"layers"'}
    assert mean(task, "accuracy", "e3nn") == 1.0
    assert rows(task, "exact", "e3nn", **of_group)["value"].eq(1).all()
    for model in ("mlp", "pointnet", "mlp, augmented", "pointnet, augmented"):
        assert rows(task, "exact", model, **of_group)["value"].eq(0).all()
    gap = difference(task, "accuracy", "e3nn", "mlp, augmented")
    assert_told(
        f"an MLP for a share of {mean(task, 'accuracy', 'mlp'):.2f}, trained with random poses "
        f"{mean(task, 'accuracy', 'mlp, augmented'):.2f} and not exact",
        "the difference is {:.3f} ({:.3f} to {:.3f})".format(*gap),
    )


def test_point_clouds():
    task = "equivariance_point_clouds"
    names = ("e3nn", "pointnet", "pointnet, augmented", "sorted radii")
    found = [mean(task, "accuracy", model) for model in names]
    for model in ("e3nn", "sorted radii"):
        assert rows(task, "exact", model)["value"].eq(1).all()
    assert rows(task, "exact", "pointnet, augmented")["value"].eq(0).all()
    assert_told(
        f"{found[0]:.2f} right in random poses with an e3nn network of their density, "
        f"{found[1]:.2f} with a PointNet, {found[2]:.2f} with one trained with random poses",
        f"{found[3]:.2f} from the sorted distances to the centre alone",
    )


def test_molecules():
    task = "equivariance_molecules"
    found = [mean(task, "force_error", model) for model in ("e3nn", "mlp, augmented", "constant")]
    assert_told(
        f"forces are off by {found[0]:.2f} eV/Å with an e3nn network, by {found[1]:.2f} with an "
        f"augmented MLP, which is hardly less than by chance ({found[2]:.2f} with the mean"
    )
    assert rows(task, "exact", "e3nn")["value"].eq(1).all()


def test_voxels():
    task, longer = "equivariance_voxels", "cnn, augmented, 10 times as long"
    accuracy = [
        mean(task, "accuracy", model) for model in ("cnn, averaged", "cnn, augmented", longer)
    ]
    gap = difference(task, "accuracy", longer, "cnn, averaged")
    assert rows(task, "exact", "cnn, averaged")["value"].eq(1).all()
    assert rows(task, "flip_rate", longer)["value"].mean() > 0
    assert_told(
        f"exact and right for {accuracy[0]:.3f}, an augmented one for {accuracy[1]:.3f}, and for "
        f"{accuracy[2]:.3f} when it is trained ten times as long",
        "(by {:.3f}, {:.3f} to {:.3f})".format(*gap),
    )


def test_turned_digits():
    task, quarter, turns = "equivariance_images", '"group":"C4"', '"group":"SO2"'
    found = [
        mean(task, "moved_accuracy", model, params=quarter)
        for model in ("group cnn C4", "cnn", "cnn, quarter turns")
    ]
    upright = difference(task, "accuracy", "cnn", "group cnn C4")[0]
    assert rows(task, "exact", "group cnn C4", params=quarter)["value"].eq(1).all()
    plain = [
        rows(task, "moved_accuracy", model, params=turns)
        for model in ("group cnn C4", "cnn, rotations")
    ]
    anywhere = [float(part[part["at"].fillna("") == ""]["value"].mean()) for part in plain]
    assert_told(
        f"their accuracy is {found[0]:.3f}, that of a CNN {found[1]:.3f}, with augmentation by "
        f"such turns {found[2]:.3f}",
        f"On upright digits the CNN is better by {upright:.3f}",
        f"({anywhere[0]:.3f} against {anywhere[1]:.3f})",
    )


def test_lie_derivatives():
    above = rows("lie_derivative_layers", "local_error", "stride, 9-15", layer="output")["value"]
    assert np.allclose(above, 7 * math.pi**2 / 2, rtol=1e-6)
    assert_told(f"give {above.iloc[0]:.4f}, seven times π²/2")
    shifts = {"params": '"group":"T2"', "layer": "encoder"}
    found = {
        model: mean("lie_derivative_images", "mean_error", model, **shifts)
        for model in ("stride", "max", "average", "blur")
    }
    assert_told(
        f"at {found['stride']:.2f} (stride), {found['max']:.2f} (max), {found['average']:.3f} "
        f"(average) and {found['blur']:.3f} (blurred pooling)"
    )


def test_disentanglement():
    task, grid = "disentanglement", {"layer": "output"}
    for model in ("phases", "wrapped"):
        assert rows(task, "d_lsbd", model, **grid)["value"].max() < 1e-12
    assert rows(task, "collapsed", "wrapped", **grid)["value"].min() > 0
    assert rows(task, "collapsed", "phases", **grid)["value"].max() == 0
    assert_told(f"{mean(task, 'd_lsbd', 'entangled', **grid):.2f} for entangled phases")


def test_groups_are_told_as_measured():
    """The sentences whose numbers are checked against the tables of groups elsewhere."""
    starts = (ROOT / "results" / "harmonics_groups" / "starts.md").read_text(encoding="utf-8")
    longer = (ROOT / "results" / "harmonics_s4" / "starts.md").read_text(encoding="utf-8")
    assert "| S4 | Plancherel regulariser | Plancherel | 5 of 5 |" in starts
    assert "33 of 100 (0.25 to 0.43)" in starts
    assert "47 of 100 (0.38 to 0.57)" in longer
    assert "52 of 53" in longer
    published = [
        mean("harmonics_groups", "homomorphism_error", "published regulariser", dataset=name)
        for name in ("group=D5]", "group=S4]")
    ]
    by_search = rows("harmonics_unknown", "exact", "search over dimensions")["value"]
    share = [
        mean(task, "accuracy", "trained", dataset=name)
        for task, name in (
            ("modular_addition", "group=C11"),
            ("modular_addition", "group=C23"),
            ("group_composition", "group=D11"),
            ("group_composition", "group=S4"),
        )
    ]
    assert_told(
        "33 of 100 (0.25 to 0.43) succeed, 47 of 100 (0.38 to 0.57) after four times as many",
        f"errors of {published[0]:.2f} (D5) to {published[1]:.2f} (S4) in every seed",
        f"in {int(by_search.sum())} of {len(by_search)} cases by training",
        "{:.2f} (C11), {:.2f} (C23), {:.2f} (D11), {:.2f} (S4)".format(*share),
    )
