"""Figures of measures of equivariance, drawn from small measured studies."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import repgeo
from repgeo.errors import InputError
from repgeo.report.figures import draw_probe, figures_of
from repgeo.report.publishing import draw_figures

TASK = {
    "task": {"seeds": [0, 1]},
    "dataset": {"name": "torus_signals", "angles": 4, "train_size": 40},
    "models": [
        {"name": "torus_phases"},
        {
            "name": "torus_phases",
            "label": "wrapped",
            "frequencies": [[3, 0], [0, 4]],
        },
        {
            "name": "image_group_cnn",
            "label": "group cnn",
            "group": "C4",
            "classes": 4,
            "channels": [2],
            "features": 3,
            "layers": {"conv1": "encoder.conv1", "encoder": "encoder"},
        },
        {"name": "constant", "classes": 4},
    ],
    "probes": [
        {"name": "equivariance_error", "group": "C4", "action": "image", "layers": ["*"]},
        {
            "name": "equivariance_error",
            "group": "SO2",
            "action": "image",
            "curve": [30, 90],
            "n_elements": 2,
            "exactness": False,
        },
        {"name": "orbit_retrieval", "candidates": 4, "rollouts": [1, 3]},
        {"name": "disentanglement"},
    ],
}


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("equivariance") / "study"
    frame = repgeo.run(TASK, out=folder)
    assert set(frame["status"]) == {"ok"}, frame[frame["status"] != "ok"]["error"].tolist()
    return folder


def test_every_probe_of_equivariance_has_a_figure(study: Path, tmp_path: Path) -> None:
    drawn = draw_figures(study, tmp_path / "figures")
    assert [path.stem for path in drawn] == [
        "disentanglement",
        "equivariance_error",
        "orbit_retrieval",
    ]
    for path in drawn:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 10_000


def test_transformations_of_images_have_no_figure_of_groups(study: Path, tmp_path: Path) -> None:
    frame = repgeo.read(study / "table.csv")
    codes = frame[frame["metric"] == "error"].assign(metric="codes")
    assert "equivariance_error" not in figures_of(pd.DataFrame(codes))
    for probe in ("equivariance_error", "orbit_retrieval", "disentanglement"):
        nothing = codes.assign(probe=probe)
        with pytest.raises(InputError, match="nothing to draw"):
            draw_probe(probe, nothing, lambda cell: {}, tmp_path / "none.png")
