"""What decides a step's identity, and what must not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import repgeo
from repgeo.errors import ConfigurationError
from repgeo.study.planning import make_plan
from repgeo.study.taskfile import read_task

TASK = """
[task]
title = "Toys"
seeds = [0]

[dataset]
name = "./data.py:blobs"
n = 20

[[models]]
name = "./nets.py:make"
label = "a"
width = 3
[models.train]
objective = "./aims.py:Power"
epochs = 1
lr = 0.1
power = 2.0

[[models]]
name = "./nets.py:make"
label = "loaded"
weights = "w.safetensors"

[[models]]
name = "weights"
label = "matrix"
path = "m.safetensors"

[[probes]]
name = "./probes.py:Spread"
scale = 1.0

[[probes]]
name = "./probes.py:Distance"
"""

AIMS = """
from typing import ClassVar

from repgeo.objectives import Objective


class Power(Objective):
    name: ClassVar[str] = "power"
    power: float = 1.0

    def loss(self, model, batch, generator):
        return model(batch.x).abs().pow(self.power).mean()
"""


@pytest.fixture
def task(toys):
    (toys.folder / "aims.py").write_text(AIMS)
    write_weights(toys.folder, 0.0)
    toys.task(TASK)
    return toys


def write_weights(folder: Path, value: float) -> None:
    net = {
        "encoder.1.weight": torch.full((3, 2), value),
        "encoder.1.bias": torch.zeros(3),
        "head.weight": torch.zeros(2, 3),
        "head.bias": torch.zeros(2),
    }
    save_file(net, folder / "w.safetensors")
    save_file({"m": torch.full((3, 2), value)}, folder / "m.safetensors")


def ids(folder: Path, *overrides: str) -> dict[str, str]:
    """Each step's identity by what it is of."""
    plan = make_plan(read_task(folder / "task.toml", overrides))
    found = {}
    for step in plan.steps:
        probe = step.probe.name if step.probe is not None else ""
        found[" ".join([step.kind, probe, *(model.label for model in step.models)])] = step.id
    assert len(found) == len(plan.steps)
    return found


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before if before[name] != after[name]}


def of_label(names: dict[str, str], label: str) -> set[str]:
    return {name for name in names if label in name.split()[1:]}


def test_the_same_task_twice_has_the_same_steps(task):
    first = ids(task.folder)
    assert first == ids(task.folder)
    assert len(set(first.values())) == len(first)


def test_no_two_models_share_a_cell_even_if_they_are_one_network(toys):
    text = '[[models]]\nname = "./nets.py:make"\nlabel = "{}"\n[models.train]\nepochs = 1\n'
    head, probes = '[dataset]\nname = "./data.py:blobs"\n', '[[probes]]\nname = "accuracy"\n'
    path = toys.task(head + text.format("one") + text.format("two") + probes)
    plan = make_plan(read_task(path))
    assert len({cell.id for cell in plan.cells}) == 2
    assert len([step for step in plan.steps if step.kind == "train"]) == 1  # trained once
    frame = repgeo.run(path, out=toys.out)
    assert frame["cell"].nunique() == 2
    assert frame["value"].nunique() == 1


ALL = "every step"
DECIDING = {
    # an override: whose steps it changes
    "task.seeds=[1]": ALL,
    "dataset.n=21": ALL,
    "dataset.shift=1.0": ALL,
    "models.a.width=4": "a",
    "models.a.seed=7": "a",
    'models.a.dtype="float64"': "a",
    "models.a.train.lr=0.2": "a",
    "models.a.train.epochs=2": "a",
    "models.a.train.batch_size=5": "a",
    'models.a.train.optimizer="sgd"': "a",
    "models.a.train.power=3.0": "a",
    'models.a.train.objective="cross_entropy"': "a",
    "models.loaded.seed=7": "loaded",
    'models.matrix.dtype="float64"': "matrix",
    "probes../probes.py:Spread.scale=2.0": "spread",
    'probes../probes.py:Spread.layer="output"': "spread",
    'probes../probes.py:Distance.layer="output"': "distance",
    'models.a.layers.encoder="head"': "a",
}


@pytest.mark.parametrize("override", DECIDING)
def test_what_decides_the_answer_changes_the_identity(override, task):
    before = ids(task.folder)
    if "objective" in override:
        task.edit("task.toml", "power = 2.0\n", "")
    if override.startswith("probes."):  # a dot in the name: the file itself is edited
        key, value = override.rpartition(":")[2].split(".", 1)[1].split("=")
        name = "Spread" if "Spread" in override else "Distance"
        task.edit("task.toml", f':{name}"\n', f':{name}"\n{key} = {value}\n')
        if key == "scale":
            task.edit("task.toml", "scale = 1.0\n", "")
        after = ids(task.folder)
    else:
        after = ids(task.folder, override)
    whose = DECIDING[override]
    expected = set(before) if whose == ALL else of_label(before, whose)
    if "layers" in override:  # the trained network is the same one
        expected -= {"train  a"}
    assert changed(before, after) == expected


