"""The binary tree, single cells and WordNet as data sets."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from repgeo.datasets.hierarchies import covering_pairs, wordnet
from repgeo.datasets.single_cell import single_cell
from repgeo.datasets.trees import binary_tree, flipped, tree_ancestors
from repgeo.errors import DatasetError

HAS_DATA = (Path(os.environ.get("REPGEO_DATA", "")) / "hierarchies").is_dir()
needs_data = pytest.mark.skipif(not HAS_DATA, reason="REPGEO_DATA names no folder with the data")


def steps(i: int, j: int) -> int:
    """Distance of two nodes of the tree, by walking up."""
    count = 0
    while i != j:
        if i > j:
            i = (i - 1) // 2
        else:
            j = (j - 1) // 2
        count += 1
    return count


def test_hamming_distances_are_those_of_the_tree() -> None:
    data = binary_tree(seed=0, depth=5)
    hamming = (data.test.x[:, None] != data.test.x[None, :]).sum(dim=-1)
    walked = torch.tensor([[steps(i, j) for j in range(31)] for i in range(31)])
    assert torch.equal(hamming, walked)
    assert torch.equal(data.test.tree_distance, walked.float())
    assert torch.equal(data.test.y, walked[0])


def test_flips_have_their_share_and_each_level_its_own() -> None:
    data = binary_tree(seed=0, depth=9, noise=(0.1, 0.5, 1.0))
    bits = data.test.x.bool()
    shares = [(data.test.noisy[:, k].bool() != bits).double().mean().item() for k in range(3)]
    spread = [5 * (share * (1 - share) / bits.numel()) ** 0.5 for share in (0.1, 0.5)]
    assert abs(shares[0] - 0.1) < spread[0]
    assert abs(shares[1] - 0.5) < spread[1]
    assert shares[2] == 1.0
    other = binary_tree(seed=0, depth=9, noise=(0.5,))
    assert torch.equal(other.test.noisy[:, 0], data.test.noisy[:, 1])
    assert not torch.equal(binary_tree(seed=1, depth=9).test.reference, data.test.reference)


def test_no_flip_is_a_copy() -> None:
    bits = tree_ancestors(3).float()
    assert torch.equal(flipped(bits, 0.0, torch.Generator()), bits)


@pytest.mark.parametrize(
    ("keys", "message"),
    [({"depth": 14}, "between 2 and 13"), ({"noise": (1.5,)}, "is a probability, got 1.5")],
)
def test_impossible_trees_are_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        binary_tree(seed=0, **keys)  # type: ignore[arg-type]


def test_covering_pairs_of_a_closure() -> None:
    # a chain 3 > 2 > 1 > 0 and a second parent 4 of 3
    closure = torch.tensor([[3, 2], [2, 1], [1, 0], [3, 1], [2, 0], [3, 0], [3, 4], [3, 3]])
    assert covering_pairs(closure, 5).tolist() == [[3, 2], [2, 1], [1, 0], [3, 4]]


def written(folder: Path, text: str) -> None:
    (folder / "hierarchies").mkdir()
    with gzip.open(folder / "hierarchies" / "mammal_closure.csv.gz", "wt") as stream:
        stream.write(text)


def test_wordnet_from_a_small_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path, "id1,id2,weight\ncat,animal,1\ncat,mammal,1\nmammal,animal,1\nant,animal,1\n")
    monkeypatch.setenv("REPGEO_DATA", str(tmp_path))
    data = wordnet(seed=0, branches=("mammal", "ant"))
    assert data.test.y.tolist() == [2, 1, 0, 0]
    assert data.meta["pairs"] == (("mammal", "ant"),)
    with pytest.raises(DatasetError, match="no node 'mamal'"):
        wordnet(seed=0, branches=("mamal",))
    assert data.meta["names"] == ("animal", "ant", "cat", "mammal")
    assert data.train.x.tolist() == [[2, 0], [2, 3], [3, 0], [1, 0]]
    assert data.meta["covering"] == [[2, 3], [3, 0], [1, 0]]
    assert data.test.tree_distance[2].tolist() == [2, 3, 0, 1]
    assert data.test.ancestors.tolist() == [0, 1, 2, 1]


def test_files_that_are_missing_or_damaged_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPGEO_DATA", str(tmp_path))
    with pytest.raises(DatasetError, match=r"there is no file mammal_closure\.csv\.gz"):
        wordnet(seed=0)
    written(tmp_path, "a,b\n1,2\n")
    with pytest.raises(DatasetError, match="cannot be used"):
        wordnet(seed=0)
    folder = tmp_path / "singlecell_hyperbolic"
    folder.mkdir()
    np.savez(
        folder / "hyperdga_exp3_olsson.npz",
        x=np.array([[1.0, 0.0]]),
        group=np.array([0]),
        group_names=np.array(["a"]),
    )
    with pytest.raises(DatasetError, match="open unit disk"):
        single_cell(seed=0)
    with pytest.raises(DatasetError, match="unknown tissue 'pual'"):
        single_cell(seed=0, tissue="pual")  # type: ignore[arg-type]
    monkeypatch.delenv("REPGEO_DATA")
    with pytest.raises(DatasetError, match="REPGEO_DATA is not set"):
        single_cell(seed=0)


@needs_data
def test_the_real_ones_have_their_sizes() -> None:
    mammals = wordnet(seed=0)
    assert (len(mammals.test), len(mammals.train)) == (1180, 6540)
    for tissue, cells, types in (("olsson", 382, 9), ("paul", 2730, 20), ("planaria", 21612, 51)):
        data = single_cell(seed=0, tissue=tissue)  # type: ignore[arg-type]
        assert (len(data.test), data.classes) == (cells, types)
    stages = single_cell(seed=0, tissue="planaria_stages")
    assert stages.meta["classes"] == ("neoblasts", "progenitors", "differentiated")
    for tissue in ("olsson", "paul", "planaria_stages"):
        data = single_cell(seed=0, tissue=tissue)  # type: ignore[arg-type]
        assert {name for pair in data.meta["pairs"] for name in pair} <= set(data.meta["classes"])
