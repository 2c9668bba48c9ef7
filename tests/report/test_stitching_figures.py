"""Figures of stitching: the matrices, latent spaces side by side, layers, and the factorial."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from synthetic_study import record

from repgeo.errors import UnknownNameError
from repgeo.identity import canonical_json
from repgeo.probes.rows import to_frame
from repgeo.report.figures import (
    draw_probe,
    figures_of,
    latent_spaces,
    relative_stitching,
    stitched_layers,
    stitching_factorial,
)

PARAMS = canonical_json({"head": "adam", "head_lr": 2e-4, "head_epochs": 40})


def row(model: str, model_b: str, at: dict, value: float, seed: int = 0, **more) -> dict:
    return record(
        model,
        "relative_stitching",
        "accuracy",
        value,
        seed,
        at=at,
        model_b=model_b,
        layer_b=more.pop("layer_b", "encoder"),
        params=more.pop("params", PARAMS),
        **more,
    )


def pairs(methods=("absolute", "cosine", "robust"), models=("a", "b", "c")) -> list[dict]:
    return [
        row(a, b, {"method": m}, 0.9 if a == b or m != "absolute" else 0.1, seed)
        for seed in range(2)
        for a in models
        for b in models
        for m in methods
    ]


def no_arrays(cell: str) -> Mapping[str, np.ndarray]:
    return {}


def drawn(module, frame: pd.DataFrame, arrays=no_arrays) -> Figure:
    figure = Figure(figsize=module.size(frame, arrays))
    module.draw(frame, arrays, figure.add_subplot())
    return figure


def clouds(cell: str) -> Mapping[str, np.ndarray]:
    """Codes that spread by the place of their model."""
    model = cell.split("/")[1]
    spread = 1 + "abc".index(model)
    grid = spread * np.array([[x, y] for x in (-1.0, 0.0, 1.0) for y in (-1.0, 0.0, 1.0)])
    labels = np.arange(9, dtype=np.int16)
    return {
        f"{position}/artifact/{name}": array
        for position in range(3)
        for name, array in (("plane", grid), ("labels", labels))
    }


def test_latent_spaces_show_each_encoder_to_one_head():
    frame = to_frame(pairs())
    figure = drawn(latent_spaces, frame, clouds)
    panels = figure.axes
    assert len(panels) == 9  # three methods, three encoders
    assert [panel.get_ylabel() for panel in panels[::3]] == ["absolute", "cosine", "robust"]
    assert "own head" in panels[0].get_title().replace("\n", " ")
    assert "head of a" in panels[1].get_title().replace("\n", " ")
    assert [panel.get_xlabel() for panel in panels[:3]] == [
        "accuracy 0.90",
        "accuracy 0.10",
        "accuracy 0.10",
    ]
    # One scale along a row, which holds the head's own codes; larger clouds lie partly outside.
    assert len({panel.get_xlim() for panel in panels[:3]}) == 1
    low, high = panels[0].get_xlim()
    assert low < -1.0 < 1.0 < high
    offsets = panels[1].collections[0].get_offsets()
    np.testing.assert_allclose(offsets, clouds("x/b")["0/artifact/plane"])
    assert any("outside" in text.get_text() for text in panels[2].texts)
    assert not panels[0].texts


def test_codes_that_cannot_be_seen_are_grey():
    frame = to_frame(pairs())

    def some(cell: str) -> Mapping[str, np.ndarray]:
        return clouds(cell) if cell.split("/")[1] == "a" else {}

    figure = drawn(latent_spaces, frame, some)
    assert len(figure.axes[0].collections) == 1
    assert not figure.axes[1].collections


def test_the_factorial_is_a_table_of_means():
    rows = pairs(methods=("absolute",))
    for seed, (a, b) in itertools.product(range(2), itertools.product("abc", repeat=2)):
        for center, scale, l2 in itertools.product((False, True), repeat=3):
            for output in ("none", "root_dimension", "standardized"):
                at = {"method": "factorial", "center": center, "scale": scale, "l2": l2}
                value = 0.5 + 0.1 * center + 0.02 * scale + 0.2 * (a == b) + 0.01 * seed
                value -= 0.1 * (output == "root_dimension")
                rows.append(row(a, b, {**at, "output_scale": output}, value, seed))
    frame = to_frame(rows)
    own, others = drawn(stitching_factorial, frame).axes[:2]
    table = others.images[0].get_array()
    assert table.shape == (9, 3)
    assert table[0].tolist() == pytest.approx([0.405, 0.505, 0.505])
    assert table[7, 1] == pytest.approx(0.625)
    assert table[8, 1] == pytest.approx(0.1)
    assert own.images[0].get_array()[0, 1] == pytest.approx(0.705)
    names = [text.get_text() for text in own.get_yticklabels()]
    assert names[0] == "none"
    assert names[-2:] == ["center + scale + l2", "absolute codes"]
    assert figures_of(frame) == ["relative_stitching", "stitching_factorial"]
    # The matrices leave the settings out.
    assert len(drawn(relative_stitching, frame).axes) == 1 + 1  # one method, the colour bar


def test_layers_of_one_model_are_columns():
    rows = [
        row("a", "a", {"method": m}, 0.9 - 0.5 * (x != y) * (m == "cosine"), layer=x, layer_b=y)
        for m in ("cosine", "robust")
        for x in ("plain", "twin")
        for y in ("plain", "twin")
    ]
    frame = to_frame(rows)
    assert figures_of(frame) == ["stitched_layers"]
    panel = drawn(stitched_layers, frame).axes[0]
    assert panel.images[0].get_array().tolist() == [[0.9, 0.9, 0.4, 0.4], [0.9] * 4]
    labels = [text.get_text() for text in panel.get_xticklabels()]
    assert labels[:2] == ["plain\nto plain", "twin\nto twin"]


def test_matrices_show_only_models_that_stand_in_a_pair():
    rows = pairs(methods=("cosine",), models=("a", "b"))
    rows += [
        row(a, b, {"method": "absolute"}, 0.5, layer="relative", layer_b="relative")
        for a in ("x", "y")
        for b in ("x", "y")
    ]
    panels = drawn(relative_stitching, to_frame(rows)).axes[:2]
    assert [panel.images[0].get_array().shape for panel in panels] == [(2, 2), (2, 2)]
    names = [[text.get_text() for text in panel.get_yticklabels()] for panel in panels]
    assert names == [["a", "b"], ["x", "y"]]
    assert "relative" in panels[1].get_title()


def test_titles_are_short_where_parameters_are_many():
    many = canonical_json({"head": "linear", "methods": [str(n) for n in range(22)]})
    rows = pairs(methods=("cosine",))
    rows += [r | {"params": many} for r in pairs(methods=("cosine",))]
    titles = [panel.get_title() for panel in drawn(relative_stitching, to_frame(rows)).axes[:2]]
    assert titles == ["cosine, adam head", "cosine, linear head"]


def test_further_figures_are_saved_and_unknown_ones_refused(tmp_path):
    frame = to_frame(pairs())
    assert figures_of(frame) == ["latent_spaces", "relative_stitching"]
    path = draw_probe("latent_spaces", frame, clouds, tmp_path / "spaces.png")
    assert path.stat().st_size > 10_000
    with pytest.raises(UnknownNameError, match="latent_spaces"):
        draw_probe("latent_space", frame, clouds, tmp_path / "no.png")
