"""Weights in files: written whole, read without unpickling, of the right architecture."""

from __future__ import annotations

import os
import pickle

import pytest
import torch
from torch import nn

from repgeo.errors import CheckpointError, StorageError
from repgeo.models.checkpoints import load_into, load_state, save_state
from repgeo.models.mlp import mlp


def equal(one: dict, other: dict) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def test_a_network_comes_back_bit_for_bit(tmp_path):
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    save_state(net, tmp_path / "net.safetensors")
    state = load_state(tmp_path / "net.safetensors")
    assert equal(state, net.state_dict())
    twin = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).double()
    load_into(twin, state, source="net")
    assert equal(twin.state_dict(), net.state_dict())
    assert os.listdir(tmp_path) == ["net.safetensors"]  # noqa: PTH208 - hidden files too


def test_tied_transposed_and_scalar_tensors(tmp_path):
    matrix = torch.arange(6.0).reshape(2, 3)
    state = {"a": matrix, "tied": matrix, "t": matrix.T, "row": matrix[1], "n": torch.tensor(3)}
    save_state(state, tmp_path / "s.safetensors")
    assert equal(load_state(tmp_path / "s.safetensors"), state)
    assert matrix.T.is_contiguous() is False  # the input is as it was


def test_a_tied_network_comes_back(tmp_path):
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    save_state(net, tmp_path / "net.safetensors")
    load_into(net, load_state(tmp_path / "net.safetensors"), source="net")
    assert net[1].weight is net[0].weight


def test_a_network_without_weights(tmp_path):
    save_state(nn.Flatten(), tmp_path / "none.safetensors")
    assert load_state(tmp_path / "none.safetensors") == {}


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "s.safetensors"
    save_state({"a": torch.zeros(2)}, path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device"):
        save_state({"a": torch.ones(2)}, path)
    assert load_state(path)["a"].tolist() == [0, 0]
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.safetensors"]
    with pytest.raises(StorageError, match="Cannot write"):
        save_state({"a": torch.ones(2)}, tmp_path / "absent" / "s.safetensors")


def test_only_tensors_are_stored(tmp_path):
    with pytest.raises(CheckpointError, match="'a', int: only tensors can be stored"):
        save_state({"a": 3}, tmp_path / "s.safetensors")


class Trap:
    """Unpickling it would leave a file behind."""

    def __init__(self, path) -> None:
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_pickles_are_refused_unopened(tmp_path, protocol):
    sprung = tmp_path / "sprung"
    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap(sprung), protocol=protocol))
    with pytest.raises(CheckpointError, match=r"is a pickle.*weights_only=True") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)
    assert not sprung.exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save_are_refused(tmp_path, zipped):
    path = tmp_path / "model.pt"
    torch.save({"a": torch.ones(3)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"is a pickle, as torch.save writes it"):
        load_state(path)


def test_missing_and_damaged_files(tmp_path):
    path = tmp_path / "s.safetensors"
    with pytest.raises(CheckpointError, match="There is no file"):
        load_state(path)
    with pytest.raises(CheckpointError, match="is a folder"):
        load_state(tmp_path)
    save_state({"a": torch.ones(100)}, path)
    whole = path.read_bytes()
    for length in (0, 4, 20, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="damaged, cut short"):
            load_state(path)


def test_headers_that_look_like_a_pickle_are_read(tmp_path):
    # A safetensors file begins with the length of its header, and 0x80 0x02 is such a length.
    path = tmp_path / "s.safetensors"
    for size in range(400, 640):
        save_state({"a" * size: torch.ones(1)}, path)
        if path.read_bytes()[:2] == b"\x80\x02":
            break
    else:
        pytest.fail("no header had the wanted length")
    assert load_state(path)["a" * size].tolist() == [1]


def test_another_architecture_is_described():
    state = mlp((4,), 3, hidden=(8, 5)).state_dict()
    net = mlp((4,), 3, hidden=(6,))
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_into(net, state, source="old.safetensors")
    message = str(caught.value)
    assert "'old.safetensors' are not those of this EncoderHead" in message
    assert "2 unexpected (encoder.linear2.weight, encoder.linear2.bias)" in message
    assert "encoder.linear1.weight (8, 4) instead of (6, 4)" in message
    assert equal(net.state_dict(), before)
    with pytest.raises(CheckpointError, match=r"4 missing \(encoder.linear1.weight, .*, ...\)"):
        load_into(net, {}, source="empty")


def test_values_are_taken_over_in_the_networks_dtype():
    net = nn.Linear(2, 1).double()
    load_into(net, {"weight": torch.ones(1, 2), "bias": torch.ones(1)}, source="w")
    assert net.weight.dtype == torch.float64
    complex_state = {"weight": torch.ones(1, 2) * 1j, "bias": torch.ones(1)}
    with pytest.raises(CheckpointError, match=r"weight complex \(1, 2\) instead of \(1, 2\)"):
        load_into(net, complex_state, source="w")
