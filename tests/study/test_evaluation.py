"""`repgeo.run` and `repgeo.evaluate` from Python: what they leave alone, and what they count."""

from __future__ import annotations

import random
import sys

import numpy as np
import pytest
import torch
from torch import nn

import repgeo
from repgeo.datasets import Dataset, Split
from repgeo.errors import ConfigurationError, InputError
from repgeo.probes import Accuracy, RelativeStitching, Similarity
from repgeo.probes.rows import COLUMNS
from repgeo.registry import load

LOGGING = '''
from pathlib import Path

import torch
from torch import nn

LOG = Path(__file__).with_name("forward.log")


class Logged(nn.Module):
    """A layer that notes the size of each batch it is given."""

    def __init__(self, label):
        super().__init__()
        self.label = label
        self.linear = nn.Linear(2, 3)

    def forward(self, x):
        with LOG.open("a") as stream:
            stream.write(f"{self.label} {len(x)}\\n")
        return self.linear(x)


class Net(nn.Module):
    def __init__(self, label):
        super().__init__()
        self.encoder = Logged(label)
        self.head = nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.encoder(x))


def logged(tag: str):
    return Net(tag)
'''


def full_batches(toys) -> dict[str, int]:
    """How many whole batches each model encoded (single samples tell shapes only)."""
    counts: dict[str, int] = {}
    for line in (toys.folder / "forward.log").read_text().splitlines():
        label, size = line.split()
        if int(size) >= 64:
            counts[label] = counts.get(label, 0) + 1
    return counts


MODELS = "".join(
    f'[[models]]\nname = "./logged.py:logged"\nlabel = "{label}"\ntag = "{label}"\n'
    for label in "abcd"
)


def test_k_models_are_k_encodings_of_a_split_in_a_study(toys):
    (toys.folder / "logged.py").write_text(LOGGING)
    probes = "".join(
        f'[[probes]]\nname = "{name}"\n'
        for name in ("./probes.py:Spread", "./probes.py:Distance", "similarity")
    )
    frame = repgeo.run(
        toys.task('[dataset]\nname = "./data.py:blobs"\n' + MODELS + probes), out=toys.out
    )
    assert len(frame) == 4 + 16 + 16
    assert frame["status"].eq("ok").all()
    assert full_batches(toys) == dict.fromkeys("abcd", 1)
    prepared = [line for line in toys.calls() if line.startswith("prepare")]
    assert sorted(prepared) == [f"prepare {label}" for label in "abcd"]


def test_stitching_encodes_both_splits_of_k_models_once(toys):
    (toys.folder / "logged.py").write_text(LOGGING)
    probe = '[[probes]]\nname = "relative_stitching"\nanchors = 6\n'
    text = '[dataset]\nname = "./data.py:blobs"\n' + MODELS + probe
    frame = repgeo.run(toys.task(text), out=toys.out)
    assert frame["status"].eq("ok").all()
    assert full_batches(toys) == dict.fromkeys("abcd", 2)


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(90) % 3
    x = torch.randn(90, 4, generator=generator)
    x[torch.arange(90), y] += 3.0
    return x, y


class Classifier(nn.Module):
    def __init__(self, seed: int, width: int = 5) -> None:
        super().__init__()
        self.calls = 0
        self.encoder = nn.Sequential(nn.Linear(4, width), nn.Dropout(0.5), nn.BatchNorm1d(width))
        self.head = nn.Linear(width, 3)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))

    def forward(self, x):
        self.calls += 1
        return self.head(self.encoder(x))


@pytest.fixture
def models():
    return {"one": Classifier(1), "two": Classifier(2), "three": Classifier(3)}


def test_evaluate_gives_the_columns_of_a_study(models, data):
    frame = repgeo.evaluate(models, [Accuracy(), Similarity()], data, seeds=(0, 1))
    assert list(frame.columns) == list(COLUMNS)
    assert frame["status"].eq("ok").all()
    assert len(frame) == 2 * (3 + 9)
    assert frame[frame["probe"] == "similarity"]["model_b"].nunique() == 3
    accuracy = frame[(frame["probe"] == "accuracy") & (frame["seed"] == 0)]
    with torch.no_grad():
        for label, value in zip(accuracy["model"], accuracy["value"], strict=True):
            output = models[label].eval()(data[0])
            assert value == pytest.approx((output.argmax(1) == data[1]).double().mean().item())


def test_evaluate_takes_one_model_one_probe_and_a_dataset(models, data):
    split = Split(*data)
    frame = repgeo.evaluate(models["one"], Accuracy(), Dataset("blobs", split, split))
    assert frame[["model", "dataset"]].to_numpy().tolist() == [["model", "blobs"]]
    assert frame.attrs["split"] == "the dataset's own"


