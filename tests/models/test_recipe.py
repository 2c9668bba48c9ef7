"""The table [models.train]."""

from __future__ import annotations

import json
import math

import pytest

from repgeo.errors import ConfigurationError, UnknownNameError
from repgeo.models.recipe import Recipe, parse_recipe
from repgeo.models.schedule import rate_factor
from repgeo.objectives import CrossEntropy, MeanSquaredError

OBJECTIVE = """
from typing import ClassVar
from repgeo.objectives import Objective

class Ridge(Objective):
    name: ClassVar[str] = "ridge"
    strength: float = 1.0

class Clash(Objective):
    name: ClassVar[str] = "clash"
    lr: float = 1.0

class Other:
    pass
"""


def test_keys_are_shared_out_between_recipe_and_objective():
    recipe, objective, found = parse_recipe({"epochs": 3, "lr": 1, "label_smoothing": 0.1})
    assert (recipe.epochs, recipe.steps, recipe.lr) == (3, None, 1.0)
    assert isinstance(objective, CrossEntropy)
    assert objective.label_smoothing == 0.1
    assert found.identity["name"] == "cross_entropy"
    recipe, objective, _ = parse_recipe(
        {"objective": "mean_squared_error", "target": "x", "steps": 9, "keep": ["init", 4, "final"]}
    )
    assert isinstance(objective, MeanSquaredError)
    assert recipe.keep == ("init", 4, "final")


def test_a_recipe_survives_json():
    table = {"epochs": 3, "keep": ["init", 2], "label_smoothing": 0.1, "gradient_clip": 1}
    recipe, objective, found = parse_recipe(table)
    stored = json.loads(json.dumps(recipe.model_dump(mode="json") | objective.parameters()))
    again, same, _ = parse_recipe(stored | {"objective": found.reference})
    assert (again, same) == (recipe, objective)


def test_an_objective_from_a_file(tmp_path):
    (tmp_path / "mine.py").write_text(OBJECTIVE)
    _, objective, found = parse_recipe(
        {"objective": "./mine.py:Ridge", "strength": 2, "epochs": 1}, folder=tmp_path
    )
    assert objective.strength == 2.0
    assert set(found.identity) == {"file", "name"}
    with pytest.raises(ConfigurationError, match="field 'lr', which is a key of the recipe"):
        parse_recipe({"objective": "./mine.py:Clash", "epochs": 1}, folder=tmp_path)
    with pytest.raises(ConfigurationError, match="is not a class of objectives"):
        parse_recipe({"objective": "./mine.py:Other", "epochs": 1}, folder=tmp_path)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"epocs": 3}, "train: unknown key 'epocs'. Did you mean 'epochs'"),
        ({"epochs": 3, "label_smooting": 0.1}, "Did you mean 'label_smoothing'"),
        ({"epochs": 3, "target": "x"}, "train: unknown key 'target'"),
        ({"epochs": 3, "steps": 3}, "train: give epochs or steps, got both"),
        ({}, "train: give epochs or steps, got neither"),
        ({"lr": 0.1}, "got neither"),
        ({"epochs": "3"}, "train: epochs: should be a valid integer, got '3'"),
        ({"epochs": 0}, "train: epochs: should be greater than or equal to 1, got 0"),
        ({"epochs": 3, "lr": 0}, "train: lr: should be greater than 0, got 0"),
        ({"epochs": 3, "lr": math.nan}, "train: lr: should be"),
        ({"epochs": 3, "optimizer": "adma"}, "optimizer: should be 'adam', 'adamw' or 'sgd'"),
        ({"epochs": 3, "label_smoothing": 2}, "label_smoothing: should be less than 1, got 2"),
        ({"epochs": 3, "keep": [4]}, "keep: 4 lies beyond the last of 3 epochs"),
        ({"steps": 3, "keep": [4]}, "keep: 4 lies beyond the last of 3 steps"),
        ({"epochs": 3, "keep": [2, 2]}, "keep names a checkpoint twice"),
        ({"epochs": 3, "keep": ["last"]}, r"train: keep\[0\].*should be 'init' or 'final'"),
        ({"epochs": 3, "momentum": 0.9}, "momentum belongs to the optimizer 'sgd', got 'adam'"),
        ({"epochs": 3, "select": "validation_loss"}, "give restarts of at least 2"),
        ({"epochs": 3, "objective": 3}, "objective: should be a name, got 3"),
        ({"epochs": 3, "lr": object()}, "values must be those of JSON"),
    ],
)
def test_faults_are_named_in_one_line(table, message):
    with pytest.raises(ConfigurationError, match=message) as caught:
        parse_recipe(table)
    assert "\n" not in str(caught.value)


def test_an_unknown_objective_is_named():
    with pytest.raises(UnknownNameError, match=r"'cross_entrpy'. Did you mean 'cross_entropy'"):
        parse_recipe({"objective": "cross_entrpy", "epochs": 1})


def test_schedules_are_their_formulas():
    expected = {
        "constant": [1.0] * 8,
        "cosine": [(1 + math.cos(math.pi * step / 8)) / 2 for step in range(8)],
        "linear": [1 - step / 8 for step in range(8)],
        "step": [1.0] * 4 + [0.1] * 2 + [0.01] * 2,
    }
    for schedule, factors in expected.items():
        recipe = Recipe(steps=8, schedule=schedule)
        found = [rate_factor(recipe, step, 8) for step in range(8)]
        assert found == pytest.approx(factors)


def test_the_warm_up_grows_linearly_and_then_hands_over():
    recipe = Recipe(steps=8, schedule="linear", warmup=0.5)
    found = [rate_factor(recipe, step, 8) for step in range(8)]
    assert found == pytest.approx([0.25, 0.5, 0.75, 1, 1, 0.75, 0.5, 0.25])
    assert rate_factor(recipe, 100, 8) == 0.0
