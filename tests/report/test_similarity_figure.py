from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.image import imread

from repgeo.probes.rows import to_frame
from repgeo.report import draw_probe
from repgeo.report.figures import similarity
from repgeo.report.figures.style import new_figure


def row(model: str, other: str, metric: str, value: float, chance: float, **more: object) -> dict:
    found = {
        "task": "grounded",
        "dataset": "digits",
        "model": model,
        "model_b": other,
        "layer": "encoder",
        "layer_b": "encoder",
        "probe": "similarity",
        "metric": metric,
        "value": value,
        "chance": chance,
        "direction": "none",
        "seed": 0,
        "status": "ok",
        "cell": f"{model}/{other}",
    }
    return found | more


def star(*, turned: bool = False) -> pd.DataFrame:
    """One space against three, by a similarity and a distance; two seeds of one of them."""
    numbers = {
        "same": {"cka": (1.0, 0.0), "procrustes": (0.0, 1.2)},
        "near": {"cka": (0.5, 0.0), "procrustes": (0.3, 1.2)},
        "apart": {"cka": (-0.1, 0.0), "procrustes": (1.3, 1.2)},
    }
    rows = []
    for other, measured in numbers.items():
        for metric, (value, chance) in measured.items():
            for seed in (0, 1):
                shifted = value + 0.1 * seed if other == "near" and metric == "cka" else value
                sides = (other, "data") if turned else ("data", other)
                rows.append(row(*sides, metric, shifted, chance, seed=seed))
    return to_frame(rows)


def panels(frame: pd.DataFrame) -> list[Axes]:
    figure = new_figure()
    similarity.draw(frame, lambda cell: {}, figure.add_subplot())
    return [axes for axes in figure.axes if axes.get_images()]


def labels(ticks: list) -> list[str]:
    return [tick.get_text() for tick in ticks]


@pytest.mark.parametrize("turned", [False, True])
def test_measures_are_rows_where_all_pairs_share_a_model(turned: bool) -> None:
    (panel,) = panels(star(turned=turned))
    assert labels(panel.get_yticklabels()) == ["cka", "procrustes"]
    assert labels(panel.get_xticklabels()) == ["same", "near", "apart"]
    assert panel.get_title() == ("second model: data" if turned else "first model: data")
    shares = np.asarray(panel.get_images()[0].get_array())
    # A similarity and a distance on one scale: 1 for equal sides, 0 at chance and beyond.
    assert shares == pytest.approx(np.array([[1.0, 0.55, 0.0], [1.0, 0.75, 0.0]]))
    texts = [text.get_text() for text in panel.texts]
    assert texts == ["1.00", ".55", "-.10", ".00", ".30", "1.30"]


def test_a_full_set_of_pairs_has_a_panel_for_each_measure(tmp_path) -> None:
    models = ("mlp", "cnn", "resnet")
    frame = to_frame(
        [
            row(a, b, metric, 1.0 if a == b else 0.4, 0.0)
            for metric in ("cka", "rsa")
            for a in models
            for b in models
            if (a, b, metric) != ("cnn", "mlp", "rsa")
        ]
    )
    first, second = panels(frame)
    assert (first.get_title(), second.get_title()) == ("cka", "rsa")
    assert labels(first.get_yticklabels()) == labels(first.get_xticklabels()) == list(models)
    assert [text.get_text() for text in second.texts].count("none") == 1
    path = draw_probe("similarity", frame, lambda cell: {}, tmp_path / "similarity.png")
    assert imread(path).std() > 0.05


def test_a_single_measure_of_two_models() -> None:
    (panel,) = panels(to_frame([row("a", "b", "cka", 0.3, 0.0), row("b", "a", "cka", 0.3, 0.0)]))
    assert panel.get_title() == "cka"
    assert [text.get_text() for text in panel.texts].count(".30") == 2