def test_evaluate_turns_failures_into_rows(models, data):
    class Broken(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError("of no\nuse")

    class Silent(nn.Module):
        def forward(self, x):
            return torch.full((len(x), 3), float("nan"))

    chosen = {"good": models["one"], "broken": Broken(), "silent": Silent()}
    frame = repgeo.evaluate(chosen, Accuracy(), data)
    assert frame["model"].tolist() == ["good", "broken", "silent"]
    assert frame["status"].tolist() == ["ok", "failed", "failed"]
    assert frame["error_type"].tolist() == ["", "ZeroDivisionError", "NonFiniteError"]
    assert frame["error"][1] == "of no use"
    assert frame["value"].isna().tolist() == [False, True, True]


def test_evaluate_says_unsupported(toys, data):
    wants = load("probes", f"{toys.folder}/probes.py:Wants").object()
    frame = repgeo.evaluate({"plain": nn.Identity()}, wants, data)
    assert frame["status"].tolist() == ["unsupported"]


def test_evaluate_puts_models_back_as_they_were(models, data):
    models["one"].train()
    models["two"].eval()
    models["three"].train()
    models["three"].encoder.eval()
    models["three"].head.weight.requires_grad_(False)
    before = {
        label: (
            [part.training for part in model.modules()],
            [parameter.requires_grad for parameter in model.parameters()],
            {name: tensor.clone() for name, tensor in model.state_dict().items()},
        )
        for label, model in models.items()
    }
    models["bad"] = nn.Sequential(nn.Linear(3, 3))  # does not fit the data
    frame = repgeo.evaluate(models, [Accuracy(), Similarity(layer="output")], data)
    assert set(frame["status"]) == {"ok", "failed"}
    for label, (modes, gradients, state) in before.items():
        model = models[label]
        assert [part.training for part in model.modules()] == modes
        assert [parameter.requires_grad for parameter in model.parameters()] == gradients
        for name, tensor in model.state_dict().items():
            assert torch.equal(tensor, state[name])
        assert not any(part._forward_hooks for part in model.modules())


def test_evaluate_leaves_inputs_and_random_numbers_alone(models, data):
    x, y = data[0].clone(), data[1].clone()
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    threads = torch.get_num_threads()
    dtype = torch.get_default_dtype()
    repgeo.evaluate(models, [Accuracy(), Similarity(), RelativeStitching(anchors=8)], data)
    assert torch.equal(data[0], x)
    assert torch.equal(data[1], y)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]
    assert torch.get_num_threads() == threads
    assert torch.get_default_dtype() == dtype


def test_run_leaves_random_numbers_threads_and_paths_alone(toys):
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
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    path = list(sys.path)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        repgeo.run(toys.task(text), out=toys.out)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002
    assert random.getstate() == states[2]
    assert sys.path == path


def test_evaluate_does_not_depend_on_the_global_random_state(models, data):
    frames = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        frames.append(repgeo.evaluate(models, RelativeStitching(anchors=8), data))
    assert frames[0].to_csv() == frames[1].to_csv()


def test_evaluate_encodes_and_prepares_each_model_once(models, data, toys):
    distance = load("probes", f"{toys.folder}/probes.py:Distance").object()
    for model in models.values():
        model.calls = 0
    frame = repgeo.evaluate(models, [Similarity(), distance], data)
    assert len(frame) == 18
    prepared = [line for line in toys.calls() if line.startswith("prepare")]
    assert sorted(prepared) == ["prepare one", "prepare three", "prepare two"]
    # 90 samples are one batch; the forward pass stops at the encoder.
    assert [model.calls for model in models.values()] == [1, 1, 1]


def test_evaluate_splits_where_something_is_fitted(models, data):
    frame = repgeo.evaluate(models["one"], RelativeStitching(anchors=8), data)
    assert "70/30" in frame.attrs["split"]
    given = repgeo.evaluate(models["one"], RelativeStitching(anchors=8), data, train=data)
    assert given.attrs["split"] == "train given"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (({}, Accuracy(), torch.ones(2, 2)), "at least one model and one probe"),
        (({"m": nn.Identity()}, [], torch.ones(2, 2)), "at least one model and one probe"),
        (({"m": nn.Identity()}, [Accuracy], torch.ones(2, 2)), "instances such as Accuracy"),
        ((3, Accuracy(), torch.ones(2, 2)), "A model is an nn.Module or a callable"),
        (({"m": nn.Identity()}, Accuracy(), ["a"]), "Expected a tensor or an array"),
        ((nn.Identity(), Accuracy(), (torch.ones(2), torch.ones(2), 3)), r"\(x, y\)"),
    ],
)
def test_arguments_that_cannot_be_used_are_refused(arguments, words):
    with pytest.raises(InputError, match=words):
        repgeo.evaluate(*arguments)


def test_a_dataset_has_its_own_train_split(models, data):
    split = Split(*data)
    with pytest.raises(ConfigurationError, match="leave out `train`"):
        repgeo.evaluate(models, Accuracy(), Dataset("", split, split), train=data)
