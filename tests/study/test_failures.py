"""Any death is one row; all others finish; nobody's mistake ends the run."""

from __future__ import annotations

import pickle

import pytest
import torch
from safetensors.torch import save_file

import repgeo
from repgeo.errors import CheckpointError

HEAD = '[dataset]\nname = "./data.py:blobs"\n'
A = '[[models]]\nname = "./nets.py:make"\nlabel = "a"\n'
B = '[[models]]\nname = "./nets.py:make"\nlabel = "b"\n'
SPREAD = '[[probes]]\nname = "./probes.py:Spread"\n'


def probe(name: str, *lines: str) -> str:
    return "\n".join(["[[probes]]", f'name = "./probes.py:{name}"', *lines, ""])


def run(toys, text):
    return repgeo.run(toys.task(text), out=toys.out)


def one_failed(frame, *, model: str = "a"):
    """The failed row: exactly one of them, and all others good."""
    bad = frame[frame["status"] != "ok"]
    assert len(bad) == 1, bad[["model", "status", "error"]]
    row = bad.iloc[0]
    assert (row["status"], row["model"]) == ("failed", model)
    assert "\n" not in row["error"]
    assert row["metric"] == ""
    assert row[["value", "stderr", "ci_low", "ci_high", "n"]].isna().all()
    return row


def test_a_probe_that_raises_is_one_row_and_exit_code_1(toys, main):
    toys.task(HEAD + A + B + probe("Raises", 'only = "a"') + SPREAD)
    code, out, err = main("run", toys.folder / "task.toml", "--out", toys.out)
    assert code == 1
    assert "Traceback" not in out + err
    assert "failed: ValueError: raises of a, seed 0: a fault of two lines" in err
    assert "4 cells: 3 ok, 1 failed" in out
    row = one_failed(repgeo.read(toys.out))
    assert (row["probe"], row["error_type"]) == ("raises", "ValueError")
    assert row["error"] == "raises of a, seed 0: a fault of two lines"
    assert row["params"] == '{"only":"a"}'
    code, _, _ = main("run", toys.folder / "task.toml", "--out", toys.out)
    assert code == 1  # nothing ran, and the failure is still there


def test_a_model_whose_output_is_nan(toys):
    broken = '[[models]]\nname = "./nets.py:broken"\nlabel = "a"\n'
    row = one_failed(run(toys, HEAD + broken + B + SPREAD))
    assert row["error_type"] == "NonFiniteError"
    assert "The model 'a' gives NaN or infinite values at layer 'encoder'" in row["error"]
    assert "for 20 of 20 samples" in row["error"]


STRANGE = {
    "nan": ("NonFiniteError", "The reading strange.value is NaN."),
    "nan sample": ("NonFiniteError", "The reading strange.value has NaN in 1 of 3 samples."),
    "outside": ("InputError", "The reading strange.value is -1.0, outside (0.0, inf)."),
    "undeclared": ("ConfigurationError", "Did you mean 'value'?"),
    "twice": ("InputError", "yields 'value' twice"),
    "nothing": ("EmptyMeasurementError", "The probe 'strange' yielded no reading."),
    "exits": ("SystemExit", "strange of a, seed 0: 7"),
    "surrogate": ("ValueError", r"strange of a, seed 0: bad name \udc80"),
    "speechless": ("Speechless", "strange of a, seed 0: no message"),
}


@pytest.mark.parametrize("kind", STRANGE)
def test_strange_readings_are_failures(kind, toys):
    row = one_failed(run(toys, HEAD + A + probe("Strange", f'kind = "{kind}"') + SPREAD))
    error_type, text = STRANGE[kind]
    assert row["error_type"] == error_type
    assert text in row["error"]
    assert repgeo.read(toys.out)["error"].tolist()[0] == row["error"]


def test_an_infinite_reading_is_a_number(toys):
    frame = run(toys, HEAD + A + probe("Strange", 'kind = "infinite"'))
    assert frame["status"].tolist() == ["ok"]
    assert frame["value"].tolist() == [float("inf")]


def test_feature_sizes_that_do_not_fit(toys):
    frame = run(toys, HEAD + A + B + "width = 5\n" + probe("Distance") + SPREAD)
    bad = frame[frame["status"] != "ok"]
    assert bad[["model", "model_b"]].to_numpy().tolist() == [["a", "b"], ["b", "a"]]
    assert bad["error"].str.contains(r"The size of tensor a \((?:3|5)\) must match").all()


def test_stitching_of_feature_sizes_that_do_not_fit(toys):
    text = HEAD + A + B + "width = 5\n" + '[[probes]]\nname = "relative_stitching"\nanchors = 4\n'
    frame = run(toys, text)
    assert frame["status"].eq("ok").all()
    methods = frame.groupby(["model", "model_b"])["at"].agg(set)
    # Relative coordinates have one size; absolute codes cannot be plugged into the other head.
    assert methods["a", "b"] < methods["a", "a"]
    assert methods["b", "a"] < methods["b", "b"]


def test_unsupported_is_no_failure(toys, main):
    able = '[[models]]\nname = "./nets.py:reducing"\nlabel = "able"\n'
    toys.task(HEAD + A + able + probe("Wants") + probe("WantsPair"))
    code, _, _ = main("run", toys.folder / "task.toml", "--out", toys.out)
    assert code == 0
    frame = repgeo.read(toys.out)
    assert len(frame) == 2 + 4
    status = {(r.probe, r.model, r.model_b): r.status for r in frame.itertuples()}
    assert status == {
        ("wants", "a", ""): "unsupported",
        ("wants", "able", ""): "ok",
        ("wants_pair", "a", "a"): "unsupported",
        ("wants_pair", "a", "able"): "unsupported",
        ("wants_pair", "able", "a"): "unsupported",
        ("wants_pair", "able", "able"): "ok",
    }
    for row in frame[frame["status"] == "unsupported"].itertuples():
        assert row.error_type == "UnsupportedError"
        assert "requires reduce, which the model 'a' does not offer" in row.error


