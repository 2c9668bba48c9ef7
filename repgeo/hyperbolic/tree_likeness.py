"""How near a metric space is to a tree."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from repgeo.errors import InputError

__all__ = ["gromov_delta"]

_SYMMETRY = 1e-6  # of the largest distance


def gromov_delta(
    distances: NDArray[np.floating], *, bases: NDArray[np.integer] | None = None
) -> float:
    r"""The hyperbolicity of Gromov of a finite metric space: 0 exactly for trees.

    With the product (x \| y)_b = (d(x, b) + d(y, b) - d(x, y)) / 2 it is

        delta = max over b, x, y of [max over z of min((x \| z)_b, (z \| y)_b)] - (x \| y)_b,

    which is also half the largest difference of the two larger ones of d(x, y) + d(z, w),
    d(x, z) + d(y, w), d(x, w) + d(y, z). With only some base points b it is a lower bound, and
    already one base point gives at least half of it.

    Parameters
    ----------
    distances
        `(n, n)`, symmetric, zero on the diagonal, not negative.
    bases
        Positions of base points `(k,)`; all points by default.

    Returns
    -------
    float
        In the unit of the distances.

    Raises
    ------
    InputError
        If the matrix is not one of distances, or a base point does not exist.

    Notes
    -----
    O(k n^3) time, O(n^2) memory. Source: Gromov 1987, "Hyperbolic groups"; Fournier, Ismail,
    Vigneron 2015 (arXiv 1210.3323) for the product of matrices.

    Examples
    --------
    A cycle of four unit edges, d(x, z) = 2 across: (2 + 2 - (1 + 1)) / 2.

    >>> import numpy as np
    >>> ring = np.array([[0, 1, 2, 1], [1, 0, 1, 2], [2, 1, 0, 1], [1, 2, 1, 0.0]])
    >>> gromov_delta(ring)
    1.0
    """
    wide = np.asarray(distances, dtype=np.float64)
    if wide.ndim != 2 or wide.shape[0] != wide.shape[1] or len(wide) == 0:
        raise InputError(f"Distances are a square matrix, got the shape {wide.shape}.")
    size = float(np.abs(wide).max())
    if not np.isfinite(size) or (wide < 0).any() or np.abs(np.diag(wide)).max() > _SYMMETRY * size:
        raise InputError("Distances must be finite, not negative, and zero on the diagonal.")
    if np.abs(wide - wide.T).max() > _SYMMETRY * size:
        raise InputError("The matrix of distances is not symmetric.")
    chosen = np.arange(len(wide)) if bases is None else np.asarray(bases)
    if len(chosen) == 0 or chosen.min() < 0 or chosen.max() >= len(wide):
        raise InputError(f"Base points must be positions below {len(wide)}, at least one.")
    return max(_from_base(wide, int(base)) for base in chosen)


def _from_base(distances: NDArray[np.float64], base: int) -> float:
    from_base = distances[base]
    product = (from_base[:, None] + from_base[None, :] - distances) / 2  # (n, n)
    worst = 0.0
    for row in product:  # max over z of min(row[z], product[z, y]), for all y at once
        best = np.minimum(row[:, None], product).max(axis=0)
        worst = max(worst, float((best - row).max()))
    return worst
