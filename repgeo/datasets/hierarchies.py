"""Hierarchies of words: the closure of "is a" as pairs, and distances in the graph."""

from __future__ import annotations

import csv
import gzip
from itertools import combinations
from typing import Final, Literal, TypeAlias, get_args

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import shortest_path
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.local_files import local_file
from repgeo.errors import DatasetError, nearest

__all__ = ["Hierarchy", "covering_pairs", "wordnet"]

Hierarchy: TypeAlias = Literal["mammals", "verbs"]

#: The largest orders of mammals.
_BRANCHES: Final = {
    "mammals": (
        "carnivore.n.01",
        "ungulate.n.01",
        "primate.n.02",
        "rodent.n.01",
        "aquatic_mammal.n.01",
    ),
    "verbs": (),
}
_FILES: Final = {"mammals": "mammal_closure.csv.gz", "verbs": "verb_closure.csv.gz"}


def covering_pairs(pairs: Tensor, nodes: int) -> Tensor:
    """The pairs of a transitive closure that no chain of others implies.

    Parameters
    ----------
    pairs
        (below, above), `(m, 2)`, int64, transitively closed; pairs of a node with itself are
        left out.
    nodes
        How many nodes there are.

    Returns
    -------
    Tensor
        `(k, 2)`, in the order of `pairs`.

    Examples
    --------
    >>> covering_pairs(torch.tensor([[2, 1], [1, 0], [2, 0]]), 3).tolist()
    [[2, 1], [1, 0]]
    """
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    below, above = pairs[:, 0].numpy().copy(), pairs[:, 1].numpy().copy()
    relation = coo_array((np.ones(len(pairs)), (below, above)), shape=(nodes, nodes)).tocsr()
    chains = (relation @ relation)[below, above]
    implied = np.asarray(chains).ravel() > 0
    return pairs[torch.from_numpy(~implied)]


def wordnet(
    *, seed: int, hierarchy: Hierarchy = "mammals", branches: tuple[str, ...] | None = None
) -> Dataset:
    """Nodes of a WordNet hierarchy, with the pairs (word, hypernym) of its closure to train on.

    The train split's `x` is `(pairs, 2)`, int64, (below, above), pairs of a node with itself left
    out. The test split's `x` is `(n, 1)`, int64: the nodes 0 to n - 1, alphabetically; its `y` is
    the branch of a node, and its arrays are `tree_distance` `(n, n)`, float32 (the fewest steps up
    and down between two nodes along covering pairs) and `ancestors` `(n,)`, int64, their number.
    `meta["names"]` are the nodes' names, `meta["nodes"]` is n, `meta["covering"]` the covering
    pairs, `meta["classes"]` the branches and "other", `meta["pairs"]` all pairs of branches.

    Parameters
    ----------
    seed
        Without effect: nothing is random.
    hierarchy
        "mammals" (1,180 nodes, 6,540 pairs with loops) or "verbs" (13,542 nodes; its table of
        distances takes 0.7 GB, and where no path joins two nodes they count as far apart as the
        number of nodes).
    branches
        Nodes; a node belongs to the first of them that it is or lies below. By default the five
        largest orders of mammals, none of verbs.

    Raises
    ------
    DatasetError
        If the file `hierarchies/<name>_closure.csv.gz` (a header, columns id1, id2) is missing or
        damaged, or a branch is not in it.

    References
    ----------
    M. Nickel, D. Kiela, "Poincaré Embeddings for Learning Hierarchical Representations" (2017),
    arXiv 1705.08039.
    """
    if hierarchy not in _FILES:
        known = get_args(Hierarchy)
        raise DatasetError(f"wordnet: unknown hierarchy {hierarchy!r}. {nearest(hierarchy, known)}")
    path = local_file("wordnet", "hierarchies", _FILES[hierarchy])
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
            rows = [(row["id1"], row["id2"]) for row in csv.DictReader(stream)]
    except (OSError, EOFError, KeyError, csv.Error) as error:
        raise DatasetError(f"wordnet: {str(path)!r} cannot be used: {error}.") from error
    names = sorted({name for row in rows for name in row})
    place = {name: number for number, name in enumerate(names)}
    pairs = torch.tensor([[place[below], place[above]] for below, above in rows])
    pairs = pairs[pairs[:, 0] != pairs[:, 1]]
    covering = covering_pairs(pairs, len(names))
    ends = covering.numpy().copy()
    graph = coo_array(
        (np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(names), len(names))
    ).tocsr()
    distance = shortest_path(graph, directed=False, unweighted=True)
    distance[~np.isfinite(distance)] = len(names)
    chosen = _BRANCHES[hierarchy] if branches is None else branches
    for name in chosen:
        if name not in place:
            raise DatasetError(f"wordnet: there is no node {name!r}. {nearest(name, names)}")
    branch = torch.full((len(names),), len(chosen))
    for number in reversed(range(len(chosen))):
        top = place[chosen[number]]
        branch[pairs[pairs[:, 1] == top, 0]] = number
        branch[top] = number
    train = Split(pairs)
    test = Split(
        torch.arange(len(names))[:, None],
        branch,
        arrays={
            "tree_distance": torch.from_numpy(distance).float(),
            "ancestors": torch.bincount(pairs[:, 0], minlength=len(names)),
        },
    )
    meta = {
        "names": tuple(names),
        "nodes": len(names),
        "covering": covering.tolist(),
        "classes": (*chosen, "other"),
        "pairs": tuple(combinations(chosen, 2)),
    }
    return Dataset(f"wordnet_{hierarchy}", train, test, meta)