DIVERGING = """
from typing import ClassVar
from repgeo.objectives import Objective

class Diverging(Objective):
    name: ClassVar[str] = "diverging"

    def loss(self, model, batch, generator):
        return -model(batch.x).square().sum().square().exp()
"""
TRAINED = A + "[models.train]\nobjective = './diverging.py:Diverging'\nepochs = 50\nlr = 1.0\n"


def test_a_training_that_is_not_finite_blocks_what_needs_it(toys):
    (toys.folder / "diverging.py").write_text(DIVERGING)
    frame = run(toys, HEAD + TRAINED + B + SPREAD + probe("Distance"))
    assert frame["status"].tolist() == ["failed", "blocked", "ok"] + ["blocked"] * 3 + ["ok"]
    death = frame.iloc[0]
    assert death["probe"] == ""
    assert death["model"] == "a"
    assert death["error_type"] == "TrainingError"
    assert death["error"].startswith("training of a, seed 0: ")
    for row in frame[frame["status"] == "blocked"].itertuples():
        assert row.error_type == "TrainingError"
        assert row.error.startswith("not run, because the training of a, seed 0, ended as failed:")
        assert "a" in (row.model, row.model_b)
    assert toys.calls() == ["measure b", "prepare b", "pair b b"]


def test_a_preparation_that_fails_blocks_its_pairs(toys):
    frame = run(toys, HEAD + A + B + probe("RaisesInPreparation", 'only = "a"'))
    found = [(row.model, row.model_b, row.status) for row in frame.itertuples()]
    assert found == [
        ("a", "", "failed"),
        ("a", "a", "blocked"),
        ("a", "b", "blocked"),
        ("b", "a", "blocked"),
        ("b", "b", "ok"),
    ]
    assert "not run, because the raises_in_preparation (preparation) of a" in frame["error"][1]


@pytest.fixture
def checkpoint(toys):
    """The path of `w.safetensors`, and a task that loads it."""
    toys.task(HEAD + A + 'weights = "w.safetensors"\n' + SPREAD)
    return toys.folder / "w.safetensors"


def state(width: int) -> dict[str, torch.Tensor]:
    return {
        "encoder.1.weight": torch.ones(width, 2),
        "encoder.1.bias": torch.zeros(width),
        "head.weight": torch.zeros(2, width),
        "head.bias": torch.zeros(2),
    }


def test_a_checkpoint_is_loaded(checkpoint, toys):
    save_file(state(3), checkpoint)
    frame = repgeo.run(toys.folder / "task.toml", out=toys.out)
    assert frame["status"].tolist() == ["ok"]
    untrained = repgeo.run(toys.task(HEAD + A + SPREAD, "b.toml"), out=toys.folder / "b")
    assert frame["value"][0] != untrained["value"][0]


def test_a_checkpoint_of_another_architecture_is_refused(checkpoint, toys, main):
    save_file(state(4), checkpoint)
    code, _, err = main("run", toys.folder / "task.toml", "--out", toys.out)
    assert code == 2
    assert err.count("\n") == 1
    assert "models[0] (a)" in err
    assert "of another shape" in err
    assert "encoder.1.weight (4, 2) instead of (3, 2)" in err
    assert not toys.out.exists()


class Explodes:
    def __reduce__(self):
        return (open, ("exploded", "w"))


@pytest.mark.parametrize("format_", ["pickle", "torch", "truncated", "folder"])
def test_weights_that_are_not_safetensors_are_refused_unopened(
    format_, checkpoint, toys, main, monkeypatch
):
    monkeypatch.chdir(toys.folder)
    if format_ == "pickle":
        checkpoint.write_bytes(pickle.dumps(Explodes()))
    elif format_ == "torch":
        torch.save(state(3), checkpoint)
    elif format_ == "truncated":
        save_file(state(3), checkpoint)
        checkpoint.write_bytes(checkpoint.read_bytes()[:40])
    else:
        checkpoint.mkdir()
    code, _, err = main("run", "task.toml", "--out", toys.out)
    assert code == 2
    assert err.count("\n") == 1
    assert "w.safetensors" in err
    if format_ in ("pickle", "torch"):
        assert "is a pickle" in err
        assert "is not opened" in err
    assert not (toys.folder / "exploded").exists()
    assert not toys.out.exists()


def test_a_checkpoint_that_was_not_kept_is_named():
    from repgeo.models.loaded import load_model

    with pytest.raises(CheckpointError, match=r"'m' has no checkpoint 10. Kept: none"):
        load_model(torch.nn.Identity(), "m").at(10)


def test_data_that_change_while_the_study_runs_are_noticed(toys):
    changing = """
import torch
from pathlib import Path
from repgeo.datasets import Dataset, Split
CALLS = Path(__file__).with_name("made.log")
def made(seed: int):
    with CALLS.open("a") as stream:
        stream.write("x")
    split = Split(torch.full((4, 2), float(len(CALLS.read_text()))), torch.tensor([0, 1, 0, 1]))
    return Dataset("made", split, split)
"""
    (toys.folder / "changing.py").write_text(changing)
    frame = run(toys, HEAD.replace("data.py:blobs", "changing.py:made") + A + SPREAD)
    row = one_failed(frame)
    assert row["error_type"] == "DatasetError"
    assert "changed while the study ran" in row["error"]
