"""A binary tree as bit strings whose Hamming distances are the distances in the tree."""

from __future__ import annotations

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import DatasetError
from repgeo.identity import derive_generator

__all__ = ["binary_tree", "flipped", "tree_ancestors"]


def tree_ancestors(depth: int) -> Tensor:
    """Which nodes lie on the path from the root to each node of the complete binary tree.

    Node i has the children 2i + 1 and 2i + 2. Row i has a one at i and at each ancestor of i, so
    that the Hamming distance of two rows is the distance of the nodes in the tree.

    Parameters
    ----------
    depth
        Number of levels; there are 2^depth - 1 nodes.

    Returns
    -------
    Tensor
        `(nodes, nodes)`, bool.

    Examples
    --------
    >>> tree_ancestors(2).int().tolist()
    [[1, 0, 0], [1, 1, 0], [1, 0, 1]]
    """
    nodes = 2**depth - 1
    node = torch.arange(nodes)
    rows = torch.zeros(nodes, nodes, dtype=torch.bool)
    here = node.clone()
    for _ in range(depth):
        rows[node, here] = True
        here = torch.where(here > 0, (here - 1) // 2, 0)
    return rows


def flipped(bits: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Bits 0 and 1, each flipped independently with probability `share`.

    Drawn on the generator's device, so that one generator gives one answer everywhere.

    Examples
    --------
    >>> flipped(torch.tensor([[0.0, 1.0]]), 1.0, torch.Generator())
    tensor([[1., 0.]])
    """
    flip = torch.rand(bits.shape, generator=generator, device=generator.device) < share
    return torch.where(flip.to(bits.device), 1 - bits, bits)


def binary_tree(
    *,
    seed: int,
    depth: int = 11,
    noise: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99, 1.0),
    reference_noise: float = 0.1,
) -> Dataset:
    """The nodes of a complete binary tree, and copies of them with flipped bits.

    `x` of both splits is the clean tree, `(n, n)` with n = 2^depth - 1, float32: x_ij = 1 where j
    is i or an ancestor of i. `y` is the level of the node, `(n,)`, int64. Arrays of the test split:

    - `tree_distance` `(n, n)`, float32: distances in the tree, which are Hamming distances of x.
    - `reference` `(n, n)`, uint8: x, each bit flipped with probability `reference_noise`.
    - `noisy` `(n, levels, n)`, uint8: x, each bit flipped with the probability of each level.

    `meta["levels"]` names the levels of `noisy`.

    Parameters
    ----------
    seed
        Decides the flips. Each level has its own, so that adding one changes no other.
    depth
        Number of levels of the tree, at most 13.
    noise, reference_noise
        Probabilities.

    Raises
    ------
    DatasetError
        If the depth is not 2 to 13, or a probability is not in [0, 1].

    References
    ----------
    Y. Nagano, S. Yamaguchi, Y. Fujita, M. Koyama, "A Wrapped Normal Distribution on Hyperbolic
    Space for Gradient-Based Learning" (2019), arXiv 1902.02992; A. A. Medbouhi et al., "Hyperbolic
    Delaunay Geometric Alignment" (2024), arXiv 2404.08608: depth 11, flips of .1 to 1.

    Examples
    --------
    >>> data = binary_tree(seed=0, depth=3)
    >>> data.test.tree_distance[3].tolist()  # from the leftmost leaf: itself, its sibling at 2
    [2.0, 1.0, 3.0, 0.0, 2.0, 4.0, 4.0]
    """
    if not 2 <= depth <= 13:
        raise DatasetError(f"binary_tree: depth must lie between 2 and 13, got {depth}.")
    for share in (*noise, reference_noise):
        if not 0 <= share <= 1:
            raise DatasetError(f"binary_tree: a noise level is a probability, got {share}.")
    bits = tree_ancestors(depth).to(torch.uint8)
    sizes = bits.sum(dim=1).double()  # levels from the root, the root's own is 1
    together = bits.double() @ bits.double().T
    distance = sizes[:, None] + sizes[None, :] - 2 * together

    def copy(name: str, share: float) -> Tensor:
        generator = derive_generator("binary_tree", name, repr(share), seed)
        return flipped(bits, share, generator)

    arrays = {
        "tree_distance": distance.float(),
        "reference": copy("reference", reference_noise),
        "noisy": torch.stack([copy("noisy", share) for share in noise], dim=1),
    }
    x, level, ids = bits.float(), sizes.long() - 1, torch.arange(len(bits))
    # The train split goes without the arrays: they would be copied with every batch.
    return Dataset(
        "binary_tree", Split(x, level, ids), Split(x, level, ids, arrays), {"levels": noise}
    )
