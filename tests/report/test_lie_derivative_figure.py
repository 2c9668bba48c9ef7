"""Figures of Lie derivatives: what is drawn is what was stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from measured_study import Study, measured, together

from repgeo.datasets.band_limited import band_limited
from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.models.building import build
from repgeo.models.loaded import LoadedModel, load_model
from repgeo.models.planted_layer import planted_layer
from repgeo.models.pooling_cnn import pooling_cnn
from repgeo.probes import LieDerivative
from repgeo.report import draw_probe
from repgeo.report.figures import lie_derivative
from repgeo.report.figures.style import PALETTE, new_figure

LAYERS = {name: f"encoder.{name}" for name in ("conv1", "activation1", "pool1", "mean")}


def drawn(study: Study) -> Figure:
    figure = new_figure(*lie_derivative.size(study.frame, study.arrays))
    lie_derivative.draw(study.frame, study.arrays, figure.add_subplot())
    return figure


def network(label: str, seed: int) -> LoadedModel:
    parameters = {"channels": [2, 2]}
    net = build(pooling_cnn, parameters, seed=seed, input_shape=(1, 8, 8), classes=2)
    return load_model(net, label, LAYERS)


@pytest.fixture(scope="module")
def profiles() -> Study:
    x = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    data = Dataset("images", Split(x), Split(x), {"group": "T2", "action": "image"})
    models = [network("net", 1), network("net, untrained", 2)]
    layer = {"layer": "mean"}
    return together(
        *[measured(LieDerivative(**layer), models, data, seeds=(0, 1))],
        *[measured(LieDerivative(group="SO2", action="image", **layer), models, data)],
    )


def test_profiles_over_layers(profiles: Study, tmp_path) -> None:
    figure = drawn(profiles)
    assert len(figure.axes) == 6  # two metrics, three generators
    titles = [panel.get_title(loc="left") for panel in figure.axes[:3]]
    assert titles == ["shift down", "shift right", "rotation"]
    panel = figure.axes[0]
    trained, twin = panel.lines[:2]
    assert trained.get_color() == twin.get_color() == PALETTE[0]
    assert (trained.get_linestyle(), twin.get_linestyle()) == ("-", "--")
    frame = profiles.frame
    rows = frame[(frame["metric"] == "relative_error") & frame["at"].str.contains("shift_down")]
    rows = rows[(rows["model"] == "net") & (rows["seed"] == 0)]
    assert list(rows["layer"]) == ["conv1", "activation1", "pool1", "mean", "output"]
    # conv1 commutes with shifts: rounding, drawn at the end of the axis.
    assert np.asarray(trained.get_ydata())[0] == pytest.approx(1e-12)
    expected = np.maximum(rows["value"].to_numpy(dtype=float), 1e-12)
    assert np.allclose(np.asarray(trained.get_ydata(), dtype=float), expected)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["net", "net, untrained"]
    path = draw_probe("lie_derivative", frame, profiles.arrays, tmp_path / "lie.png")
    assert path.stat().st_size > 10_000


def test_single_layers_have_a_row_each() -> None:
    models = [load_model(planted_layer(kind), kind) for kind in ("stride", "ideal_pool")]
    data = band_limited(seed=0, test_size=9)
    study = measured(LieDerivative(), models, data)
    (panel,) = drawn(study).axes
    dots, chances = panel.lines[:2]
    frame = study.frame
    rows = frame[(frame["metric"] == "relative_error") & (frame["layer"] == "output")]
    assert np.allclose(np.asarray(dots.get_xdata(), dtype=float), np.maximum(rows["value"], 1e-12))
    assert np.asarray(dots.get_xdata())[1] == pytest.approx(1e-12)
    assert np.allclose(np.asarray(chances.get_xdata(), dtype=float), rows["chance"])
    assert [text.get_text() for text in panel.get_yticklabels()] == ["stride", "ideal_pool"]
    assert panel.get_xticklabels()[0].get_text() == "rounding"


def test_nothing_to_draw_is_refused(profiles: Study) -> None:
    none = profiles.frame[profiles.frame["metric"] == "input_change"]
    with pytest.raises(InputError, match="nothing to draw"):
        lie_derivative.draw(none, profiles.arrays, new_figure().add_subplot())
