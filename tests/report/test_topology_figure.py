"""The figure of death times and persistence diagrams: what is drawn is what was stored."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from measured_study import Network, Study, answered_by, kept, measured

from repgeo.errors import InputError
from repgeo.probes import Topology
from repgeo.report import draw_probe
from repgeo.report.figures import topology
from repgeo.report.figures.style import new_figure


def drawn(study: Study) -> Figure:
    figure = new_figure(*topology.size(study.frame, study.arrays))
    topology.draw(study.frame, study.arrays, figure.add_subplot())
    return figure


@pytest.fixture(scope="module")
def study() -> Study:
    data = answered_by(Network(1), 60)
    networks = {label: {"init": Network(9), "final": Network(1)} for label in ("net#0", "net#1")}
    networks["untrained"] = {"init": Network(9), "final": Network(9)}
    models = [kept(label, states) for label, states in networks.items()]
    probe = Topology(cloud_size=6, clouds=3, loops=12, epochs=("init", "final"))
    return measured(probe, models, data, seeds=(0, 1))


def test_spreads_pool_seeds_and_replicas_and_diagrams_are_of_the_first(study, tmp_path):
    figure = drawn(study)
    spreads, *diagrams = figure.axes
    labels = [text.get_text() for text in spreads.get_yticklabels()]
    assert labels == ["net, init", "net, final", "untrained, init", "untrained, final"]
    pooled = np.concatenate(
        [
            study.stored(
                "artifact/deaths", metric="death_mean", at='{"cloud":"class","epoch":"final"}',
                model=model, seed=seed,
            ).ravel()
            for model in ("net#0", "net#1")
            for seed in (0, 1)
        ]
    )  # fmt: skip
    dots = [line for line in spreads.lines if line.get_marker() == "o" and len(line.get_xdata())]
    of_final = [line for line in dots if abs(line.get_ydata()[0] - 0.88) < 1e-6]
    assert of_final[0].get_xdata()[0] == pytest.approx(np.median(pooled))
    assert len(diagrams) == 4
    bars = study.stored(
        "artifact/bars", metric="total_persistence", at='{"dimension":1,"epoch":"final"}',
        model="net#0", seed=0,
    )  # fmt: skip
    offsets = [np.asarray(found.get_offsets()) for found in diagrams[1].collections]
    np.testing.assert_allclose(offsets[1].reshape(-1, 2), bars)
    assert draw_probe("topology", study.frame, study.arrays, tmp_path / "a.png").stat().st_size > 0


def test_without_loops_there_are_no_diagrams():
    data = answered_by(Network(1), 60)
    probe = Topology(cloud_size=6, loops=0)
    found = measured(probe, [kept("net", {"final": Network(1)})], data)
    assert len(drawn(found).axes) == 1


def test_rows_without_stored_death_times_are_refused(study):
    frame = study.frame[study.frame["metric"] == "beta"]
    figure = new_figure()
    with pytest.raises(InputError, match="nothing to draw"):
        topology.draw(frame, study.arrays, figure.add_subplot())
