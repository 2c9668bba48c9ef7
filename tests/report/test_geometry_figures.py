"""Figures of the probes of pullback geometry: what is drawn is what was stored."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.figure import Figure
from measured_study import Network, Study, answered_by, kept, measured, normal, together
from synthetic_study import record, with_interval

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.probes import Magnification, PullbackVolume, ScalarCurvature, VolumeSlice
from repgeo.probes.rows import to_frame
from repgeo.report import draw_probe
from repgeo.report.figures import magnification, pullback_volume, scalar_curvature, volume_slice
from repgeo.report.figures.clouds import Cloud, MapStyle, as_grid, draw_maps
from repgeo.report.figures.epochs import epoch_colours, in_order, spread
from repgeo.report.figures.style import axis_label, new_figure

EPOCHS = ("init", 3, "final")


def checkpoints(label: str, seed: int = 0, **sizes: int):
    return kept(
        label,
        {epoch: Network(seed + place, **sizes) for place, epoch in enumerate(EPOCHS)},
    )


def drawn(module, study: Study) -> Figure:
    figure = new_figure(*module.size(study.frame, study.arrays))
    module.draw(study.frame, study.arrays, figure.add_subplot())
    return figure


def blocks(figure: Figure) -> list:
    """The parts of the figure that are one slice each."""
    return list(figure.subfigs[0].subfigs)


def at(epoch, kind: str = "volume", **more) -> str:
    text = f'"{epoch}"' if isinstance(epoch, str) else str(epoch)
    rest = "".join(f',"{name}":"{value}"' for name, value in more.items())
    return f'{{"epoch":{text},"kind":"{kind}"{rest}}}'


def by_label(figure, text: str):
    return [axes for axes in figure.axes if text in axes.get_ylabel()]


@pytest.fixture(scope="module")
def line() -> Study:
    model = checkpoints("net")
    data = answered_by(model.module, 60)
    return measured(VolumeSlice(steps=9, epochs=EPOCHS), [model], data, seeds=(3, 4))


@pytest.fixture(scope="module")
def plane() -> Study:
    model = checkpoints("net", seed=10, inputs=4, classes=3)
    data = answered_by(model.module, 200, inputs=4)
    probe = VolumeSlice(classes=(2, 0, 1), steps=7, epochs=EPOCHS)
    return measured(probe, [model], data)


def test_a_line_shows_what_was_stored(line, tmp_path):
    figure = drawn(volume_slice, line)
    (block,) = blocks(figure)
    strip, entropy, volume, spectra = block.axes
    assert block.get_suptitle() == "net: from a test sample of class 0 to one of class 1, seed 3"
    first = {
        epoch: {
            name: line.stored(f"artifact/{name}", seed=3, metric="log_volume", at=at(epoch))
            for name in ("grid", "values", "prediction", "entropy", "log_area", "spectra")
        }
        for epoch in EPOCHS
    }
    np.testing.assert_array_equal(
        strip.images[0].get_array(), [one["prediction"] for one in first.values()]
    )
    names = ["init", "epoch 3", "final"]
    assert [text.get_text() for text in strip.get_yticklabels()] == names
    colours = epoch_colours(3)
    for place, one in enumerate(first.values()):
        distance = one["grid"][:, 0] * math.exp(one["log_area"])
        np.testing.assert_array_equal(entropy.lines[place].get_xdata(), distance)
        np.testing.assert_array_equal(entropy.lines[place].get_ydata(), one["entropy"])
        centred = one["values"] - np.median(one["values"])
        np.testing.assert_allclose(volume.lines[place].get_ydata(), centred, rtol=0, atol=1e-12)
        assert volume.lines[place].get_color() == colours[place]
        assert f"{names[place]} {abs(np.median(one['values'])):.4g}" in volume.get_xlabel().replace(
            "\N{MINUS SIGN}", ""
        )
        for sample in (0, 1):
            curve = spectra.lines[2 * place + sample]
            np.testing.assert_allclose(curve.get_ydata(), np.log10(one["spectra"][sample]))
            np.testing.assert_array_equal(curve.get_xdata(), [1, 2])
    assert volume.get_ylabel() == "log-volume\nless median [nats]"
    assert "[input]" in volume.get_xlabel()
    # The ends of the strip are those of the curves, half a step beyond.
    low, high = strip.images[0].get_extent()[:2]
    step = distance[1] - distance[0]
    assert (low, high) == pytest.approx((-step / 2, distance[-1] + step / 2))
    assert draw_probe("volume_slice", line.frame.assign(status="ok"), line.arrays, tmp_path / "a")


def test_a_plane_shows_what_was_stored(plane):
    figure = drawn(volume_slice, plane)
    (block,) = blocks(figure)
    assert "plane through test samples of classes 2, 0, 1" in block.get_suptitle()
    assert "equilateral" in block.get_supxlabel()
    maps = [axes for axes in block.axes if axes.images]
    assert len(maps) == 9
    scales = set()
    for row, epoch in enumerate(EPOCHS):
        where = {"metric": "log_volume", "at": at(epoch)}
        stored = {
            name: plane.stored(f"artifact/{name}", **where)
            for name in ("grid", "values", "prediction", "entropy", "anchors", "spectra")
        }
        answers, entropy, volume = maps[4 * row - row : 4 * row - row + 3]
        level = np.median(stored["values"])
        shown = {"prediction": answers, "entropy": entropy}
        for name, axes in shown.items():
            check_image(axes, stored["grid"], stored[name])
        check_image(volume, stored["grid"], stored["values"] - level)
        assert f"{abs(level):.4g}" in volume.get_title()
        scales.add(volume.images[0].norm)
        np.testing.assert_array_equal(np.transpose(answers.lines[0].get_data()), stored["anchors"])
        assert [text.get_text() for text in answers.texts] == ["2", "0", "1"]
        spectra = by_label(block, "singular value")[row]
        for curve, values in zip(spectra.lines, stored["spectra"], strict=True):
            np.testing.assert_allclose(curve.get_ydata(), np.log10(values))
    assert len(scales) == 1
    every = [
        values - np.median(values)
        for values in (
            plane.stored("artifact/values", metric="log_volume", at=at(epoch)) for epoch in EPOCHS
        )
    ]
    (scale,) = scales
    assert (scale.vmin, scale.vmax) == pytest.approx(tuple(np.percentile(every, [1, 99])))
    labels = {axes.get_xlabel() for axes in block.axes}
    assert {"log-volume less median [nats]", "entropy / maximum", "answer (class)"} <= labels
    assert [axes.get_ylabel() for axes in maps[::3]] == ["init", "epoch 3", "final"]


def check_image(axes, grid, values):
    """Each grid point has its value at its place in the image."""
    image = axes.images[0]
    array, (left, right, bottom, top) = image.get_array(), image.get_extent()
    rows, columns = array.shape
    for (x, y), value in zip(grid, values, strict=True):
        column = int((x - left) / (right - left) * columns)
        row = int((y - bottom) / (top - bottom) * rows)
        assert array[row, column] == pytest.approx(value, abs=1e-12)


def test_answers_have_the_colours_of_their_bar(plane):
    (block,) = blocks(drawn(volume_slice, plane))
    answers = next(axes for axes in block.axes if axes.images)
    bar = next(axes for axes in block.axes if axes.get_xlabel() == "answer (class)")
    named = [text.get_text() for text in bar.get_xticklabels()]
    there = np.unique(plane.stored("artifact/prediction", metric="log_volume", at=at("final")))
    assert {str(label) for label in there} <= set(named)
    image = answers.images[0]
    fills = {image.cmap(image.norm(int(label))) for label in named}
    assert len(fills) == len(named)


def test_points_that_lose_rank_are_marked_not_drawn(line, plane):
    for study, marks in ((line, "x: loses rank"), (plane, "Grey: loses rank")):
        cells = {name: dict(cell) for name, cell in study.cells.items()}
        for cell in cells.values():
            values = cell["0/artifact/values"].copy()
            values[2] = -np.inf
            cell["0/artifact/values"] = values
        (block,) = blocks(drawn(volume_slice, Study(study.frame, cells)))
        texts = [block.get_supxlabel() or "", *(axes.get_xlabel() for axes in block.axes)]
        assert any(marks in text for text in texts)
    lost = np.ma.getmaskarray([a for a in block.axes if a.images][2].images[0].get_array())
    assert lost.sum() == 1


def test_all_lose_rank_everywhere(plane):
    cells = {
        name: {
            key: np.full_like(array, -np.inf) if key.endswith("values") else array
            for key, array in cell.items()
        }
        for name, cell in plane.cells.items()
    }
    (block,) = blocks(drawn(volume_slice, Study(plane.frame, cells)))
    volume = [axes for axes in block.axes if axes.images][2]
    assert np.ma.getmaskarray(volume.images[0].get_array()).all()


def test_many_slices_and_checkpoints_are_thinned_and_the_figure_says_so():
    epochs = ("init", 1, 2, 3, "final")
    networks = {epoch: Network(place, classes=3, inputs=4) for place, epoch in enumerate(epochs)}
    models = [kept(label, networks) for label in ("a", "b", "c#0", "c#1")]
    split = Split(normal(12, 4), torch.arange(12) % 3)
    data = Dataset("points", split, split)
    probes = [
        VolumeSlice(steps=5, epochs=epochs),
        VolumeSlice(steps=5, classes=(0, 2)),
        VolumeSlice(steps=4, classes=(0, 1, 2), epochs=epochs, along="slice"),
    ]
    study = together(*(measured(probe, models, data) for probe in probes))
    figure = drawn(volume_slice, study)
    parts = blocks(figure)
    # Nine slices of unlike models, and three of a replica.
    assert [part.get_suptitle().partition(":")[0] for part in parts] == ["a", "b", "c#0"] * 2
    assert figure.subfigs[0].get_supxlabel() == "Not drawn: 6 more, of other models or replicas"
    strip = parts[0].axes[0]
    assert len(strip.images[0].get_array()) == 5
    assert [text.get_text() for text in parts[3].axes[0].get_yticklabels()] == ["as it is"]
    planes = measured(probes[-1], models[:1], data)
    (block,) = blocks(drawn(volume_slice, planes))
    maps = [axes for axes in block.axes if axes.images]
    assert [axes.get_ylabel() for axes in maps[::3]] == ["init", "epoch 2", "final"]
    assert "log-area along the plane less median [nats]" in {a.get_xlabel() for a in block.axes}


def test_without_stored_slices_there_is_nothing_to_draw(line):
    with pytest.raises(InputError, match="No cell of 'volume_slice'"):
        volume_slice.draw(line.frame, lambda cell: {}, new_figure().add_subplot())


def test_magnification_shows_means_intervals_and_seeds(tmp_path):
    rng = np.random.default_rng(0)
    rows = []
    for model in ("wide", "narrow"):
        for seed in range(3):
            rows.append(record(model, "magnification", "train_accuracy", 0.97, seed))
            for epoch in EPOCHS:
                place = {"epoch": epoch, "kind": "volume"}
                values = {"contrast": place}
                if epoch != "init":
                    values["contrast_change"] = place
                for metric, where in values.items():
                    row = record(
                        model, "magnification", metric, rng.normal(), seed, at=where, unit="nats"
                    )
                    rows.append(with_interval(row, 0.1, "t:samples"))
                for of in ("volume", "change")[: 1 if epoch == "init" else 2]:
                    row = record(
                        model,
                        "magnification",
                        "partial_rank_correlation",
                        rng.uniform(-1, 1),
                        seed,
                        at=place | {"of": of},
                    )
                    rows.append(with_interval(row, 0.1, "t:samples"))
    frame = to_frame(rows)
    figure = drawn(magnification, Study(frame))
    change, of_change, of_volume = figure.axes
    assert change.get_xlabel().startswith(axis_label("contrast change", "nats"))
    assert [text.get_text() for text in change.get_yticklabels()] == ["wide", "narrow"]
    means = frame[frame.metric == "contrast_change"].groupby(["model", "at"], sort=False)["value"]
    np.testing.assert_allclose(diamonds(change), means.mean().to_numpy(), rtol=0, atol=1e-12)
    dots = [line.get_xdata()[0] for line in change.lines if line.get_marker() == "o"]
    np.testing.assert_array_equal(
        sorted(dots), sorted(frame[frame.metric == "contrast_change"]["value"])
    )
    half = 4.302652729911275 * means.std().to_numpy() / math.sqrt(3)  # Student's t, 2 degrees
    bars = [line.get_xdata() for line in change.lines if line.get_linewidth() == 2]
    found = sorted((high - low) / 2 for low, high in bars)
    np.testing.assert_allclose(found, sorted(half), rtol=1e-9)
    correlations = frame[frame.metric == "partial_rank_correlation"]
    for axes, of, count in ((of_change, "change", 4), (of_volume, "volume", 6)):
        own = correlations[correlations["at"].str.contains(f'"of":"{of}"')]
        expected = own.groupby(["model", "at"], sort=False)["value"].mean()
        assert len(expected) == count
        np.testing.assert_allclose(sorted(diamonds(axes)), sorted(expected), rtol=0, atol=1e-12)
    legend = of_volume.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["init", "epoch 3", "final"]
    assert "3 seeds" in of_change.get_title()
    assert draw_probe("magnification", frame, {}.__getitem__, tmp_path / "m.png").exists()


def diamonds(axes) -> list[float]:
    found = [line for line in axes.lines if line.get_marker() == "D" and len(line.get_xdata())]
    return [line.get_xdata()[0] for line in found]


def test_magnification_of_few_seeds_and_below_the_gate():
    model = checkpoints("net")
    data = answered_by(model.module, 120)
    other = checkpoints("other", seed=7)
    probe = Magnification(points=60, epochs=(3, "final"))
    one = measured(probe, [model, other], data)
    figure = drawn(magnification, one)
    change = figure.axes[0]
    row = one.frame[(one.frame.metric == "contrast_change") & (one.frame["at"] == at(3))].iloc[0]
    assert diamonds(change)[0] == row["value"]
    bar = next(line for line in change.lines if line.get_linewidth() == 2)
    np.testing.assert_array_equal(bar.get_xdata(), [row["ci_low"], row["ci_high"]])
    assert not [line for line in change.lines if line.get_marker() == "o"]
    accuracy = one.frame[(one.frame.model == "other")]
    assert set(accuracy["metric"]) == {"train_accuracy"}
    (note,) = change.texts
    assert f"train accuracy {accuracy['value'].iloc[0]:.2f} is below the gate" in note.get_text()
    two = measured(probe, [model], data, seeds=(0, 1))
    change = drawn(magnification, two).axes[0]
    own = [line.get_xdata() for line in change.lines if line.get_linewidth() == 1]
    rows = two.frame[two.frame.metric == "contrast_change"]
    assert sorted(map(tuple, own)) == sorted(zip(rows["ci_low"], rows["ci_high"], strict=True))


def test_a_gate_that_some_seeds_fail_is_told():
    rows = [record("net", "magnification", "train_accuracy", 0.9, seed) for seed in range(2)]
    place = {"epoch": "final", "kind": "volume"}
    rows += [
        record("net", "magnification", metric, 0.5, 1, at=place, unit="nats")
        for metric in ("contrast", "contrast_change")
    ]
    figure = drawn(magnification, Study(to_frame(rows)))
    (label,) = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert label == "net\n(no number at 1 of 2 seeds)"
    assert diamonds(figure.axes[0]) == [0.5]
    accuracies = to_frame(rows[:2]).assign(metric="excluded")
    with pytest.raises(InputError, match="no train accuracy"):
        magnification.draw(accuracies, {}.__getitem__, new_figure().add_subplot())


@pytest.fixture(scope="module")
def curved() -> Study:
    models = [checkpoints("first"), checkpoints("second", seed=20)]
    data = answered_by(models[0].module, 80)
    return measured(ScalarCurvature(points=50, epochs=EPOCHS), models, data, seeds=(0, 1))


def curvature_at(epoch) -> str:
    return at(epoch).replace(',"kind":"volume"', "")


def without_points(study: Study) -> Study:
    cells = {
        name: {key: array for key, array in cell.items() if not key.endswith("artifact/points")}
        for name, cell in study.cells.items()
    }
    return Study(study.frame, cells)


def test_curvature_without_points_is_a_spread_of_all_seeds(curved):
    (axes,) = drawn(scalar_curvature, without_points(curved)).axes
    dots = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())]
    medians = []
    for model in ("first", "second"):
        for epoch in EPOCHS:
            where = {"model": model, "metric": "scalar_curvature", "at": curvature_at(epoch)}
            both = [curved.stored("samples", seed=seed, **where) for seed in (0, 1)]
            medians.append(np.median(np.concatenate(both)))
    np.testing.assert_allclose([dot.get_xdata()[0] for dot in dots[:6]], medians, rtol=1e-12)
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "second"]
    assert axes.get_xlabel() == "scalar curvature [1/code²]"
    # The linear part ends at the power of ten below the flattest one's median magnitude.
    assert axes.get_xscale() == "symlog"
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["init", "epoch 3", "final"]


def test_curvature_with_points_is_a_map_of_the_first_seed(curved):
    figure = drawn(scalar_curvature, curved)
    maps = [axes for axes in figure.axes if axes.collections and axes.get_title()]
    assert len(maps) == 6
    places = [(model, epoch) for model in ("first", "second") for epoch in EPOCHS]
    magnitudes: dict[str, list[np.ndarray]] = {}
    for axes, (model, epoch) in zip(maps, places, strict=True):
        where = {"model": model, "metric": "scalar_curvature", "at": curvature_at(epoch), "seed": 0}
        values = curved.stored("samples", **where)
        np.testing.assert_array_equal(axes.collections[0].get_array(), values)
        np.testing.assert_array_equal(
            axes.collections[0].get_offsets(), curved.stored("artifact/points", **where)
        )
        name, _, note = axes.get_title().partition("\n")
        assert name == ("epoch 3" if epoch == 3 else epoch)
        assert axes.get_ylabel() == (f"{model}\n$x_2$" if epoch == "init" else "")
        assert f"{abs(np.median(values)):.3g}" in note
        magnitudes.setdefault(model, []).append(abs(values))
    for row, model in enumerate(magnitudes):  # a scale for each model
        (scale,) = {axes.collections[0].norm for axes in maps[3 * row : 3 * row + 3]}
        assert isinstance(scale, SymLogNorm)
        most = np.percentile(np.concatenate(magnitudes[model]), 95)
        assert (scale.vmin, scale.vmax) == pytest.approx((-most, most))


def test_flat_and_degenerate_networks_are_told():
    rows, cells = [], {}
    for model, known, flat in (("relu", 4, 1.0), ("dead", 0, 0.0)):
        cell = f"scalar_curvature/{model}//0"
        cells[cell] = {"0/samples": np.zeros(known)} if known else {}
        if known:
            rows.append(
                record(model, "scalar_curvature", "scalar_curvature", 0.0, 0, unit="1/code^2")
            )
        rows.append(record(model, "scalar_curvature", "degenerate", 1.0 - known / 4, 0))
        rows.append(record(model, "scalar_curvature", "piecewise_linear", flat, 0))
    study = Study(to_frame(rows), cells)
    (axes,) = drawn(scalar_curvature, study).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["relu", "dead"]
    assert [text.get_text() for text in axes.texts] == [
        "100 % piecewise linear",
        "100 % without curvature",
    ]
    assert axes.get_xscale() == "linear"
    dead = Study(study.frame[study.frame.model == "dead"], cells)
    (axes,) = drawn(scalar_curvature, dead).axes
    assert [text.get_text() for text in axes.texts] == ["100 % without curvature"]
    with pytest.raises(InputError, match="No cell of 'scalar_curvature'"):
        scalar_curvature.draw(study.frame, lambda cell: {}, new_figure().add_subplot())


def test_log_volume_of_checkpoints_in_rows_and_columns():
    models = [checkpoints("first"), checkpoints("second", seed=20)]
    data = answered_by(models[0].module, 80)
    study = measured(PullbackVolume(points=40, epochs=EPOCHS), models, data)
    figure = drawn(pullback_volume, study)
    maps = [axes for axes in figure.axes if axes.collections and axes.get_title()]
    assert [axes.get_title() for axes in maps] == ["init", "epoch 3", "final"] * 2
    assert [axes.get_ylabel() for axes in maps[::3]] == ["first\n$x_2$", "second\n$x_2$"]
    shape = maps[0].get_subplotspec().get_gridspec()
    assert (shape.nrows, shape.ncols) == (2, 3)
    for axes, (model, epoch) in zip(
        maps, [(m, e) for m in ("first", "second") for e in EPOCHS], strict=True
    ):
        values = study.stored("samples", model=model, metric="log_volume", at=at(epoch))
        np.testing.assert_array_equal(axes.collections[0].get_array(), values)
    cells = {
        name: {key: array for key, array in cell.items() if "points" not in key}
        for name, cell in study.cells.items()
    }
    (axes,) = drawn(pullback_volume, Study(study.frame, cells)).axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["first", "second"]
    dots = [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert [dot.get_color() for dot in dots] == epoch_colours(3) * 2
    heights = [dot.get_ydata()[0] for dot in dots]
    assert heights == sorted(heights)


def test_epochs_in_order_and_thinned():
    assert in_order([None, "final", 10, 2, "init"]) == ["init", 2, 10, "final", None]
    assert spread(list(range(9)), 4) == [0, 3, 5, 8]
    assert len(set(epoch_colours(5))) == 5


def test_a_scan_is_a_picture_without_gaps():
    """Points that fill a grid are drawn as its cells, in whatever order they come."""
    x, y = np.linspace(-1, 1, 5), np.linspace(0, 3, 4)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    values = 10 * points[:, 0] + points[:, 1]
    order = np.random.default_rng(0).permutation(len(points))
    found = as_grid(points[order], values[order])
    assert found is not None
    np.testing.assert_array_equal(found[0], x)
    np.testing.assert_array_equal(found[1], y)
    np.testing.assert_array_equal(found[2], values.reshape(4, 5))
    assert as_grid(points[1:], values[1:]) is None
    twice = np.concatenate([points[1:], points[1:2]])  # as many points as cells, one of them empty
    assert as_grid(twice, values) is None
    style = MapStyle("volume", lambda clouds: Normalize(-10, 13), "cividis")
    figure = new_figure()
    draw_maps([Cloud("net", "net", "", values, points)], style, figure.add_subplot())
    mesh = figure.axes[0].collections[0]
    assert isinstance(mesh, QuadMesh)
    np.testing.assert_array_equal(mesh.get_array(), values.reshape(4, 5))
