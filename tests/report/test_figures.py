import builtins

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.image import imread
from synthetic_study import digits, failed, with_faults

from repgeo.errors import InputError, MissingExtraError, UnknownNameError
from repgeo.probes.rows import to_frame
from repgeo.report import available, draw_probe
from repgeo.report.figures import pullback_volume, relative_stitching
from repgeo.report.figures.style import axis_label, new_figure


def stored(frame, points=False):
    rng = np.random.default_rng(0)
    cells = {}
    for row in frame[frame.probe == "pullback_volume"].itertuples():
        samples = row.value + rng.standard_normal(60)
        samples[:3] = -np.inf if row.model == "cnn" else samples[:3]
        cells[row.cell] = {"0/samples": samples, "0/ids": np.arange(60)}
        if points:
            cells[row.cell]["0/artifact/points"] = rng.uniform(-1, 1, (60, 2))
    return cells


def of_probe(frame, name):
    return frame[(frame.probe == name) & (frame.status == "ok")]


@pytest.mark.parametrize("points", [False, True])
def test_log_volume_is_drawn_from_stored_samples(tmp_path, points):
    frame = with_faults()
    path = draw_probe(
        "pullback_volume", frame, stored(frame, points).__getitem__, tmp_path / "a.png"
    )
    image = imread(path)
    assert image.shape[0] > 200
    assert image.std() > 0.05


def test_distribution_shows_median_and_rank_loss():
    frame = of_probe(digits(), "pullback_volume")
    cells = stored(frame)
    axes = new_figure().add_subplot()
    pullback_volume.draw(frame, cells.__getitem__, axes)
    labels = [text.get_text() for text in axes.get_yticklabels()]
    # Untrained twins stand right below their trained ones and the replicas of these.
    replicas = ["mlp", "mlp#0", "mlp#1", "mlp#2"]
    assert labels[:6] == [*replicas, "mlp-untrained", "cnn"]
    assert axes.get_xlabel() == "log-volume [nats]"
    mine = [cells[cell]["0/samples"] for cell in frame[frame.model == "mlp"]["cell"]]
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert dots[0].get_xdata()[0] == pytest.approx(np.median(np.concatenate(mine)))
    assert [text.get_text() for text in axes.texts] == ["5.0 % lose rank"]


def test_maps_share_one_colour_scale():
    frame = of_probe(digits(), "pullback_volume")
    figure = new_figure()
    pullback_volume.draw(frame, stored(frame, points=True).__getitem__, figure.add_subplot())
    panels = [axes for axes in figure.axes if axes.collections and axes.get_title()]
    assert len(panels) == frame["model"].nunique()
    assert len({panel.collections[0].norm for panel in panels}) == 1


def test_unlike_layers_are_lines_of_their_own():
    frame = of_probe(digits(), "pullback_volume")
    frame = frame[frame.model == "mlp"].copy()
    frame.loc[frame.index[0], "layer"] = "block1"
    axes = new_figure().add_subplot()
    pullback_volume.draw(frame, stored(frame).__getitem__, axes)
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["mlp block1", "mlp encoder"]


def test_where_all_lose_rank_the_ranks_are_drawn():
    frame = of_probe(digits(), "pullback_volume").copy()
    frame["at"] = ['{"kind":"volume"}' if m == "cnn" else '{"kind":"coarea"}' for m in frame.model]
    ranks = frame.assign(metric="rank", unit="", value=7.0)
    both = pd.concat([frame, ranks]).sort_index(kind="stable").reset_index(drop=True)
    flat = {"0/samples": np.full(9, -np.inf), "1/samples": np.full(9, 7.0)}
    axes = new_figure().add_subplot()
    pullback_volume.draw(both, lambda cell: flat, axes)
    dots = [line for line in axes.lines if line.get_marker() == "o"]
    assert {dot.get_xdata()[0] for dot in dots} == {7.0}
    assert "minus infinity everywhere" in axes.get_xlabel()
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert "cnn kind=volume" in labels
    assert len(labels) == frame["model"].nunique()


def test_stitching_matrix_shows_the_means(tmp_path):
    frame = of_probe(digits(), "relative_stitching")
    figure = new_figure()
    relative_stitching.draw(frame, {}.__getitem__, figure.add_subplot())
    panels = [axes for axes in figure.axes if axes.images]
    assert [panel.get_title() for panel in panels] == ["relative", "absolute"]
    first = frame[frame["at"] == '{"method":"relative"}']
    expected = first.pivot_table("value", "model", "model_b", aggfunc="mean", sort=False)
    np.testing.assert_allclose(panels[0].images[0].get_array(), expected.to_numpy(), rtol=1e-12)
    assert panels[0].texts[0].get_text() == f"{expected.iloc[0, 0]:.2f}".removeprefix("0")
    bar = next(axes for axes in figure.axes if not axes.images)
    assert "chance" in [text.get_text() for text in bar.texts]
    assert draw_probe("relative_stitching", frame, {}.__getitem__, tmp_path / "b.png").exists()


def test_a_pair_without_a_number_is_not_a_number_in_the_matrix():
    frame = of_probe(digits(), "relative_stitching")
    frame = frame[~((frame.model == "mlp") & (frame.model_b == "cnn"))]
    figure = new_figure()
    relative_stitching.draw(frame, {}.__getitem__, figure.add_subplot())
    panel = next(axes for axes in figure.axes if axes.images)
    assert [text.get_text() for text in panel.texts].count("none") == 1


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path):
    before = dict(mpl.rcParams)
    draw_probe("relative_stitching", digits(), {}.__getitem__, tmp_path / "c.png")
    assert dict(mpl.rcParams) == before


def test_the_same_figure_gives_the_same_bytes(tmp_path):
    paths = [
        draw_probe("relative_stitching", digits(), {}.__getitem__, tmp_path / name)
        for name in ("d.png", "e.png")
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_bad_requests(tmp_path):
    assert {"pullback_volume", "relative_stitching", "volume_slice"} <= set(available())
    with pytest.raises(UnknownNameError, match="Did you mean 'pullback_volume'"):
        draw_probe("pulback_volume", digits(), {}.__getitem__, tmp_path / "f.png")
    dead = to_frame([failed("mlp", "pullback_volume", 0)])
    with pytest.raises(InputError, match="no finished cell"):
        draw_probe("pullback_volume", dead, {}.__getitem__, tmp_path / "f.png")
    with pytest.raises(InputError, match="No cell"):
        draw_probe("pullback_volume", digits(), lambda cell: {}, tmp_path / "f.png")


def test_without_matplotlib_the_extra_is_named(tmp_path, monkeypatch):
    original = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == "matplotlib":
            raise ImportError(name)
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(MissingExtraError, match=r"Drawing figures.*repgeo\[plots\]"):
        draw_probe("relative_stitching", digits(), {}.__getitem__, tmp_path / "g.png")


def test_axis_labels_name_units():
    assert axis_label("accuracy", "") == "accuracy"
