"""Building networks: parameters, seeds, dtypes, and nothing global left changed."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import nn

from repgeo.errors import ConfigurationError
from repgeo.models.baselines import constant, identity
from repgeo.models.building import build
from repgeo.models.cnn import cnn
from repgeo.models.mlp import mlp


def states() -> tuple[object, ...]:
    return (
        random.getstate(),
        str(np.random.get_state()),  # noqa: NPY002
        torch.get_rng_state().tolist(),
        torch.get_default_dtype(),
    )


def same(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_the_seed_decides_the_weights():
    def made(seed: int) -> nn.Module:
        return build(mlp, {"hidden": [8]}, seed=seed, input_shape=(4,), classes=3)

    assert same(made(0), made(0))
    assert not same(made(0), made(1))


def test_all_three_generators_are_seeded():
    class Drawn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            draws = [random.random(), np.random.rand(), float(torch.rand(()))]  # noqa: NPY002
            self.register_buffer("draws", torch.tensor(draws))

    assert same(build(Drawn, {}, seed=0), build(Drawn, {}, seed=0))
    first, second = (build(Drawn, {}, seed=seed).draws for seed in (0, 1))
    assert bool((first != second).all())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nothing_global_is_left_changed(dtype):
    before = states()
    net = build(cnn, {}, seed=0, dtype=dtype, input_shape=(1, 8, 8), classes=2)
    assert {p.dtype for p in net.parameters()} == {getattr(torch, dtype)}
    assert states() == before


def test_nothing_global_is_left_changed_by_a_factory_that_fails():
    def broken() -> nn.Module:
        torch.rand(3)
        raise RuntimeError("broken")

    before = states()
    with pytest.raises(RuntimeError, match="broken"):
        build(broken, {}, seed=0, dtype="float64")
    assert states() == before


def test_shapes_and_seeds_are_filled_in_where_they_are_named():
    seen = {}

    def factory(input_shape: tuple[int, ...], *, classes: int = 99, seed: int) -> nn.Module:
        seen.update(input_shape=input_shape, classes=classes, seed=seed)
        return nn.Identity()

    build(factory, {}, seed=5, input_shape=(1, 2), classes=3)
    assert seen == {"input_shape": (1, 2), "classes": 3, "seed": 5}
    build(factory, {"classes": 7, "input_shape": [9]}, seed=5, input_shape=(1, 2), classes=3)
    assert seen == {"input_shape": (9,), "classes": 7, "seed": 5}
    build(factory, {"input_shape": [9]}, seed=5)
    assert seen["classes"] == 99


def test_what_no_dataset_tells_must_be_given():
    with pytest.raises(ConfigurationError, match=r"mlp needs 'input_shape'.*Write input_shape ="):
        build(mlp, {}, seed=0, classes=3)
    with pytest.raises(ConfigurationError, match="constant needs 'classes'"):
        build(constant, {}, seed=0)
    assert isinstance(build(identity, {}, seed=0), nn.Module)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"hiden": [3]}, "mlp: unknown key 'hiden'. Did you mean 'hidden'"),
        ({"hidden": 3}, "mlp: hidden: should be a valid array, got 3"),
        ({"activation": "rellu"}, "Unknown activation 'rellu'"),
    ],
)
def test_wrong_parameters_are_named(parameters, message):
    with pytest.raises(ConfigurationError, match=message):
        build(mlp, parameters, seed=0, input_shape=(4,), classes=3)


def test_what_is_not_a_module_is_refused():
    def table() -> dict:
        return {"weight": 1}

    with pytest.raises(ConfigurationError, match=r"table gives dict; a model's factory gives"):
        build(table, {}, seed=0)
    with pytest.raises(ConfigurationError, match="is a function or a class, got dict"):
        build({}, {}, seed=0)
    with pytest.raises(ConfigurationError, match="'float32' or 'float64', got 'half'"):
        build(identity, {}, seed=0, dtype="half")
