"""Single cells in the Poincaré disk: embeddings of three measurements of gene expression."""

from __future__ import annotations

import zipfile
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import torch

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.local_files import local_file
from repgeo.errors import DatasetError, nearest

__all__ = ["CellTissue", "single_cell"]

CellTissue: TypeAlias = Literal["olsson", "paul", "planaria"]

_TISSUES: Final[tuple[str, ...]] = get_args(CellTissue)


def single_cell(*, seed: int, tissue: CellTissue = "olsson", stages: bool = False) -> Dataset:
    """Cells as points of the Poincaré disk, with the type of each.

    `x` is `(n, 2)`, float64, coordinates of a Poincaré map; `y` is `(n,)`, int64, the type;
    `meta["classes"]` names the types. Both splits hold all cells: nothing is trained.

    ========= ======= ======
    tissue    cells   types
    ========= ======= ======
    olsson    382     9
    paul      2,730   20
    planaria  21,612  51
    ========= ======= ======

    Parameters
    ----------
    seed
        Without effect: nothing is random.
    tissue
        Which measurement.
    stages
        Planaria in three classes: "neoblasts" (names that contain "neoblast"), "progenitors"
        (that contain "progenitor"), and "differentiated" (the rest). The published grouping of
        the 51 labels is not known; this one is ours.

    Raises
    ------
    DatasetError
        If the file `singlecell_hyperbolic/hyperdga_exp3_<tissue>.npz` (arrays x, group,
        group_names) is missing or damaged, a point lies outside the disk, or `stages` is asked for
        another tissue.

    References
    ----------
    A. Klimovskaia, D. Lopez-Paz, L. Bottou, M. Nickel, "Poincaré maps for analyzing complex
    hierarchies in single-cell data" (2020); the copies are those of A. A. Medbouhi et al.,
    "Hyperbolic Delaunay Geometric Alignment" (2024), arXiv 2404.08608.
    """
    if tissue not in _TISSUES:
        raise DatasetError(f"single_cell: unknown tissue {tissue!r}. {nearest(tissue, _TISSUES)}")
    if stages and tissue != "planaria":
        raise DatasetError("single_cell: stages are defined for the tissue 'planaria' alone.")
    path = local_file("single_cell", "singlecell_hyperbolic", f"hyperdga_exp3_{tissue}.npz")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            points = np.asarray(arrays["x"], dtype=np.float64)
            group = np.asarray(arrays["group"], dtype=np.int64)
            names = tuple(str(name) for name in arrays["group_names"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DatasetError(f"single_cell: {str(path)!r} cannot be used: {error}.") from error
    fits = points.ndim == 2 and points.shape == (len(group), 2) and group.max() < len(names)
    if not fits or not bool((np.square(points).sum(axis=1) < 1).all()):
        raise DatasetError(
            f"single_cell: {str(path)!r} does not hold points (n, 2) of the open unit disk with "
            "one group each. Get the file anew."
        )
    if stages:
        stage = [
            "neoblasts"
            if "neoblast" in name.lower()
            else "progenitors"
            if "progenitor" in name.lower()
            else "differentiated"
            for name in names
        ]
        names = ("neoblasts", "progenitors", "differentiated")
        group = np.array([names.index(stage[number]) for number in group])
    split = Split(torch.from_numpy(points), torch.from_numpy(group))
    return Dataset(f"single_cell_{tissue}", split, split, {"classes": names})
