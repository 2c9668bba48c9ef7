"""Figures of dimensions, fibres and critical points, drawn from a measured study."""

from __future__ import annotations

import pytest

import repgeo
from repgeo.errors import InputError
from repgeo.report.figures import draw_probe
from repgeo.report.publishing import draw_figures

TASK = {
    "task": {"seeds": [0, 1]},
    "dataset": {"name": "pixel_rows", "first": 2, "inputs": 4, "outputs": 2},
    "models": [
        {
            "name": "polynomial_cnn",
            "dtype": "float64",
            "outputs": 2,
            "filters": [2, 2],
            "grid": {"degree": [2, 3]},
        },
        {"name": "attention", "widths": [3, 3, 3], "ranks": 2, "softmax": True},
    ],
    "probes": [
        {"name": "neuromanifold", "precisions": ["float32", "float64"]},
        {"name": "fibre", "elements": 1},
        {"name": "critical_points", "draws": 3, "grid": {"labels": ["data", "normal"]}},
    ],
}


def test_every_probe_has_a_figure(tmp_path):
    frame = repgeo.run(TASK, out=tmp_path / "study")
    failed = frame[frame["status"] != "ok"]
    # Attention is no convolution: the row says so.
    assert set(failed["probe"]) == {"critical_points"}
    assert set(failed["model"]) == {"attention"}
    drawn = draw_figures(tmp_path / "study", tmp_path / "figures")
    assert [path.stem for path in drawn] == ["critical_points", "fibre", "neuromanifold"]
    for path in drawn:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert path.stat().st_size > 10_000


@pytest.mark.parametrize("probe", ["neuromanifold", "fibre", "critical_points"])
def test_nothing_to_draw(probe, tmp_path):
    task = {
        "task": {},
        "models": [{"name": "polynomial_cnn", "filters": [2], "degree": 2}],
        "probes": [{"name": "neuromanifold"}],
    }
    frame = repgeo.run(task, out=tmp_path / "study")
    rows = frame[frame["metric"] == "parameters"].assign(probe=probe)
    with pytest.raises(InputError, match="nothing to draw"):
        draw_probe(probe, rows, lambda cell: {}, tmp_path / "none.png")