def test_the_contents_of_a_factorys_file_change_the_identity(task):
    before = ids(task.folder)
    task.edit("nets.py", "nn.Tanh()", "nn.ReLU()")
    assert changed(before, ids(task.folder)) == of_label(before, "a") | of_label(before, "loaded")


def test_the_contents_of_a_probes_file_change_the_identity(task):
    before = ids(task.folder)
    task.edit("probes.py", "self.scale * codes.std()", "self.scale * codes.var()")
    assert changed(before, ids(task.folder)) == set(before) - {"train  a"}


def test_the_contents_of_an_objectives_file_change_the_identity(task):
    before = ids(task.folder)
    task.edit("aims.py", ".mean()", ".sum()")
    assert changed(before, ids(task.folder)) == of_label(before, "a")


def test_the_contents_of_weights_change_the_identity(task):
    before = ids(task.folder)
    write_weights(task.folder, 1.0)
    after = ids(task.folder)
    assert changed(before, after) == of_label(before, "loaded") | of_label(before, "matrix")


def test_the_contents_of_the_data_decide_not_the_code_that_makes_them(task):
    before = ids(task.folder)
    task.edit("data.py", "import torch", "import torch  # the same numbers")
    task.edit("task.toml", "n = 20", "n = 20\nunused = 3")
    assert ids(task.folder) == before
    task.edit("data.py", "shift * y[:, None]", "2 * shift * y[:, None]")
    assert changed(before, ids(task.folder)) == set(before)


def test_the_version_of_a_registered_probe_changes_the_identity(task, monkeypatch):
    from repgeo.probes import Similarity

    text = TASK.replace("./probes.py:Distance", "similarity")
    task.task(text)
    before = ids(task.folder)
    monkeypatch.setattr(Similarity, "version", "other")
    assert changed(before, ids(task.folder)) == of_label(before, "similarity")


def test_where_things_lie_and_how_they_are_written_changes_nothing(task, tmp_path):
    before = ids(task.folder)
    elsewhere = tmp_path / "another place" / "deeper"
    shutil.copytree(task.folder, elsewhere, ignore=shutil.ignore_patterns("another place"))
    assert ids(elsewhere) == before
    task.task(
        "# a comment\n"
        + TASK.replace('title = "Toys"\nseeds = [0]', 'seeds = [0]\ntitle = "Another title"')
        .replace("epochs = 1\nlr = 0.1", "lr = 0.1 # slow\nepochs   = 1")
        .replace('"./nets.py:make"\nlabel = "a"', f'"{task.folder}/nets.py:make"\nlabel = "a"')
        .replace('weights = "w.safetensors"', f'weights = "{task.folder}/w.safetensors"')
    )
    assert ids(task.folder) == before


def test_a_label_and_other_entries_do_not_touch_the_rest(task):
    before = ids(task.folder)
    task.edit("task.toml", 'label = "matrix"', 'label = "renamed"')
    kept = {name: step for name, step in before.items() if "matrix" not in name}
    assert kept.items() <= ids(task.folder).items()


def test_how_a_study_is_run_changes_nothing(task, tmp_path):
    from repgeo.study.running import RunOptions

    first = repgeo.run(task.folder / "task.toml", out=tmp_path / "one")
    options = RunOptions(weights=tmp_path / "store", parquet=True)
    second = repgeo.run(task.folder / "task.toml", out=tmp_path / "two", options=options)
    assert first["cell"].tolist() == second["cell"].tolist()
    assert first["value"].tolist() == second["value"].tolist()


def test_two_studies_never_mix(toys):
    repgeo.run(toys.task(), out=toys.out)
    before = toys.cell_files()
    other = toys.task(name="other.toml")
    with pytest.raises(
        ConfigurationError, match=r"holds the study of the task 'task', not of 'oth"
    ):
        repgeo.run(other, out=toys.out)
    assert toys.cell_files() == before
    assert repgeo.read(toys.out)["task"].unique().tolist() == ["task"]


def test_a_store_of_weights_is_shared_between_studies(toys):
    from repgeo.study.running import RunOptions

    text = """
    [dataset]
    name = "./data.py:blobs"
    [[models]]
    name = "./nets.py:make"
    [models.train]
    epochs = 1
    [[probes]]
    name = "accuracy"
    """
    options = RunOptions(weights=toys.folder / "store")
    repgeo.run(toys.task(text), out=toys.folder / "one", options=options)
    (final,) = (toys.folder / "store").glob("*/final.safetensors")
    stamp = final.stat().st_mtime_ns
    repgeo.run(toys.task(text, "again.toml"), out=toys.folder / "two", options=options)
    assert final.stat().st_mtime_ns == stamp
    assert not (toys.folder / "one" / "weights").exists()
