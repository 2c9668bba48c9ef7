"""What a task file means: grids, replicas, seeds, pairs, layers, labels, and where it is found."""

from __future__ import annotations

import os
import shutil
import textwrap
from pathlib import Path

import pytest

import repgeo
from repgeo.errors import CheckpointError, DatasetError, LayerError
from repgeo.study.locating import find_task, task_files
from repgeo.study.plan import Selection
from repgeo.study.planning import make_plan
from repgeo.study.taskfile import parse_task, read_task

TRAIN = "\n[models.train]\nepochs = 1\n"


def plan_of(toys, text: str, overrides=()):
    return make_plan(read_task(toys.task(text), overrides))


def labels(plan) -> list[str]:
    return list(dict.fromkeys(model.label for cell in plan.cells for model in cell.models))


def pairs(plan) -> list[tuple[str, str]]:
    return [tuple(model.label for model in cell.models) for cell in plan.cells]


def model(*lines: str) -> str:
    return "\n".join(['[[models]]\nname = "./nets.py:make"', *lines, ""])


BASE = '[dataset]\nname = "./data.py:blobs"\n'
SPREAD = '[[probes]]\nname = "./probes.py:Spread"\n'
DISTANCE = '[[probes]]\nname = "./probes.py:Distance"\n'


def test_a_grid_over_models_is_a_product_with_labels(toys):
    text = BASE + model("[models.grid]", "width = [2, 5]", 'act = ["tanh", "relu"]') + SPREAD
    plan = plan_of(toys, text)
    assert labels(plan) == [
        "make[width=2,act=tanh]",
        "make[width=2,act=relu]",
        "make[width=5,act=tanh]",
        "make[width=5,act=relu]",
    ]
    assert [dict(cell.models[0].parameters) for cell in plan.cells[:2]] == [
        {"width": 2, "act": "tanh"},
        {"width": 2, "act": "relu"},
    ]
    assert len({cell.id for cell in plan.cells}) == 4


def test_a_grid_reaches_into_the_training(toys):
    text = (
        BASE
        + model('label = "m"', "[models.train]", "epochs = 1", "[models.grid]")
        + '"train.lr" = [0.1, 0.2]\nseed = [3, 4]\n'
        + SPREAD
    )
    plan = plan_of(toys, text)
    trained = [step.models[0] for step in plan.steps if step.kind == "train"]
    assert [(m.label, m.recipe["lr"], m.seed) for m in trained] == [
        ("m[train.lr=0.1,seed=3]", 0.1, 3),
        ("m[train.lr=0.1,seed=4]", 0.1, 4),
        ("m[train.lr=0.2,seed=3]", 0.2, 3),
        ("m[train.lr=0.2,seed=4]", 0.2, 4),
    ]


def test_a_list_outside_a_grid_is_one_value():
    table = {
        "dataset": {"name": "xor"},
        "models": [{"name": "mlp", "hidden": [4, 3]}],
        "probes": [{"name": "accuracy"}],
    }
    plan = make_plan(parse_task(table, name="task", folder=Path()))
    assert [dict(cell.models[0].parameters) for cell in plan.cells] == [{"hidden": [4, 3]}]


def test_a_grid_over_a_probe_gives_cells_told_apart_by_their_parameters(toys):
    frame = repgeo.run(
        toys.task(BASE + model() + SPREAD + "[probes.grid]\nscale = [1.0, 2.0]\n"), out=toys.out
    )
    assert frame["params"].tolist() == [
        '{"scale":1.0,"sleep":0.0}',
        '{"scale":2.0,"sleep":0.0}',
    ]
    assert frame["value"].iloc[1] == pytest.approx(2 * frame["value"].iloc[0], rel=1e-6)
    assert frame["cell"].nunique() == 2


def test_a_grid_over_the_dataset_gives_a_dataset_each(toys):
    text = BASE + "[dataset.grid]\nshift = [0.0, 4.0]\nn = [6]\n" + model() + SPREAD
    frame = repgeo.run(toys.task(text), out=toys.out)
    assert frame["dataset"].tolist() == ["blobs[shift=0.0,n=6]", "blobs[shift=4.0,n=6]"]
    assert frame["cell"].nunique() == 2
    assert frame["value"].nunique() == 2


