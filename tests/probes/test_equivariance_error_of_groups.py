"""The probe `equivariance_error` where a group acts: layers, precisions, curves, companions."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.equivariance import equivariance_error, reynolds_score
from repgeo.errors import InputError, LayerError
from repgeo.groups import SO3, ImageRotations, named_acting_group
from repgeo.models.loaded import LoadedModel
from repgeo.probes import EquivarianceError
from repgeo.probes.checking import check_probes
from repgeo.probes.context import Context
from repgeo.probes.rows import rows, to_frame
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.subject import MemoryCodes


class Distances(nn.Module):
    """Points kept as they are, then a linear map of their distances."""

    def __init__(self, told: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.encoder = nn.Identity()
        self.squares = nn.Identity()
        self.head = nn.Linear(16, 3)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
        self.told = dict(told or {"encoder": "points", "outputs": "invariant"})

    def layer_representations(self) -> dict[str, str]:
        return self.told

    def forward(self, x: Tensor) -> Tensor:
        x = self.encoder(x)
        gaps = (x[:, :, None] - x[:, None]).square().sum(dim=-1).flatten(1)
        return self.head(self.squares(gaps))


def points(n: int = 20) -> Tensor:
    return torch.randn(n, 4, 3, generator=torch.Generator().manual_seed(0))


def measured(
    probe: EquivarianceError,
    model: nn.Module,
    x: Tensor | dict[str, Tensor],
    y: Tensor | None = None,
    *,
    layers: Mapping[str, str] | None = None,
    **meta: object,
) -> pd.DataFrame:
    split = Split(x, y)
    data = Dataset("data", split, split, meta)
    loaded = LoadedModel(model.eval().requires_grad_(False), "net", dict(layers or {}))
    found = measure_loaded(probe, [loaded], data, 0, MemoryCodes())
    return to_frame(rows({}, found.values))


def value(frame: pd.DataFrame, metric: str, layer: str, at: str = "") -> float:
    found = frame[(frame["metric"] == metric) & (frame["layer"] == layer) & (frame["at"] == at)]
    assert len(found) == 1, frame[["metric", "layer", "at"]]
    return float(found["value"].iloc[0])


def test_oracles_and_invariances_are_executed_in_all_variants() -> None:
    (report,) = check_probes(["equivariance_error"], invariances=False)
    assert report.passed, report.text()
    assert report.variants == 6
    assert report.oracles >= 50


def test_agrees_with_the_mathematics_of_groups() -> None:
    net, x = Distances(), points()
    first = net.head.weight.detach()

    def broken(x: Tensor) -> Tensor:
        return x.flatten(1)[:, :3] + first[0, :3]

    probe = EquivarianceError(group="SO3", action="points", rep="vector", layer="output")
    frame = measured(probe, _Function(broken), x)
    generator = Context(Dataset("", Split(x), Split(x)).digest, 0).shared("elements")
    given = {"rep_in": "points", "rep_out": "vector", "n_elements": 32}
    expected = equivariance_error(broken, x, SO3(), generator=generator, **given)  # type: ignore[arg-type]
    assert value(frame, "error", "output") == pytest.approx(expected.mean, rel=1e-6)
    assert value(frame, "worst", "output") == pytest.approx(expected.worst, rel=1e-6)
    generator = Context(Dataset("", Split(x), Split(x)).digest, 0).shared("elements")
    share = reynolds_score(broken, x, SO3(), generator=generator, **given)  # type: ignore[arg-type]
    assert value(frame, "equivariant_share", "output") == pytest.approx(share.score, rel=1e-6)


class _Function(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)  # type: ignore[operator, no-any-return]


def test_equivariant_model_is_exact_and_a_broken_one_is_not() -> None:
    x = points()
    meta = {"group": "SO3", "action": "points"}
    frame = measured(EquivarianceError(), Distances(), x, **meta)
    for layer in ("encoder", "output"):
        assert value(frame, "exact", layer) == 1.0
        assert value(frame, "error", layer) < 1e-6
        assert value(frame, "collapsed", layer) == 0.0
    assert value(frame, "exactness", "output") < 1e-6
    wrong = measured(EquivarianceError(rep="invariant"), Distances(), x, **meta)
    assert value(wrong, "exact", "encoder") == 0.0
    assert value(wrong, "exactness", "encoder") == pytest.approx(1.0, abs=1e-5)
    assert value(wrong, "error", "encoder") == pytest.approx(value(wrong, "error", "encoder"))
    assert value(wrong, "exact", "output") == 1.0


def test_float64_model_is_measured_in_float64() -> None:
    frame = measured(
        EquivarianceError(), Distances().double(), points(), group="SO3", action="points"
    )
    assert value(frame, "error", "output") < 1e-12
    assert value(frame, "exact", "output") == 1.0


def test_constant_is_equivariant_and_told_by_its_companions() -> None:
    frame = measured(
        EquivarianceError(layer="output"),
        _Function(lambda x: x.new_ones(len(x), 2)),
        points(),
        group="SO3",
        action="points",
    )
    assert value(frame, "error", "output") == 0.0
    assert value(frame, "margin", "output") == 0.0
    assert value(frame, "collapsed", "output") == 1.0
    error = frame[frame["metric"] == "error"].iloc[0]
    assert error["chance"] == 0.0  # another sample is no farther away


def test_chance_is_the_error_of_another_sample() -> None:
    x = points(200)
    probe = EquivarianceError(layer="output", rep="points", exactness=False)
    frame = measured(probe, _Function(lambda x: x), x, group="SO3", action="points")
    error = frame[frame["metric"] == "error"].iloc[0]
    assert error["value"] == 0.0
    # For independent normal points |g x' - g x| is sqrt 2 |x| in root mean square.
    assert error["chance"] == pytest.approx(2**0.5, rel=0.05)


def test_all_named_layers_in_one_table() -> None:
    named = {"encoder": "encoder", "squares": "squares"}
    probe = EquivarianceError(layers=("*",), exactness=False)
    meta = {"group": "SO3", "action": "points"}
    frame = measured(probe, Distances(), points(), layers=named, **meta)
    errors = frame[(frame["metric"] == "error") & (frame["at"] == "")]
    assert list(errors["layer"]) == ["encoder", "squares", "output"]
    assert float(errors["value"].max()) < 1e-6
    assert set(frame[frame["metric"] == "collapsed"]["layer"]) == {"encoder", "output"}


def test_layers_of_models_that_say_nothing_are_told_by_name() -> None:
    named = {"squares": "squares"}
    meta = {"group": "SO3", "action": "points"}
    probe = EquivarianceError(layers=("*",), exactness=False, reps={"encoder": "points"})
    silent = Distances({"outputs": "invariant"})
    frame = measured(probe, silent, points(), layers=named, **meta)
    assert value(frame, "error", "encoder") < 1e-6
    # What the model says itself comes first.
    told = measured(probe, Distances({"encoder": "invariant"}), points(), layers=named, **meta)
    assert value(told, "error", "encoder") > 0.1


def test_layers_that_do_not_exist_are_refused() -> None:
    with pytest.raises(LayerError, match="layer_representations names a layer"):
        measured(
            EquivarianceError(),
            Distances({"decoder": "1o"}),
            points(),
            group="SO3",
            action="points",
        )


class Fields(nn.Module):
    def forward(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        centred = x["positions"] - x["positions"].mean(dim=1, keepdim=True)
        energy = (centred.square().sum(dim=-1) * x["numbers"]).sum(dim=1, keepdim=True)
        return {"energy": energy, "forces": -2 * centred * x["numbers"][..., None]}


def test_samples_and_outputs_that_are_mappings() -> None:
    x = {"positions": points(), "numbers": torch.arange(80.0).reshape(20, 4)}
    meta = {
        "group": "SE3",
        "action": {"positions": "points", "numbers": "invariant"},
        "rep_out": {"energy": "invariant", "forces": "vector"},
    }
    frame = measured(EquivarianceError(layer="output"), Fields(), x, **meta)
    for name in ("energy", "forces"):
        at = json.dumps({"field": name}, separators=(",", ":"))
        assert value(frame, "error", "output", at) < 1e-5
        assert value(frame, "exact", "output", at) == 1.0
    assert value(frame, "action_error", "input", '{"field":"positions"}') < 1e-6
    assert not ((frame["layer"] == "input") & (frame["at"] == '{"field":"numbers"}')).any()


def test_error_against_the_angle_and_that_of_the_interpolation() -> None:
    line = torch.linspace(-3, 3, 15)
    bump = torch.exp(-2 * ((line - 1) ** 2 + line[:, None] ** 2))
    images = torch.stack([bump, bump.T, 2 * bump + bump.T])[:, None]
    probe = EquivarianceError(
        group="SO2", layer="output", curve=(15, 45, 90), exactness=False, n_elements=8
    )
    frame = measured(probe, _Function(lambda x: x.flatten(1)), images, torch.tensor([0, 1, 0]))
    errors = [value(frame, "error", "output", f'{{"angle":{a}.0}}') for a in (15, 45, 90)]
    assert errors[0] < errors[1] < errors[2]
    turn = ImageRotations(named_acting_group("SO2"), "fourier")
    angle = torch.deg2rad(torch.tensor([[15.0], [-15.0]], dtype=torch.float64))
    moved = turn(named_acting_group("SO2").exp(angle), images)
    assert isinstance(moved, Tensor)
    gaps = (moved - images).flatten(2).norm(dim=2).mean()
    size = images.flatten(1).square().sum(dim=1).mean().sqrt()
    assert errors[0] == pytest.approx(float(gaps / size), rel=1e-5)
    # Two turns by half the angle, each interpolated, against one.
    half = turn(named_acting_group("SO2").exp(angle / 2), images)
    twice = turn.apply(named_acting_group("SO2").exp(angle / 2), half)
    assert isinstance(twice, Tensor)
    reference = float((twice - moved).flatten(2).norm(dim=2).mean() / size)
    assert value(frame, "action_error", "input", '{"angle":15.0}') == pytest.approx(
        reference, rel=1e-4
    )
    assert 1e-6 < reference < errors[0] / 100
    assert {"flip_rate", "moved_accuracy"} <= set(frame[frame["at"] == '{"angle":90.0}']["metric"])


def test_curve_of_a_discrete_group_is_refused() -> None:
    with pytest.raises(InputError, match="C4 is discrete"):
        EquivarianceError(group="C4", curve=(10,))(lambda x: x.flatten(1), torch.rand(3, 1, 4, 4))


def test_functions_that_leave_the_precision_are_told() -> None:
    x = points()
    probe = EquivarianceError(group="SO3", action="points")
    with pytest.raises(InputError, match="set exactness = false"):
        probe(lambda x: x.float().flatten(1), x)
    quiet = EquivarianceError(group="SO3", action="points", exactness=False)
    assert len(quiet(lambda x: x.float().flatten(1), x))


def test_subgroups_have_no_larger_worst_error() -> None:
    images = torch.rand(10, 1, 6, 6, generator=torch.Generator().manual_seed(5))
    worst = [
        value(
            measured(
                EquivarianceError(group=name, layer="output", exactness=False),
                _Function(lambda x: x[:, 0, 0]),
                images,
            ),
            "worst",
            "output",
        )
        for name in ("C2", "C4", "D4")
    ]
    assert worst[0] <= worst[1] <= worst[2]


def test_parameters_of_groups_are_told_only_where_they_are_given() -> None:
    assert EquivarianceError().parameters() == {
        "layer": "encoder",
        "transformations": ["rotation", "flip", "shift"],
    }
    told = EquivarianceError(group="SO2", curve=(15,), n_elements=8).parameters()
    assert told["group"] == "SO2"
    assert told["curve"] == [15.0]
    assert told["n_elements"] == 8
    assert EquivarianceError(**told).parameters() == told
