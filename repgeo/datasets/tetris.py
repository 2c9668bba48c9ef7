"""The eight shapes of four cubes, two of them mirror images, in one pose and in random poses."""

from __future__ import annotations

from typing import Final, Literal

import torch

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.group_motion import move_each
from repgeo.errors import DatasetError
from repgeo.groups import SE3, representation_of
from repgeo.identity import derive_generator

__all__ = ["SHAPES", "tetris"]

#: The centres of the cubes. The first two are mirror images of each other.
SHAPES: Final[dict[str, tuple[tuple[int, int, int], ...]]] = {
    "chiral": ((0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 1, 0)),
    "mirrored": ((0, 0, 0), (0, 0, 1), (1, 0, 0), (1, -1, 0)),
    "square": ((0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)),
    "line": ((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 0, 3)),
    "corner": ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)),
    "L": ((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 0)),
    "T": ((0, 0, 0), (0, 0, 1), (0, 0, 2), (0, 1, 1)),
    "zigzag": ((0, 0, 0), (1, 0, 0), (1, 1, 0), (2, 1, 0)),
}


def tetris(
    *,
    seed: int,
    copies: int = 20,
    translation: float = 1.0,
    test_pose: Literal["random", "canonical"] = "random",
) -> Dataset:
    """Eight shapes of four points: trained on in one pose, tested in random ones.

    `x` is `(n, 4, 3)`, float32, in edges of a cube; `y` is `(n,)`, int64. The train split is the
    eight shapes as they are written; the test split is `copies` of each, rotated by Haar and
    shifted by normal vectors; the array `orbit` is the shape. `meta["group"]` is SE3, which acts on
    the points and leaves the class alone; a reflection exchanges the first two classes.

    Parameters
    ----------
    seed
        Decides the poses.
    copies
        Test samples of each shape.
    translation
        Standard deviation of each coordinate of the translations.
    test_pose
        "canonical": the test samples stand as the train samples do.

    Raises
    ------
    DatasetError
        If there is no copy, or the deviation is negative.

    References
    ----------
    M. Geiger, T. Smidt, "e3nn: Euclidean neural networks" (2022), arXiv:2207.09453, and its
    tutorial; N. Thomas et al., "Tensor field networks" (2018), arXiv:1802.08219.

    Examples
    --------
    >>> data = tetris(seed=0)
    >>> len(data.train), len(data.test), data.input_shape, data.classes
    (8, 160, (4, 3), 8)
    """
    if copies < 1 or translation < 0:
        raise DatasetError(
            f"tetris: copies must be at least 1 and translation not negative, got {copies} and "
            f"{translation}."
        )
    points = torch.tensor(list(SHAPES.values()), dtype=torch.float32)  # (8, 4, 3)
    labels = torch.arange(len(points))
    y = labels.repeat_interleave(copies)
    x = points[y]
    if test_pose == "random":
        group = SE3(translation)
        draws = derive_generator("tetris", "test", seed)
        moved, _ = move_each(x, group, representation_of("points", group), draws)
        assert isinstance(moved, torch.Tensor)
        x = moved
    meta = {
        "classes": tuple(SHAPES),
        "group": "SE3",
        "action": "points",
        "rep_out": "invariant",
        "truth": {"mirror_pair": [0, 1]},
    }
    ids = len(labels) + torch.arange(len(y))
    train = Split(points, labels, arrays={"orbit": labels})
    return Dataset("tetris", train, Split(x, y, ids, {"orbit": y}), meta)
