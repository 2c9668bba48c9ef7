"""Figures of null-class walks: what is drawn is what was stored."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from measured_study import Network, Study, kept, measured, normal, together
from torch import nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.models.loaded import load_model
from repgeo.probes import NullWalk
from repgeo.report import draw_probe
from repgeo.report.figures import null_walk
from repgeo.report.figures.style import new_figure


def drawn(study: Study) -> Figure:
    figure = new_figure(*null_walk.size(study.frame, study.arrays))
    null_walk.draw(study.frame, study.arrays, figure.add_subplot())
    return figure


def data(*shape: int, seed: int = 5) -> Dataset:
    split = Split(torch.rand(6, *shape, generator=torch.Generator().manual_seed(seed)).double())
    return Dataset("points", split, split)


def curve(study: Study, metric: str, rule: str) -> list[float]:
    frame = study.frame
    rows = frame[(frame["metric"] == metric)]
    rows = rows[[json.loads(text)["rule"] == rule for text in rows["params"]]]
    steps = [json.loads(at)["step"] for at in rows["at"]]
    return [float(rows["value"][np.array(steps) == step].mean()) for step in sorted(set(steps))]


class Images(nn.Module):
    """A smooth network on images."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Network(3, inputs=16, classes=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.net(x.flatten(1))


@pytest.fixture(scope="module")
def plane() -> Study:
    model = kept("net", {"final": Network(1, classes=1)})
    probes = [
        NullWalk(points=3, walkers=1, steps=20, every=5, rule=rule)
        for rule in ("corrected", "uncorrected")
    ]
    return together(*[measured(probe, [model], data(2), seeds=(0, 1)) for probe in probes])


@pytest.fixture(scope="module")
def images() -> Study:
    model = load_model(Images(), "pictures")
    probe = NullWalk(points=3, walkers=2, steps=12, every=4, step_size=0.3, box="data")
    return measured(probe, [model], data(1, 4, 4))


def test_curves_are_means_over_seeds_and_paths_lie_over_level_sets(plane, tmp_path):
    figure = drawn(plane)
    curves, maps = figure.subfigs[0].subfigs
    drift, reach = curves.axes
    assert drift.get_yscale() == "log"
    assert [text.get_text() for text in curves.legends[0].get_texts()] == [
        "corrected",
        "uncorrected",
    ]
    for place, rule in enumerate(("corrected", "uncorrected")):
        expected = np.maximum(curve(plane, "drift", rule), 1e-18)
        np.testing.assert_allclose(drift.lines[place].get_ydata(), expected)
        np.testing.assert_array_equal(drift.lines[place].get_xdata(), [5, 10, 15, 20])
        np.testing.assert_allclose(reach.lines[place].get_ydata(), curve(plane, "reach", rule))
    assert "[output]" in drift.get_ylabel()
    assert reach.get_ylabel() == "distance from the start [input]"
    panels = maps.axes
    assert [panel.get_title() for panel in panels] == ["corrected", "uncorrected"]
    frame = plane.frame
    rows = frame[(frame["metric"] == "reach") & (frame["at"] == '{"step":20}')]
    cell = rows["cell"].iloc[0]
    position = list(frame.index[frame["cell"] == cell]).index(rows.index[0])
    path = plane.arrays(cell)[f"{position}/artifact/path"]
    assert path.shape == (21, 3, 2)
    for walker in range(3):
        np.testing.assert_array_equal(panels[0].lines[walker].get_xydata(), path[:, walker])
    assert panels[0].collections  # the level sets
    ready = frame.assign(status="ok")
    first = draw_probe("null_walk", ready, plane.arrays, tmp_path / "a").read_bytes()
    assert draw_probe("null_walk", ready, plane.arrays, tmp_path / "b").read_bytes() == first


def test_strips_are_the_stored_images_with_the_answers(images):
    figure = drawn(images)
    _, strip = figure.subfigs[0].subfigs
    stored = {
        name: images.stored(f"artifact/strip{name}", metric="reach", at='{"step":12}')
        for name in ("", "_steps", "_answers", "_shares")
    }
    assert stored[""].shape == (3, 4, 1, 4, 4)
    panels = strip.axes
    assert len(panels) == 2 * 4  # two of three starts
    np.testing.assert_array_equal(panels[5].images[0].get_array(), stored[""][1, 1, 0])
    assert [panel.get_title() for panel in panels[:4]] == ["step 0", "step 4", "step 8", "step 12"]
    answer, share = stored["_answers"][1, 1], stored["_shares"][1, 1]
    assert panels[5].get_xlabel() == f"{answer}: {share:.4f}"
    assert (stored["_answers"] == stored["_answers"][:, :1]).all()


def test_the_stored_images_are_those_of_the_first_walker_of_each_start(images):
    strip = images.stored("artifact/strip", metric="reach", at='{"step":12}')
    reach = images.stored("samples", metric="reach", at='{"step":12}').reshape(3, 2)[:, 0]
    moved = np.linalg.norm((strip[:, -1] - strip[:, 0]).reshape(3, -1), axis=1)
    np.testing.assert_allclose(moved, reach, rtol=1e-5)  # images are stored in float32


def test_paths_in_space():
    model = kept("net", {"final": Network(1, inputs=3, classes=1)})
    study = measured(NullWalk(points=2, walkers=2, steps=6), [model], data(3))
    figure = drawn(study)
    (panel,) = figure.subfigs[0].subfigs[1].axes
    assert panel.name == "3d"
    assert len(panel.lines) == 5  # four walkers and their starts


def test_samples_that_cannot_be_shown_leave_the_curves():
    model = kept("net", {"final": Network(1, inputs=5)})
    study = measured(NullWalk(points=2, steps=4), [model], data(5))
    assert len(drawn(study).subfigs[0].subfigs) == 1
    empty = study.frame[study.frame["metric"] == "rank"]
    with pytest.raises(InputError, match="no drift of 'null_walk'"):
        null_walk.draw(empty, study.arrays, new_figure().add_subplot())


def test_level_sets_need_a_spread():
    model = load_model(lambda x: 0 * x[:, :1], "flat")
    points = Split(normal(2, 2))
    study = measured(NullWalk(points=2, steps=2), [model], Dataset("points", points, points))
    (panel,) = drawn(study).subfigs[0].subfigs[1].axes
    assert not panel.collections
