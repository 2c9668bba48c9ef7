"""The probe of walks within the classes of inputs."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.models.loaded import load_model
from repgeo.models.pooled_cnn import pooled_cnn
from repgeo.models.ridge import ridge
from repgeo.probes import NullWalk
from repgeo.probes.precision import in_double_precision
from repgeo.probes.standalone import measure_loaded
from repgeo.probes.subject import MemoryCodes, Subject
from repgeo.probes.walking import recorded_steps


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _value(frame, metric, **at):
    rows = frame[frame["metric"] == metric]
    if at:
        rows = rows[[json.loads(text) == at if text else False for text in rows["at"]]]
    (value,) = rows["value"]
    return value


def _square(x):
    return x.flatten(1).square().sum(dim=1, keepdim=True)


class _Network(nn.Module):
    """Smooth layers with random weights."""

    def __init__(self, inputs, outputs, seed=0, dtype=torch.float64):
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(inputs, 16), nn.Tanh()).to(dtype)
        self.head = nn.Linear(16, outputs).to(dtype)
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                scale = parameter.shape[-1] ** -0.5
                parameter.copy_(scale * _random(*parameter.shape, seed=seed + number))

    def forward(self, x):
        return self.head(self.encoder(x))


@pytest.mark.parametrize("size", [0.05, 0.1, 0.2])
@pytest.mark.parametrize("direction", ["gaussian", "eigenvector"])
def test_uncorrected_drift_of_the_squared_norm_is_steps_times_the_squared_size(size, direction):
    probe = NullWalk(
        steps=20, step_size=size, every=5, rule="uncorrected", points=6, direction=direction
    )
    frame = probe(_square, 1 + _random(6, 4).abs())
    for step in (5, 10, 15, 20):
        assert _value(frame, "drift", step=step) == pytest.approx(step * size**2, rel=1e-10)
        assert _value(frame, "drift_max", step=step) == pytest.approx(step * size**2, rel=1e-10)


def test_half_the_step_at_fixed_length_halves_the_drift_without_a_corrector_and_changes_none_with():
    x, network = _random(6, 5), _Network(5, 2)
    found = {}
    for rule in ("uncorrected", "corrected"):
        for steps in (40, 80):
            probe = NullWalk(
                steps=steps,
                step_size=2.0 / steps,
                every=steps,
                rule=rule,
                direction="persistent",
                points=6,
            )
            found[rule, steps] = _value(probe(network, x), "drift_max", step=steps)
    assert found["uncorrected", 40] / found["uncorrected", 80] == pytest.approx(2.0, abs=0.2)
    assert max(found["corrected", 40], found["corrected", 80]) < 1e-13


def test_sphere_reach_and_path():
    x = _random(8, 3)
    probe = NullWalk(steps=50, step_size=0.1, every=50, direction="persistent", points=8)
    frame = probe(_square, x)
    norms = x.norm(dim=1)
    # A corrected step of size s along a great circle turns by nearly s / r, at most that.
    turned = 50 * torch.atan(0.1 / norms)
    chords = 2 * norms * (turned / 2).sin().abs()
    assert _value(frame, "reach", step=50) == pytest.approx(float(chords.mean()), rel=2e-2)
    assert _value(frame, "drift", step=50) < 1e-12
    assert _value(frame, "reach_relative", step=50) <= 2 + 1e-9
    assert _value(frame, "null_dimension") == 2.0
    assert _value(frame, "verdict", verdict="ok") == 1.0


def test_the_kernel_of_log_softmax_has_one_dimension_more():
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    for log_probabilities, dimension in ((False, 774.0), (True, 775.0)):
        torch.manual_seed(0)
        network = pooled_cnn((1, 28, 28), 10, log_probabilities=log_probabilities).eval()
        frame = NullWalk(points=2, steps=1, walkers=1)(network, x)
        assert _value(frame, "null_dimension") == dimension
        assert _value(frame, "rank") == 784 - dimension
        assert _value(frame, "drift", step=1) < 1e-13
        assert _value(frame, "class_retention", step=1) == 1.0


def test_single_precision_models_walk_in_double_precision():
    network = _Network(5, 2, dtype=torch.float32)
    x = _random(4, 5).float()
    frame = NullWalk(points=4, steps=20, every=20)(network, x)
    assert _value(frame, "drift", step=20) < 1e-14
    assert network.head.weight.dtype == torch.float32
    subject = Subject(load_model(network, "net"), "encoder", samples=x)
    double = in_double_precision(subject)
    assert double.dtype == torch.float64
    expected = double.module.encoder(x.double())
    assert torch.equal(double.feature_map(x), expected)
    torch.testing.assert_close(double.encode(x).float(), subject.encode(x), atol=1e-6, rtol=0)
    assert in_double_precision(double) is double


def test_a_class_may_be_that_of_codes():
    network, x = _Network(5, 2), _random(4, 5)
    network.encoder[1] = nn.Linear(5, 3).double()
    network.head = nn.Linear(3, 2).double()
    wide = NullWalk(points=4, steps=3)(network, x)
    deep = NullWalk(points=4, steps=3, layer="encoder")(network, x)
    assert _value(wide, "null_dimension") == 3.0
    assert _value(deep, "null_dimension") == 2.0
    assert _value(deep, "class_retention", step=3) == 1.0


def test_post_composition_by_a_diffeomorphism_keeps_the_walk():
    network, x = _Network(5, 2), _random(6, 5)
    probe = NullWalk(points=6, steps=15, every=15)
    reach = _value(probe(network, x), "reach", step=15)
    moved = _value(probe(lambda x: torch.sinh(2 * network(x)) + 1, x), "reach", step=15)
    assert moved == pytest.approx(reach, rel=1e-8)


def test_effective_dimension_is_of_ends_of_independent_walkers():
    def linear(x):
        return x[:, :6]

    x = _random(12, 26)
    probe = NullWalk(points=12, walkers=60, steps=3, every=3)
    frame = probe(linear, x)
    # 20 null directions. 30 differences are 435 pairs of each of 12 starts; a squared cosine has
    # the relative standard deviation sqrt 2: the relative standard error is 0.02.
    assert _value(frame, "effective_dimension") == pytest.approx(20.0, rel=0.06)
    alone = NullWalk(points=2, walkers=3, steps=3)(linear, x)
    assert "effective_dimension" not in set(alone["metric"])


@pytest.mark.parametrize(
    ("symmetry", "function", "share", "null"),
    [
        ("rotations", _square, 3 / 14, 1.0),
        ("rigid", lambda x: torch.cdist(x, x)[:, *torch.triu_indices(5, 5, 1)], 1.0, 1.0),
        ("translations", lambda x: (x - x.mean(dim=1, keepdim=True)).flatten(1), 1.0, 1.0),
    ],
)
def test_symmetries_explain_null_spaces(symmetry, function, share, null):
    x = _random(3, 5, 3)  # clouds of five points
    probe = NullWalk(points=3, steps=1, walkers=1, symmetry=symmetry)
    frame = probe(function, x)
    assert _value(frame, "symmetry_share") == pytest.approx(share, abs=1e-9)
    assert _value(frame, "symmetry_null") == pytest.approx(null, abs=1e-9)


def test_no_symmetry_is_explained_by_chance():
    x = _random(40, 5, 3)
    network = _Network(15, 4)
    frame = NullWalk(points=40, steps=1, walkers=1, symmetry="rigid")(network, x)
    for metric, chance in (("symmetry_share", 6 / 15), ("symmetry_null", 11 / 15)):
        row = frame[frame["metric"] == metric].iloc[0]
        assert row["chance"] == pytest.approx(chance)
        assert row["value"] == pytest.approx(chance, abs=0.08)
    with pytest.raises(InputError, match=r"points \(B, k\) or clouds of points"):
        NullWalk(points=2, symmetry="rigid")(network, _random(4, 1, 5, 3))


def test_walks_stay_in_the_box_of_the_data():
    x = torch.rand(6, 1, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    x[:, 0, 0] = 0.0  # these never vary: they are kept
    network = _Network(16, 3)
    split = Split(x)
    data = Dataset("", split, split)
    probe = NullWalk(points=6, steps=40, step_size=0.5, box="data")
    found = measure_loaded(probe, [load_model(network, "net")], data, 0, MemoryCodes())
    strips = [array for name, array in found.arrays.items() if name.endswith("artifact/strip")]
    assert len(strips) == 1
    assert strips[0].shape[1:] == (8, 1, 4, 4)
    low, high = x.amin(dim=0).numpy(), x.amax(dim=0).numpy()
    assert (strips[0] >= low - 1e-7).all()
    assert (strips[0] <= high + 1e-7).all()
    assert (strips[0][:, :, 0, 0] == 0).all()
    drifts = [v.estimate.value for v in found.values if v.metric == "drift_max"]
    assert max(drifts) < 1e-13
    numbers = NullWalk(points=6, steps=4, step_size=0.5, box=(-2, 2))(network, x)
    assert _value(numbers, "drift", step=4) < 1e-13
    with pytest.raises(InputError, match="lower bound below its upper bound"):
        NullWalk(points=6, steps=4, box=(1.0, -1.0))(network, x)


def test_the_published_rule_drifts_where_ours_does_not():
    network, x = _Network(6, 2), _random(4, 6)
    drift = {}
    for rule in ("corrected", "published"):
        probe = NullWalk(points=4, steps=30, every=30, rule=rule, script="mnist", step_size=0.2)
        drift[rule] = _value(probe(network, x), "drift", step=30)
    assert drift["corrected"] < 1e-13
    assert drift["published"] > 1e-3


def test_exact_walks_are_straight_through_linear_regions():
    x = torch.tensor([[1.85, 1.3], [-1.85, 1.3]], dtype=torch.float64)
    leaky = ridge((1.0, -1.0), negative_slope=0.01).double()
    probe = NullWalk(points=2, steps=100, step_size=0.05, rule="exact")
    frame = probe(leaky, x)
    assert _value(frame, "reach", step=100) == pytest.approx(5.0, abs=1e-9)
    assert _value(frame, "drift_max", step=100) < 1e-14
    assert _value(frame, "verdict", verdict="ok") == 1.0
    with pytest.raises(InputError, match="knows no box"):
        NullWalk(points=2, rule="exact", box="data")(leaky, x)
    flat = NullWalk(points=2, steps=10)(ridge((1.0, -1.0)).double(), x)
    assert _value(flat, "verdict", verdict="flat") == 0.5
    assert _value(flat, "null_dimension") == 1.5


def test_bounded_reach_is_up_to_the_drift():
    x = torch.tensor([[3.0, 4.0], [4.0, 3.0]], dtype=torch.float64)
    size = 0.1
    whole = {"steps": 100, "step_size": size, "rule": "uncorrected", "direction": "persistent"}
    # Drift after k steps is k s^2; bounded by 0.1 / 25 of 25 it is so for ten steps.
    probe = NullWalk(points=2, drift_bound=0.1001 / 25, **whole)
    found = _value(probe(_square, x), "bounded_reach")
    assert 0.98 * 10 * size < found <= 10 * size
    free = NullWalk(points=2, drift_bound=10.0, **whole)
    assert _value(free(_square, x), "bounded_reach") > 4


def test_the_law_of_the_data_tells_the_model_s_error_from_the_walk_s():
    def network(x):  # off by a term that the walk knows nothing of
        return x[:, :1] + x[:, 1:]

    def law(x):
        return x[:, 0] + x[:, 1] + 0.01 * x[:, 0]

    x = 1 + _random(5, 2).abs()
    split = Split(x)
    data = Dataset("", split, split, {"law": law})
    probe = NullWalk(points=5, steps=10, every=10, direction="persistent", walkers=1)
    model = load_model(network, "net")
    found = measure_loaded(probe, [model], data, 0, MemoryCodes())
    values = {(v.metric, v.at): v.estimate.value for v in found.values}
    last = '{"step":10}'
    assert values["drift", last] < 1e-14
    # Along x1 + x2 = c the true value changes by 0.01 of the change of x1, 1 / sqrt 2 of the path.
    assert values["truth_change", last] == pytest.approx(0.01 / math.sqrt(2), rel=1e-9)
    assert 0 < values["model_error", last] < 0.05
    path = next(array for name, array in found.arrays.items() if name.endswith("artifact/path"))
    assert path.shape == (11, 5, 2)


def test_groups_of_walkers_do_not_depend_on_the_memory_budget_and_rules_share_draws():
    network, x = _Network(5, 2), _random(6, 5)
    reach = {}
    for rule in ("corrected", "uncorrected"):
        probe = NullWalk(points=6, steps=2, every=2, step_size=1e-4, rule=rule)
        reach[rule] = _value(probe(network, x), "reach", step=2)
    assert reach["corrected"] == pytest.approx(reach["uncorrected"], rel=1e-3)


def test_what_is_recorded():
    assert recorded_steps(7, 3) == [3, 6, 7]
    assert recorded_steps(5, None) == [1, 2, 3, 4, 5]
    assert recorded_steps(5, 9) == [5]


def test_bad_parameters_are_refused():
    for wrong in ({"steps": 0}, {"step_size": 0.0}, {"rule": "none"}, {"box": "outside"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            NullWalk(**wrong)
