"""MNIST, Fashion-MNIST and CIFAR-10: real files where they are, small and false ones elsewhere."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest
import sklearn.datasets
import torch

from repgeo.datasets import archives
from repgeo.datasets.archives import cifar10, fashion_mnist, mnist
from repgeo.errors import DatasetError, MissingExtraError

MAKERS = {"mnist": mnist, "fashion_mnist": fashion_mnist, "cifar10": cifar10}
FILES = {
    "mnist": "mnist.npz",
    "fashion_mnist": "fashion_mnist.npz",
    "cifar10": "cifar10_jpeg_q75.npz",
}


def real(name: str) -> pytest.MarkDecorator:
    place = Path(os.environ.get(archives.FOLDER_VARIABLE, "")) / name / FILES[name]
    there = archives.FOLDER_VARIABLE in os.environ and place.is_file()
    return pytest.mark.skipif(not there, reason=f"REPGEO_DATA does not hold {name}")


@pytest.mark.parametrize("name", [pytest.param(name, marks=real(name)) for name in MAKERS])
def test_real_archives(name):
    data = MAKERS[name](seed=0, train_size=200, test_size=100)
    shape = (3, 32, 32) if name == "cifar10" else (1, 28, 28)
    trained = 50000 if name == "cifar10" else 60000
    assert data.input_shape == shape
    assert data.classes == 10
    assert (len(data.train), len(data.test)) == (200, 100)
    assert int(data.train.ids.max()) < trained <= int(data.test.ids.min())
    assert 0 <= float(data.train.x.min()) < float(data.train.x.max()) <= 1
    # The official splits hold about a tenth of each class.
    assert data.train.y.bincount().sub(20).abs().max() <= 4
    assert data.digest == MAKERS[name](seed=0, train_size=200, test_size=100).digest
    assert data.digest != MAKERS[name](seed=1, train_size=200, test_size=100).digest


@real("mnist")
def test_whole_mnist_has_the_known_class_counts():
    data = mnist(seed=0)
    train = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    test = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.train.y.bincount().tolist() == train
    assert data.test.y.bincount().tolist() == test
    # The mean of the train pixels that is quoted everywhere for normalisation.
    assert float(data.train.x.mean(dtype=torch.float64)) == pytest.approx(0.1307, abs=5e-5)


@real("cifar10")
def test_the_local_cifar10_says_that_it_is_lossy():
    data = cifar10(seed=0, train_size=10, test_size=10)
    assert data.name == "cifar10_jpeg_q75"
    assert "JPEG" in data.meta["encoding"]


@real("cifar10")
def test_cifar10_without_pillow_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"'pillow'.*repgeo\[plots\]"):
        cifar10(seed=0, train_size=10, test_size=10)


def test_without_the_variable_the_remedy_is_named(monkeypatch):
    monkeypatch.delenv(archives.FOLDER_VARIABLE, raising=False)
    with pytest.raises(DatasetError, match="REPGEO_DATA is not set") as caught:
        mnist(seed=0)
    message = str(caught.value)
    assert "mnist/mnist.npz" in message
    assert 'source = "openml"' in message
    assert "\n" not in message


def test_a_missing_file_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv(archives.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(
        DatasetError, match=r"no file fashion_mnist.npz; it was looked for"
    ) as caught:
        fashion_mnist(seed=0)
    message = str(caught.value)
    assert str(tmp_path / "fashion_mnist" / "fashion_mnist.npz") in message
    assert "Set REPGEO_DATA" in message
    assert "\n" not in message


def local(monkeypatch, tmp_path, **arrays) -> Path:
    monkeypatch.setenv(archives.FOLDER_VARIABLE, str(tmp_path))
    path = tmp_path / "mnist" / "mnist.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)
    return path


def test_damaged_files_are_named(monkeypatch, tmp_path):
    path = local(monkeypatch, tmp_path, x_train=np.zeros((2, 28, 28), dtype=np.uint8))
    with pytest.raises(DatasetError, match=r"x_train should be uint8 of shape \(60000, 28, 28\)"):
        mnist(seed=0)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(DatasetError, match="it has no array 'x_train'"):
        mnist(seed=0)
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(DatasetError, match="cannot be used"):
        mnist(seed=0)
    np.savez(path, x_train=np.array([object()], dtype=object))
    with pytest.raises(DatasetError, match="cannot be used: Object arrays cannot be loaded"):
        mnist(seed=0)


def fetched(rows: int, columns: int, marked: dict[int, int]):
    """What fetch_openml gives: numbers in columns, labels as strings."""
    pixels = np.zeros((rows, columns), dtype=np.int64)
    for row, value in marked.items():
        pixels[row] = value
    labels = np.array([str(row % 10) for row in range(rows)], dtype=object)
    return SimpleNamespace(data=pixels, target=labels)


def test_openml_rows_are_split_as_is_the_custom(monkeypatch):
    asked = []

    def fetch(name, **options):
        asked.append((name, options))
        return fetched(70000, 784, {0: 51, 59999: 102, 60000: 255, 69999: 204})

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", fetch)
    data = mnist(seed=0, source="openml", train_size=None, test_size=None)
    assert asked == [("mnist_784", {"version": 1, "as_frame": False})]
    assert (len(data.train), len(data.test)) == (60000, 10000)
    assert data.train.x.shape[1:] == (1, 28, 28)
    corners = [data.train.x[0], data.train.x[-1], data.test.x[0], data.test.x[-1]]
    assert [round(float(x.mean()), 6) for x in corners] == [0.2, 0.4, 1.0, 0.8]
    assert data.train.y[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert data.name == "mnist"


def test_openml_cifar10_is_channel_by_channel(monkeypatch):
    table = fetched(60000, 3072, {})
    table.data = table.data.astype(np.uint8)
    table.data[50000] = np.arange(3072) // 1024 * 51  # red 0, green 51, blue 102
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda name, **options: table)
    data = cifar10(seed=0, source="openml", train_size=10)
    assert data.name == "cifar10"
    assert "encoding" not in data.meta
    assert data.test.x[0].mean(dim=(1, 2)).tolist() == pytest.approx([0.0, 0.2, 0.4])


def test_openml_failures_are_named(monkeypatch):
    def offline(name, **options):
        raise URLError("no route to host")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", offline)
    with pytest.raises(DatasetError, match="'Fashion-MNIST' from OpenML failed with URLError"):
        fashion_mnist(seed=0, source="openml")
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *a, **k: fetched(70, 784, {}))
    with pytest.raises(DatasetError, match="70 samples were found where 70000 should be"):
        mnist(seed=0, source="openml")
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *a, **k: fetched(70, 5, {}))
    with pytest.raises(DatasetError, match="expected 784 columns"):
        mnist(seed=0, source="openml")


def test_impossible_sizes_are_refused(monkeypatch):
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *a, **k: fetched(70000, 784, {}))
    with pytest.raises(DatasetError, match="test_size must lie between 1 and 10000, got 10001"):
        mnist(seed=0, source="openml", test_size=10001, train_size=10)


def test_an_image_that_cannot_be_decoded_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv(archives.FOLDER_VARIABLE, str(tmp_path))
    path = tmp_path / "cifar10" / "cifar10_jpeg_q75.npz"
    path.parent.mkdir()
    labels = np.arange(60000, dtype=np.uint8) % 10
    offsets = np.arange(60001, dtype=np.int32)
    empty = np.zeros(4, dtype=np.uint8)
    np.savez(path, header=empty, payload=np.zeros(60000, np.uint8), offsets=offsets, y=labels)
    with pytest.raises(DatasetError, match=r"cifar10: image \d+ of .* cannot be decoded"):
        cifar10(seed=0, train_size=10, test_size=10)
    np.savez(path, header=empty, payload=empty, offsets=offsets, y=labels)
    with pytest.raises(DatasetError, match="its offsets do not fit its payload"):
        cifar10(seed=0)
