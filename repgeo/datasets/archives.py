"""MNIST, Fashion-MNIST and CIFAR-10, from files in a local folder or from OpenML."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.local_files import FOLDER_VARIABLE, local_file
from repgeo.datasets.splitting import stratified_choice
from repgeo.errors import DatasetError, MissingExtraError

__all__ = ["FOLDER_VARIABLE", "cifar10", "fashion_mnist", "mnist"]

Source: TypeAlias = Literal["local", "openml"]
_Bytes: TypeAlias = NDArray[np.uint8]
_Sizes: TypeAlias = tuple[int | None, int | None]


def mnist(
    *,
    seed: int,
    train_size: int | None = None,
    test_size: int | None = None,
    source: Source = "local",
) -> Dataset:
    """MNIST: handwritten digits, 28 by 28 pixels, 60,000 to train and 10,000 to test.

    `x` is `(n, 1, 28, 28)`, float32 in [0, 1]; `y` is `(n,)`, int64; ids are positions in the
    official order, 0 to 59,999 for train and 60,000 to 69,999 for test.

    Parameters
    ----------
    seed
        Decides which samples are in a subset.
    train_size, test_size
        How many samples to take, each class in its proportion; all by default. The official splits
        are kept: train samples come from the train split.
    source
        "local" reads `mnist/mnist.npz` (arrays x_train, y_train, x_test, y_test) under the folder
        that the environment variable REPGEO_DATA names; "openml" downloads by scikit-learn.

    Raises
    ------
    DatasetError
        If the file is missing, damaged or of another shape, or the download fails.

    References
    ----------
    Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-based learning applied to document
    recognition" (1998).
    """
    return _images(_MNIST, seed, (train_size, test_size), source)


def fashion_mnist(
    *,
    seed: int,
    train_size: int | None = None,
    test_size: int | None = None,
    source: Source = "local",
) -> Dataset:
    """Fashion-MNIST: pictures of clothes, 28 by 28 pixels, 60,000 to train and 10,000 to test.

    Shapes, ids, parameters and errors are those of `mnist`; the local file is
    `fashion_mnist/fashion_mnist.npz`.

    References
    ----------
    H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
    Learning Algorithms" (2017), arXiv:1708.07747.
    """
    return _images(_FASHION_MNIST, seed, (train_size, test_size), source)


def cifar10(
    *,
    seed: int,
    train_size: int | None = None,
    test_size: int | None = None,
    source: Source = "local",
) -> Dataset:
    """CIFAR-10: colour pictures, 32 by 32 pixels, 50,000 to train and 10,000 to test.

    `x` is `(n, 3, 32, 32)`, float32 in [0, 1]; `y` is `(n,)`, int64; ids are positions in the
    official order, 0 to 49,999 for train and 50,000 to 59,999 for test.

    The local copy is lossy: its images went through JPEG at quality 75, so the dataset is named
    `cifar10_jpeg_q75` and says so in `meta["encoding"]`. Decoders may differ by one grey level, and
    the digest with them. `source = "openml"` gives the pictures without loss, as `cifar10`.

    Parameters
    ----------
    seed, train_size, test_size
        As for `mnist`.
    source
        "local" reads `cifar10/cifar10_jpeg_q75.npz` (one JPEG header for all, payloads, offsets,
        labels) under the folder that REPGEO_DATA names; "openml" downloads by scikit-learn.

    Raises
    ------
    DatasetError
        As for `mnist`.
    MissingExtraError
        If the package pillow, which decodes the local copy, is not installed.

    References
    ----------
    A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009).
    """
    return _images(_CIFAR10, seed, (train_size, test_size), source)


@dataclass(frozen=True)
class _Raw:
    """Labels of all samples, train before test, and how to get the images of some of them."""

    labels: NDArray[np.int64]  # (n,)
    images: Callable[[NDArray[np.int64]], _Bytes]  # positions (k,) -> (k, channels, height, width)


@dataclass(frozen=True)
class _Archive:
    name: str
    file: str
    openml: str  # the name there, in version 1
    shape: tuple[int, int, int]  # channels, height, width
    sizes: tuple[int, int]  # train, test
    classes: tuple[str, ...]
    unpack: Callable[[_Archive, Path, Mapping[str, NDArray[np.generic]]], _Raw]
    local_name: str
    local_meta: Mapping[str, str]


def _images(archive: _Archive, seed: int, sizes: _Sizes, source: Source) -> Dataset:
    raw = _from_openml(archive) if source == "openml" else _from_file(archive)
    if len(raw.labels) != sum(archive.sizes):
        raise DatasetError(
            f"{archive.name}: {len(raw.labels)} samples were found where {sum(archive.sizes)} "
            "should be: the copy is not complete."
        )
    splits = []
    for first, whole, key, size in zip(
        (0, archive.sizes[0]), archive.sizes, ("train", "test"), sizes, strict=True
    ):
        labels = torch.from_numpy(raw.labels[first : first + whole])
        ids = torch.arange(first, first + whole)
        if size is not None:
            if not 1 <= size <= whole:
                raise DatasetError(
                    f"{archive.name}: {key}_size must lie between 1 and {whole}, got {size}."
                )
            chosen = stratified_choice(labels, ids, size, archive.name, key, seed)
            labels, ids = labels[chosen], ids[chosen]
        pixels = torch.from_numpy(raw.images(ids.numpy()))
        splits.append(Split(pixels.to(torch.float32).div_(255), labels, ids))
    meta: dict[str, object] = {"classes": archive.classes, "source": source}
    if source == "local":
        meta |= archive.local_meta
    name = archive.local_name if source == "local" else archive.name
    return Dataset(name, splits[0], splits[1], meta)


def _from_file(archive: _Archive) -> _Raw:
    path = local_file(
        archive.name,
        archive.name,
        archive.file,
        otherwise=', or write source = "openml" to download it',
    )
    try:
        with path.open("rb") as stream:
            arrays = np.load(stream, allow_pickle=False)
            if not isinstance(arrays, np.lib.npyio.NpzFile):
                raise ValueError("it holds one array")
            return archive.unpack(archive, path, dict(arrays))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        text = f"it has no array {error}" if isinstance(error, KeyError) else str(error)
        raise DatasetError(
            f"{archive.name}: {str(path)!r} cannot be used: {text.rstrip('.')}. Get the file anew, "
            'or write source = "openml".'
        ) from error


def _unpack_arrays(
    archive: _Archive, path: Path, arrays: Mapping[str, NDArray[np.generic]]
) -> _Raw:
    shape = archive.shape[1:]
    parts = []
    for split, size in zip(("train", "test"), archive.sizes, strict=True):
        images = arrays[f"x_{split}"]
        if images.dtype != np.uint8 or images.shape != (size, *shape):
            raise ValueError(
                f"x_{split} should be uint8 of shape {(size, *shape)}, got {images.dtype} of "
                f"shape {images.shape}"
            )
        parts.append(images)
    labels = np.concatenate([arrays["y_train"], arrays["y_test"]]).astype(np.int64)
    pixels = np.concatenate(parts).reshape(-1, *archive.shape)  # (n, 1, height, width)
    return _Raw(labels, lambda rows: pixels[rows].astype(np.uint8))


def _unpack_jpegs(archive: _Archive, path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> _Raw:
    header = arrays["header"].tobytes()
    payload = arrays["payload"].tobytes()
    offsets = arrays["offsets"].astype(np.int64)
    labels = arrays["y"].astype(np.int64)
    if len(offsets) != len(labels) + 1 or offsets[-1] != len(payload):
        raise ValueError("its offsets do not fit its payload")

    def decode(rows: NDArray[np.int64]) -> _Bytes:
        try:
            from PIL import Image
        except ModuleNotFoundError:
            raise MissingExtraError("pillow", "plots", f"Reading {path.name}") from None
        height, width = archive.shape[1:]
        pixels = np.empty((len(rows), height, width, 3), dtype=np.uint8)
        for position, row in enumerate(rows):
            jpeg = header + payload[offsets[row] : offsets[row + 1]]
            try:
                with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as image:
                    pixels[position] = np.asarray(image)  # (height, width, 3)
            except (OSError, ValueError) as error:
                raise DatasetError(
                    f"{archive.name}: image {row} of {str(path)!r} cannot be decoded: {error}."
                ) from error
        return np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))  # (k, 3, height, width)

    return _Raw(labels, decode)


def _from_openml(archive: _Archive) -> _Raw:
    from sklearn.datasets import fetch_openml

    try:
        table = fetch_openml(archive.openml, version=1, as_frame=False)
    except (OSError, ValueError) as error:
        raise DatasetError(
            f"{archive.name}: the download of {archive.openml!r} from OpenML failed with "
            f"{type(error).__name__}: {error}. Without a network, set {FOLDER_VARIABLE} to the "
            f'folder that holds {archive.name}/{archive.file} and write source = "local".'
        ) from error
    pixels = np.asarray(table.data)
    columns = int(np.prod(archive.shape))
    if pixels.ndim != 2 or pixels.shape[1] != columns:
        raise DatasetError(
            f"{archive.name}: OpenML's {archive.openml!r} has the shape {pixels.shape}; expected "
            f"{columns} columns."
        )
    # Labels are strings, "0" to "9". By convention the rows are in the official order, the train
    # split first; OpenML itself does not mark the splits.
    labels = np.asarray(table.target).astype(np.int64)
    return _Raw(labels, lambda rows: pixels[rows].astype(np.uint8).reshape(-1, *archive.shape))


_MNIST = _Archive(
    name="mnist",
    file="mnist.npz",
    openml="mnist_784",
    shape=(1, 28, 28),
    sizes=(60000, 10000),
    classes=tuple("0123456789"),
    unpack=_unpack_arrays,
    local_name="mnist",
    local_meta={},
)

_FASHION_MNIST = _Archive(
    name="fashion_mnist",
    file="fashion_mnist.npz",
    openml="Fashion-MNIST",
    shape=(1, 28, 28),
    sizes=(60000, 10000),
    classes=(
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
    unpack=_unpack_arrays,
    local_name="fashion_mnist",
    local_meta={},
)

_CIFAR10 = _Archive(
    name="cifar10",
    file="cifar10_jpeg_q75.npz",
    openml="CIFAR_10",
    shape=(3, 32, 32),
    sizes=(50000, 10000),
    classes=(
        "airplane",
        "automobile",
        "bird",
        "cat",
        "deer",
        "dog",
        "frog",
        "horse",
        "ship",
        "truck",
    ),
    unpack=_unpack_jpegs,
    local_name="cifar10_jpeg_q75",
    local_meta={"encoding": "JPEG, quality 75 (lossy)"},
)