def test_replicas_have_the_model_seeds_from_zero(toys):
    text = "[task]\nseeds = [5]\n" + BASE + model('label = "m"', "replicas = 3") + SPREAD
    plan = plan_of(toys, text)
    specs = [cell.models[0] for cell in plan.cells]
    assert [(m.label, m.seed, m.entry) for m in specs] == [
        ("m#0", 0, "m"),
        ("m#1", 1, "m"),
        ("m#2", 2, "m"),
    ]


def test_the_model_seed_is_the_task_seed_unless_it_is_given(toys):
    text = (
        "[task]\nseeds = [5, 6]\n" + BASE + model('label = "a"') + model('label = "b"', "seed = 2")
    )
    plan = plan_of(toys, text + SPREAD)
    found = [(cell.seed, cell.models[0].label, cell.models[0].seed) for cell in plan.cells]
    assert found == [(5, "a", 5), (5, "b", 2), (6, "a", 6), (6, "b", 2)]


PAIRS = {
    "": [(a, b) for a in ("m#0", "m#1", "n") for b in ("m#0", "m#1", "n")],
    "all": [(a, b) for a in ("m#0", "m#1", "n") for b in ("m#0", "m#1", "n")],
    "within": [("m#0", "m#0"), ("m#0", "m#1"), ("m#1", "m#0"), ("m#1", "m#1"), ("n", "n")],
    '[["m#1", "n"]]': [("m#1", "n")],
    '[["m", "n"], ["n", "n"]]': [("m#0", "n"), ("m#1", "n"), ("n", "n")],
}


@pytest.mark.parametrize("narrowed", PAIRS)
def test_pairs_are_ordered_with_the_diagonal_and_can_be_narrowed(narrowed, toys):
    given = narrowed if narrowed.startswith("[") else f'"{narrowed}"'
    text = BASE + model('label = "m"', "replicas = 2") + model('label = "n"') + DISTANCE
    plan = plan_of(toys, text + (f"pairs = {given}\n" if narrowed else ""))
    assert pairs(plan) == PAIRS[narrowed]
    prepared = [s.models[0].label for s in plan.steps if s.kind == "prepare"]
    assert prepared == list(dict.fromkeys(sorted(n for pair in PAIRS[narrowed] for n in pair)))


APART = """
from probes import Distance


class Apart(Distance):
    layer_b: str | None = None
"""


def test_each_side_of_a_pair_needs_its_own_layer_only(toys):
    (toys.folder / "apart.py").write_text(APART)
    distance = '[[probes]]\nname = "./apart.py:Apart"\n'
    named = model('label = "a"', "[models.layers]", 'code = "encoder"')
    named += model('label = "b"', "[models.layers]", 'latent = "encoder"')
    layers = 'layer = "code"\nlayer_b = "latent"\n'
    with pytest.raises(LayerError, match="no layer 'latent'"):
        plan_of(toys, BASE + named + distance + layers)
    narrowed = BASE + named + distance + layers + 'pairs = [["a", "b"]]\n'
    steps = {step.title: step for step in plan_of(toys, narrowed).steps if step.kind == "prepare"}
    assert [step.sides for step in steps.values()] == [(0,), (1,)]
    frame = repgeo.run(toys.task(narrowed), out=toys.out)
    assert frame["status"].tolist() == ["ok"], frame["error"].tolist()
    assert frame[["layer", "layer_b"]].to_numpy().tolist() == [["code", "latent"]]
    same = BASE + named.replace("latent", "code") + distance + 'layer = "code"\n'
    whole = repgeo.run(toys.task(same), out=toys.folder / "whole")
    pair = whole[(whole["model"] == "a") & (whole["model_b"] == "b")]
    assert pair["value"].tolist() == frame["value"].tolist()
    # What was prepared for one side is not taken for both.
    both = {step.id for step in plan_of(toys, same).steps if step.kind == "prepare"}
    assert not both & {step.id for step in steps.values()}


