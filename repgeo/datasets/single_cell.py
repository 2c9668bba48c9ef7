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

CellTissue: TypeAlias = Literal["olsson", "paul", "planaria", "planaria_stages"]

_TISSUES: Final[tuple[str, ...]] = get_args(CellTissue)
_STAGES: Final = ("neoblasts", "progenitors", "differentiated")

#: The pairs of types whose alignment was published.
_PAIRS: Final = {
    "olsson": (("Mono", "Gran"), ("HSPC-1", "Mono"), ("HSPC-1", "Gran")),
    "paul": (("14Mo", "13Baso"), ("7MEP", "13Baso"), ("7MEP", "14Mo")),
    "planaria": (),
    "planaria_stages": (
        ("neoblasts", "differentiated"),
        ("neoblasts", "progenitors"),
        ("progenitors", "differentiated"),
    ),
}


def single_cell(*, seed: int, tissue: CellTissue = "olsson") -> Dataset:
    """Cells as points of the Poincaré disk, with the type of each.

    `x` is `(n, 2)`, float64, coordinates of a Poincaré map; `y` is `(n,)`, int64, the type;
    `meta["classes"]` names the types, `meta["pairs"]` the pairs of types that were compared in
    print. Both splits hold all cells: nothing is trained.

    =============== ======= ======
    tissue          cells   types
    =============== ======= ======
    olsson          382     9
    paul            2,730   20
    planaria        21,612  51
    planaria_stages 21,612  3
    =============== ======= ======

    The stages of Planaria are "neoblasts" (names that contain "neoblast"), "progenitors" (that
    contain "progenitor"), and "differentiated" (the rest). The published grouping of the 51 labels
    is not known; this one is ours.

    Parameters
    ----------
    seed
        Without effect: nothing is random.
    tissue
        Which measurement.

    Raises
    ------
    DatasetError
        If the file `singlecell_hyperbolic/hyperdga_exp3_<tissue>.npz` (arrays x, group,
        group_names) is missing or damaged, or a point lies outside the disk.

    References
    ----------
    A. Klimovskaia, D. Lopez-Paz, L. Bottou, M. Nickel, "Poincaré maps for analyzing complex
    hierarchies in single-cell data" (2020); the copies are those of A. A. Medbouhi et al.,
    "Hyperbolic Delaunay Geometric Alignment" (2024), arXiv 2404.08608.
    """
    if tissue not in _TISSUES:
        raise DatasetError(f"single_cell: unknown tissue {tissue!r}. {nearest(tissue, _TISSUES)}")
    file = f"hyperdga_exp3_{tissue.partition('_')[0]}.npz"
    path = local_file("single_cell", "singlecell_hyperbolic", file)
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
    if tissue == "planaria_stages":
        stage = np.array([_STAGES.index(_stage(name)) for name in names])
        names, group = _STAGES, stage[group]
    split = Split(torch.from_numpy(points), torch.from_numpy(group))
    meta = {"classes": names, "pairs": _PAIRS[tissue]}
    return Dataset(f"single_cell_{tissue}", split, split, meta)


def _stage(name: str) -> str:
    found = [stem for stem in ("neoblast", "progenitor") if stem in name.lower()]
    return f"{found[0]}s" if found else "differentiated"
