"""Figures of tables, filters and starts of groups, drawn from measured studies."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

import repgeo
from repgeo.probes.intervals import estimate
from repgeo.report.figures import cayley_recovery, fourier_features
from repgeo.report.publishing import draw_figures

PROBES = [
    {"name": "cayley_recovery"},
    {"name": "cayley_recovery", "distance": "published"},
    {"name": "fourier_features"},
]


def task(models, probes=PROBES):
    return {
        "task": {"seeds": [0, 1]},
        "dataset": {
            "name": "orbit_pairs",
            "train_size": 60,
            "test_size": 2,
            "grid": {"group": ["C2", "S3"]},
        },
        "models": models,
        "probes": probes,
    }


PLANTED = {"name": "planted_representation", "label": "planted", "eta": 0.4, "draws": 8}
UNTRAINED = {"name": "power_spectral", "label": "untrained", "starts": 3}
EXACT = {"name": "planted_representation", "label": "exact"}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("groups")
    frame = repgeo.run(task([PLANTED, UNTRAINED, EXACT]), out=folder)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    return folder, frame


def stored(folder):
    def arrays(cell):
        with np.load(folder / "cells" / f"{cell}.npz") as found:
            return dict(found)

    return arrays


def drawn(module, folder, frame, probe):
    rows = frame[frame["probe"] == probe].reset_index(drop=True)
    arrays = stored(folder)
    figure = Figure(figsize=module.size(rows, arrays))
    module.draw(rows, arrays, figure.add_subplot())
    return figure


def test_every_probe_of_groups_has_a_figure(study, tmp_path):
    paths = draw_figures(study[0], tmp_path)
    assert [path.stem for path in paths] == ["cayley_recovery", "fourier_features"]
    for path in paths:
        assert path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert 10_000 < path.stat().st_size < 500_000


def test_shares_of_starts_are_pooled_over_seeds(study):
    folder, frame = study
    figure = drawn(cayley_recovery, folder, frame, "cayley_recovery")
    (panel,) = [axes for axes in figure.axes if axes.get_title() == "share of starts"]  # of C2
    assert [label.get_text() for label in panel.get_yticklabels()] == [
        "planted",
        "untrained",
        "exact",
    ]
    chosen = frame[
        (frame["metric"] == "exact_starts")
        & frame["params"].str.contains('"distance":"published"', regex=False)
        & frame["dataset"].str.contains("C2")
        & (frame["model"] == "planted")
    ]
    hits, n = round(float((chosen["value"] * chosen["n"]).sum())), int(chosen["n"].sum())
    assert n == 16
    samples = np.r_[np.ones(hits), np.zeros(n - hits)]
    wilson = estimate(samples, "proportion", ids=None, rng=np.random.default_rng(0))
    published = panel.containers[2]
    assert published.get_label() == "exact in the published metric"
    assert published[0].get_xdata()[0] == pytest.approx(hits / n)
    assert len(published[0].get_xdata()) == 2  # of the exact answer there is one start
    low, high = published[2][0].get_segments()[0][:, 0]
    assert (low, high) == pytest.approx((wilson.ci_low, wilson.ci_high))


def test_wrong_cells_are_marked(study):
    folder, frame = study
    figure = drawn(cayley_recovery, folder, frame, "cayley_recovery")
    images = [axes.get_images() for axes in figure.axes if axes.get_images()]
    assert len(images) == 2 * 4  # the true table and three models of two groups
    wrong = [int(np.ma.count(pair[1].get_array())) for pair in images]
    # Of each group three models, then the truth.
    assert wrong[2] == wrong[3] == wrong[6] == wrong[7] == 0
    told = frame[(frame["metric"] == "cell_accuracy") & (frame["model"] == "untrained")]
    told = told[told["dataset"].str.contains("S3") & (told["seed"] == 0)]
    assert wrong[5] == round(36 * (1 - float(told["value"].iloc[0])))


def test_models_without_starts_have_tables_only(tmp_path):
    probes = [{"name": "cayley_recovery"}]
    frame = repgeo.run(task([{"name": "commutant"}], probes), out=tmp_path)
    assert set(frame["status"]) == {"ok"}, frame["error"].unique()
    figure = drawn(cayley_recovery, tmp_path, frame, "cayley_recovery")
    assert len([axes for axes in figure.axes if axes.get_images()]) == 4
    assert not [axes for axes in figure.axes if axes.axison and not axes.get_images()]


def test_exact_filters_stand_first_and_scores_beside_chance(study):
    folder, frame = study
    figure = drawn(fourier_features, folder, frame, "fourier_features")
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles[:3] == ["exact", "planted", "untrained"]
    (legend,) = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["98 % of random rows", "planted", "untrained", "exact"]