def test_layers_have_names_and_dotted_paths(toys):
    named = model('label = "a"', "[models.layers]", 'first = "encoder.1"', 'code = "encoder"')
    probes = "".join(SPREAD + f'layer = "{name}"\n' for name in ("first", "encoder.2", "*"))
    frame = repgeo.run(toys.task(BASE + named + probes), out=toys.out)
    assert frame["layer"].tolist() == ["first", "encoder.2", "first", "code"]
    values = frame["value"].tolist()
    assert values[0] == values[2]
    assert values[1] == values[3]


def test_a_layer_must_be_there_in_every_model(toys):
    named = model('label = "a"', "[models.layers]", 'first = "encoder.1"')
    with pytest.raises(LayerError, match=r"models\[1\] \(b\): for the probe 'spread'.*'first'"):
        plan_of(toys, BASE + named + model('label = "b"') + SPREAD + 'layer = "first"\n')


def test_overrides_of_single_entries(toys):
    text = BASE + model('label = "a"') + model('label = "b"') + SPREAD
    changes = ["models.a.width=7", "task.seeds=[3]", "dataset.shift=1", "probes.Spread.scale=2"]
    plan = plan_of(toys, text, changes)
    assert [cell.probe.parameters["scale"] for cell in plan.cells] == [2.0, 2.0]
    assert [dict(cell.models[0].parameters) for cell in plan.cells] == [{"width": 7}, {}]
    assert [cell.seed for cell in plan.cells] == [3, 3]
    assert dict(plan.cells[0].dataset.parameters) == {"shift": 1}


def test_an_override_means_the_label_and_else_the_name():
    table = {
        "models": [
            {"name": "mlp"},
            {"name": "mlp", "label": "twin"},
            {"name": "cnn", "label": "one"},
            {"name": "cnn", "label": "two"},
        ],
        "dataset": {"name": "xor"},
        "probes": [{"name": "accuracy"}],
    }
    changes = ["models.mlp.train.epochs=1", "models.cnn.seed=3"]
    task = parse_task(table, name="task", folder=Path(), overrides=changes).task
    assert [entry.train for entry in task.models] == [{"epochs": 1}, None, None, None]
    assert [entry.seed for entry in task.models] == [None, None, 3, 3]


def test_overrides_make_tables_and_keep_bare_words():
    table = {
        "models": [{"name": "mlp", "label": "m"}],
        "dataset": {"name": "xor"},
        "probes": [{"name": "pullback_volume"}],
    }
    changes = ["models.m.train.epochs=2", "probes.pullback_volume.layer=block1", "task.title=a b"]
    task = parse_task(table, name="task", folder=Path(), overrides=changes).task
    assert task.models[0].train == {"epochs": 2}
    assert task.probes[0].parameters == {"layer": "block1"}
    assert task.task.title == "a b"
    assert "train" not in table["models"][0]  # what was given is left as it was


GLOBS = {
    "a": ["a"],
    "?": ["a", "m#0", "m#1"],
    "g*": ["grid[width=2]", "grid[width=4]"],
    "grid[width=2]": ["grid[width=2]"],
    "grid[width=?]": ["grid[width=2]", "grid[width=4]"],
    "*=4]": ["grid[width=4]"],
    "grid": ["grid[width=2]", "grid[width=4]"],
    "m#*": ["m#0", "m#1"],
    "m#1": ["m#1"],
    "m": ["m#0", "m#1"],
}


@pytest.mark.parametrize("pattern", GLOBS)
def test_patterns_choose_models_by_label_brackets_included(pattern, toys):
    text = (
        BASE
        + model('label = "a"')
        + model('label = "grid"', "[models.grid]", "width = [2, 4]")
        + model('label = "m"', "replicas = 2")
        + SPREAD
    )
    kept = Selection((pattern,)).keep(plan_of(toys, text))
    assert [cell.models[0].label for cell in kept] == GLOBS[pattern]


