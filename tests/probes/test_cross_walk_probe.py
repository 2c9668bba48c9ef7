"""The probe of walks across classes."""

from __future__ import annotations

import json
import math

import pytest
import torch
from torch import nn

from repgeo.errors import InputError
from repgeo.probes import CrossWalk


def _random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _value(frame, metric, **at):
    rows = frame[frame["metric"] == metric]
    if at:
        found = [json.loads(text) for text in rows["at"]]
        rows = rows[[all(one.get(k) == v for k, v in at.items()) for one in found]]
    (value,) = rows["value"]
    return value


class _Linear(nn.Module):
    def __init__(self, matrix):
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, x):
        return x @ self.matrix.T


def test_of_a_linear_map_length_is_half_the_shortest_move_to_the_exchanged_output():
    matrix, x = _random(3, 6), _random(10, 6, seed=1)
    frame = CrossWalk(points=10, steps=8)(_Linear(matrix), x)
    outputs = x @ matrix.T
    top = outputs.topk(2, dim=1)
    change = torch.zeros_like(outputs)
    gap = top.values[:, 0] - top.values[:, 1]
    change.scatter_(1, top.indices, torch.stack([-gap, gap], dim=1))
    move = change @ torch.linalg.pinv(matrix).T
    # The runner-up is level in the middle of the line.
    assert _value(frame, "length") == pytest.approx(float(move.norm(dim=1).mean()) / 2, rel=1e-9)
    assert _value(frame, "distance") == pytest.approx(_value(frame, "length"), rel=1e-9)
    expected = float(change.norm(dim=1).mean()) / 2
    assert _value(frame, "pseudolength") == pytest.approx(expected, rel=1e-9)
    assert _value(frame, "steps") == pytest.approx(4.0, abs=1e-9)
    assert _value(frame, "arrived") == 1.0
    assert _value(frame, "drift") < 1e-12


def test_targets_are_rows_and_starts_of_the_target_class_are_left_out():
    x = torch.tensor([[2.0, 0.0, 0.0], [3.0, 1.0, 0.0], [0.0, 2.0, 0.0]], dtype=torch.float64)
    probe = CrossWalk(points=3, steps=6, targets=(2, 1, "next"))
    frame = probe(lambda x: x, x)
    lengths = frame[frame["metric"] == "length"].set_index("at")
    assert set(lengths.index) == {'{"target":2}', '{"target":1}', '{"target":"next"}'}
    assert int(lengths.loc['{"target":2}', "n"]) == 3
    assert int(lengths.loc['{"target":1}', "n"]) == 2
    mean = 2 / math.sqrt(2)  # both starts are two away from class 1
    assert float(lengths.loc['{"target":1}', "value"]) == pytest.approx(mean, abs=1e-12)


def test_a_third_class_on_the_way_is_a_change_but_no_arrival():
    x = torch.tensor([[4.0, 0.0, 3.0]] * 2, dtype=torch.float64)
    frame = CrossWalk(points=2, steps=8, targets=(1,))(lambda x: x, x)
    # Class 2, at 3, comes up a quarter of the way from 4 to 0.
    assert _value(frame, "steps") == pytest.approx(2.0, abs=1e-12)
    assert _value(frame, "arrived") == 1.0
    assert _value(frame, "length") == pytest.approx(math.sqrt(2.0), abs=1e-12)


def test_log_probabilities_have_the_lengths_of_their_logits():
    matrix, x = _random(3, 5), _random(6, 5, seed=2)
    plain = CrossWalk(points=6, steps=400)(_Linear(matrix), x)
    logs = CrossWalk(points=6, steps=400)(lambda x: (x @ matrix.T).log_softmax(dim=1), x)
    # The class of log-probabilities is larger: adding a constant to all logits is free.
    assert _value(logs, "length") <= _value(plain, "length") + 1e-6
    assert _value(logs, "changed") == 1.0
    assert _value(logs, "drift") < 1e-12


def test_moves_within_the_class_make_the_path_longer_and_keep_the_change():
    matrix, x = _random(2, 6), _random(6, 6, seed=3)
    straight = CrossWalk(points=6, steps=10)(_Linear(matrix), x)
    mixed = CrossWalk(points=6, steps=10, step_size=0.3)(_Linear(matrix), x)
    assert _value(mixed, "length") > _value(straight, "length")
    assert _value(mixed, "pseudolength") == pytest.approx(
        _value(straight, "pseudolength"), rel=1e-9
    )
    assert CrossWalk(step_size=0.3).invariances("length") == {
        "samples:permutation",
        "inputs:translation",
    }


def test_what_cannot_be_crossed():
    x = _random(4, 3)
    with pytest.raises(InputError, match="at least two classes"):
        CrossWalk()(lambda x: x[:, :1], x)
    with pytest.raises(InputError, match="has the classes 0 to 2; a target is 7"):
        CrossWalk(targets=(7,))(lambda x: x, x)
    with pytest.raises(InputError, match="the answer to all starts is 0 already"):
        CrossWalk(targets=(0,))(lambda x: x, x.abs() + torch.tensor([9.0, 0.0, 0.0]))
