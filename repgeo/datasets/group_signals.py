"""Signals on finite groups: orbit pairs, and the table of products as a classification."""

from __future__ import annotations

import torch

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError
from repgeo.groups import named_group
from repgeo.identity import derive_generator

__all__ = ["composition", "orbit_pairs"]


def orbit_pairs(
    *, seed: int, group: str, train_size: int = 1000, test_size: int = 200, noise: float = 0.0
) -> Dataset:
    """Random complex signals on a group, each with a translate by an element that is not told.

    `x` is `(n, |G|)`, complex128, entries independent with mean squared modulus 1; `moved` is
    x(g .) for a uniform g, plus noise; `element` is g, for those who may know it. `meta["group"]`
    is the group's name. Coordinates are elements, the identity is coordinate 0.

    Parameters
    ----------
    seed
        Decides signals and elements.
    group
        A name as of `repgeo.groups.named_group`: "S3", "C2xC2".
    train_size, test_size
        Numbers of pairs.
    noise
        Standard deviation of the complex noise on `moved`.

    Raises
    ------
    DatasetError
        If a size is not positive, or the noise negative.
    InputError
        If there is no such group.

    References
    ----------
    G. L. Marchetti, C. Hillar, D. Kragic, S. Sanborn, "Harmonics of learning: universal Fourier
    features emerge in invariant networks" (2023), arXiv:2312.08550.

    Examples
    --------
    >>> data = orbit_pairs(seed=0, group="Q8", train_size=3)
    >>> data.train.x.shape, data.meta["group"]
    (torch.Size([3, 8]), 'Q8')
    """
    if noise < 0:
        raise DatasetError(f"orbit_pairs: noise must not be negative, got {noise}.")
    made = named_group(group)
    table = torch.tensor(made.table)
    splits, first = [], 0
    for name, size in (("train", train_size), ("test", test_size)):
        if size < 1:
            raise DatasetError(f"orbit_pairs: {name}_size must be at least 1, got {size}.")
        draws = derive_generator("orbit_pairs", group, name, seed)
        x = torch.randn(size, made.order, dtype=torch.complex128, generator=draws)
        g = torch.randint(made.order, (size,), generator=draws)
        error = torch.randn(size, made.order, dtype=torch.complex128, generator=draws)
        moved = torch.gather(x, 1, table[g]) + noise * error
        ids = torch.arange(first, first + size)
        splits.append(Split(x, None, ids, {"moved": moved, "element": g}))
        first += size
    train, test = splits
    return Dataset("orbit_pairs", train, test, {"group": group, "truth": {"noise": noise}})


def composition(*, seed: int, group: str, train_share: float = 1.0) -> Dataset:
    """Products of a group as a classification: from two elements to their product.

    `x` is `(n, 2, |G|)`, float32, the one-hot vectors of a and b; `y` is a b; ids are a |G| + b.
    `meta["group"]` is the group's name. On C_p this is addition modulo p.

    Parameters
    ----------
    seed
        Decides which products are trained on.
    group
        A name as of `repgeo.groups.named_group`.
    train_share
        The share of all products to train on; the others are the test split. With 1, both splits
        are all products.

    Raises
    ------
    DatasetError
        If the share is not in (0, 1], or leaves a split empty.
    InputError
        If there is no such group.

    Examples
    --------
    >>> data = composition(seed=0, group="C5", train_share=0.8)
    >>> len(data.train), len(data.test), data.input_shape, data.classes
    (20, 5, (2, 5), 5)
    """
    made = named_group(group)
    n = made.order
    train = round(train_share * n * n)
    if not 0 < train_share <= 1 or not train or (train == n * n and train_share < 1):
        raise DatasetError(
            f"composition: train_share must be in (0, 1] and leave pairs for both splits, got "
            f"{train_share} of {n * n} pairs."
        )
    order = torch.randperm(n * n, generator=derive_generator("composition", group, seed))
    one_hot = torch.eye(n)
    pairs = torch.arange(n * n)
    x = torch.stack([one_hot[pairs // n], one_hot[pairs % n]], dim=1)  # (n^2, 2, n)
    whole = Split(x, torch.tensor(made.table).reshape(-1), pairs)
    test = torch.sort(order[train:])[0] if train < n * n else pairs
    classes = tuple(str(label) for label in made.labels)
    return Dataset(
        "composition",
        whole.take(torch.sort(order[:train])[0]),
        whole.take(test),
        {"group": group, "classes": classes},
    )