def test_a_selection_keeps_the_steps_that_its_cells_need(toys):
    text = (
        BASE
        + model('label = "a"')
        + TRAIN
        + model('label = "b"', "seed = 1")
        + TRAIN
        + SPREAD
        + DISTANCE
    )
    plan = plan_of(toys, text)
    assert [(s.kind, [m.label for m in s.models]) for s in Selection(("a",)).keep(plan)] == [
        ("train", ["a"]),
        ("measure", ["a"]),
        ("prepare", ["a"]),
        ("measure", ["a", "a"]),
    ]
    only = Selection((), ("dist*",)).keep(plan)
    assert [step.kind for step in only] == ["train"] * 2 + ["prepare"] * 2 + ["measure"] * 4


def test_steps_stand_before_what_needs_them(toys):
    plan = plan_of(toys, BASE + model() + TRAIN + SPREAD + DISTANCE)
    seen: set[str] = set()
    for step in plan.steps:
        assert set(step.needs) <= seen
        seen.add(step.id)


def test_a_task_is_found_by_path_and_by_name(toys, monkeypatch):
    monkeypatch.chdir(toys.folder)
    assert find_task("task.toml") == Path("task.toml")
    assert find_task("digits").name == "digits.toml"
    assert find_task("tasks/digits.toml").is_absolute()  # there is no such file here
    Path("tasks").mkdir()
    Path("tasks/digits.toml").write_text("")
    assert find_task("tasks/digits.toml") == Path("tasks/digits.toml")
    Path("digits").mkdir()
    assert find_task("digits").name == "digits.toml"


def test_tasks_come_from_the_package_else_from_the_checkout(tmp_path, monkeypatch):
    package = tmp_path / "repgeo"
    package.mkdir()
    checkout = tmp_path / "tasks"
    checkout.mkdir()
    (checkout / "one.toml").write_text("")
    (checkout / "two.toml").write_text("")
    monkeypatch.setattr(repgeo, "__file__", str(package / "__init__.py"))
    assert task_files() == {"one": checkout / "one.toml", "two": checkout / "two.toml"}
    inside = package / "_tasks"
    inside.mkdir()
    shutil.copy(checkout / "one.toml", inside)
    assert task_files() == {"one": inside / "one.toml", "two": checkout / "two.toml"}
    assert find_task("one") == inside / "one.toml"


@pytest.mark.parametrize("name", sorted(task_files()))
def test_every_task_that_comes_along_can_be_planned(name):
    try:
        plan = make_plan(read_task(name))
    except (DatasetError, CheckpointError) as error:
        if os.environ.get("REPGEO_DATA") or "REPGEO_DATA" not in str(error):
            raise
        pytest.skip(str(error))  # data of its own, which is not here
    assert plan.cells
    assert len({step.id for step in plan.steps}) == len(plan.steps)


def test_a_task_may_be_given_as_a_table(toys, monkeypatch):
    monkeypatch.chdir(toys.folder)
    table = {
        "dataset": {"name": "./data.py:blobs"},
        "models": [{"name": "./nets.py:make"}],
        "probes": [{"name": "./probes.py:Spread"}],
    }
    frame = repgeo.run(table, out=toys.out)
    assert frame["task"].tolist() == ["task"]
    assert frame["model"].tolist() == ["make"]


def test_a_task_needs_no_dataset(toys):
    (toys.folder / "weights_probe.py").write_text(
        textwrap.dedent(
            """
            from typing import ClassVar
            from repgeo.probes import Metric, Probe, Reading

            class Count(Probe):
                name: ClassVar = "count"
                metrics: ClassVar = {"count": Metric()}

                def measure(self, subject, data, context):
                    assert data is None
                    yield Reading("count", float(sum(w.numel() for w in subject.weights.values())))
            """
        )
    )
    text = (
        model("input_shape = [2]", "classes = 2")
        + '[[probes]]\nname = "./weights_probe.py:Count"\n'
    )
    frame = repgeo.run(toys.task(text), out=toys.out)
    assert frame["status"].tolist() == ["ok"]
    assert frame["value"].tolist() == [2 * 3 + 3 + 3 * 2 + 2]
    assert frame["dataset"].tolist() == [""]
