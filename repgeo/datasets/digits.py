"""The handwritten digits that come with scikit-learn."""

from __future__ import annotations

import torch

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.splitting import stratified_split

__all__ = ["digits"]


def digits(*, seed: int, test_fraction: float = 0.3) -> Dataset:
    """The 1,797 handwritten digits of scikit-learn, 8 by 8 pixels.

    `x` is `(n, 1, 8, 8)`, float32 in [0, 1] (the 17 grey values 0 to 16, divided by 16); `y` is
    `(n,)`, int64; the ids are the row numbers of the original table.

    Parameters
    ----------
    seed
        Decides the stratified split.
    test_fraction
        Share of the samples that are tested on.

    Raises
    ------
    DatasetError
        If `test_fraction` does not lie between 0 and 1.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning
    Repository (1998); the copy in scikit-learn holds its test set.

    Examples
    --------
    >>> data = digits(seed=0)
    >>> len(data.train) + len(data.test), data.input_shape, data.classes
    (1797, (1, 8, 8), 10)
    """
    from sklearn.datasets import load_digits

    table = load_digits()
    images = torch.from_numpy(table.images).to(torch.float32).unsqueeze(1) / 16  # (n, 1, 8, 8)
    labels = torch.from_numpy(table.target).to(torch.int64)
    train, test = stratified_split(Split(images, labels), test_fraction, seed)
    return Dataset("digits", train, test, {"classes": tuple("0123456789")})
