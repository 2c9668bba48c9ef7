from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from repgeo.errors import InputError
from repgeo.groups import (
    associativity_rate,
    candidate_dimensions,
    decode_table,
    discover_group,
    expected_invariance_loss,
    homomorphism_error,
    identify_group,
    irreps,
    latin_rate,
    named_group,
    pair_moments,
    pairs_invariance_loss,
    recover_table,
    spectral_outputs,
    spectral_regulariser,
)

DRAWS = torch.Generator


def blocks_of(name, noise=0.0, seed=0):
    draws = DRAWS().manual_seed(seed)
    return [
        rho.matrices
        + noise * torch.randn(rho.matrices.shape, dtype=torch.complex128, generator=draws)
        for rho in irreps(named_group(name))
    ]


def by_three_loops(blocks, metric):
    n = len(blocks[0])
    table = np.zeros((n, n), dtype=int)
    for g, h in itertools.product(range(n), repeat=2):
        distances = []
        for k in range(n):
            total = 0.0
            for R in blocks:
                d = R.shape[-1]
                squared = float((R[g] @ R[h] - R[k]).abs().square().sum())
                total += squared * (d if metric == "plancherel" else 1 / d**2)
            distances.append(total)
        table[g, h] = int(np.argmin(distances))
    return table


@pytest.mark.parametrize("metric", ["plancherel", "published"])
@pytest.mark.parametrize("name", ["C6", "S3", "Q8", "A4"])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_tables_are_those_of_the_triple_loop(name, metric, noise):
    blocks = blocks_of(name, noise)
    assert (decode_table(blocks, metric=metric)[0] == by_three_loops(blocks, metric)).all()


def test_the_table_of_the_symmetric_group_of_five():
    group = named_group("S5")
    found = recover_table([rho.matrices for rho in group.irreps], known=group)
    assert found.cell_accuracy == 1
    assert found.certified
    # Distances are roots of differences of squares: rounding of 1e-13 shows as its root.
    assert np.abs(found.margin - 1).max() < 1e-6


def test_errors_by_their_definitions():
    blocks = blocks_of("S3", 0.1)
    group = named_group("S3")
    found = recover_table(blocks, known=group)
    errors = [
        float((R[g] @ R[h] - R[group.table[g, h]]).norm())
        for R in blocks
        for g, h in itertools.product(range(6), repeat=2)
    ]
    assert found.homomorphism_error == pytest.approx(max(errors), rel=1e-12)
    unit = [float((R[g] @ R[g].mH - torch.eye(len(R[g]))).norm()) for R in blocks for g in range(6)]
    assert found.unitarity_error == pytest.approx(max(unit), rel=1e-12)
    assert found.group is not None
    assert identify_group(found.group) == "S3"


def test_rates_of_a_table_that_is_none():
    table = np.array([[0, 1, 2], [1, 2, 0], [2, 0, 0]])
    assert latin_rate(table) == pytest.approx(4 / 6)
    triples = list(itertools.product(range(3), repeat=3))
    good = sum(table[table[a, b], c] == table[a, table[b, c]] for a, b, c in triples)
    assert associativity_rate(table) == pytest.approx(good / 27)
    blocks = [
        R + 2.0 * torch.randn(R.shape, generator=DRAWS().manual_seed(1)) for R in blocks_of("S3")
    ]
    found = recover_table(blocks)
    assert found.group is None
    assert found.certificate is None
    assert found.cell_accuracy is None
    assert found.latin < 1


def test_a_network_of_the_opposite_action_has_the_opposite_table():
    for name in ("S3", "Q8", "A4"):
        group = named_group(name)
        found = recover_table([R.mH for R in blocks_of(name)], known=group)
        assert (found.table == group.table.T).all()
        assert found.cell_accuracy < 1


def test_blocks_that_are_none():
    with pytest.raises(InputError, match="At least one block"):
        recover_table([])
    with pytest.raises(InputError, match="shapes"):
        recover_table([torch.zeros(3, 2, 2), torch.zeros(4, 1, 1)])
    with pytest.raises(InputError, match="NaN"):
        recover_table([torch.full((2, 1, 1), math.nan)])
    with pytest.raises(InputError, match="do not fit"):
        recover_table(blocks_of("S3"), known=named_group("C5"))
    with pytest.raises(InputError, match="'plancherel' or 'published'"):
        decode_table(blocks_of("S3"), metric="euclid")
    assert homomorphism_error(blocks_of("C5"), named_group("C5").table) < 1e-14


def pairs_of(name, count, noise=0.0, seed=0):
    group, draws = named_group(name), DRAWS().manual_seed(seed)
    x = torch.randn(count, group.order, dtype=torch.complex128, generator=draws)
    g = torch.randint(group.order, (count,), generator=draws)
    y = torch.gather(x, 1, torch.tensor(group.table)[g])
    return x, y + noise * torch.randn(y.shape, dtype=y.dtype, generator=draws)


@pytest.mark.parametrize("name", ["C5", "C6", "C2xC2", "S3", "D4", "Q8", "D5", "A4", "S4"])
def test_groups_of_orbit_pairs(name):
    group = named_group(name)
    n = group.order
    found = discover_group(pairs_of(name, 2 * n * n), n)
    assert (found.table == group.table).all()
    assert found.name == name
    assert found.margin == pytest.approx(1.0, abs=1e-6)
    assert found.gap > 1e6
    assert found.dimensions == tuple(rho.dimension for rho in irreps(group))


def test_noise_on_pairs_lowers_the_gap():
    gaps = [discover_group(pairs_of("Q8", 400, noise), 8).gap for noise in (0.0, 0.05, 0.2)]
    assert gaps == sorted(gaps, reverse=True)
    assert discover_group(pairs_of("Q8", 400, 0.1), 8).name == "Q8"


@pytest.mark.parametrize("name", ["C5", "C8", "S3", "D4", "Q8", "D5", "A4", "S4"])
def test_groups_of_weights_without_their_dimensions(name):
    group = named_group(name)
    draws = DRAWS().manual_seed(0)
    rows = []
    for rho in irreps(group):
        d = rho.dimension
        mix = torch.randn(d, d, dtype=torch.complex128, generator=draws)
        rows.append((mix @ rho.matrices.mH).reshape(group.order, -1).T)  # any invertible W(e)
    found = discover_group(torch.cat(rows), group.order)
    assert found.name == name
    assert found.dimensions == tuple(rho.dimension for rho in irreps(group))
    assert found.gap > 1e3


def test_groups_of_blocks():
    found = discover_group(blocks_of("D4", 0.05), 8)
    assert (found.name, found.dimensions) == ("D4", (1, 1, 1, 1, 2))
    noise = [torch.randn(6, 1, 1, dtype=torch.complex128, generator=DRAWS().manual_seed(0))] * 2
    nothing = discover_group(noise, 6)
    assert nothing.group is None
    assert nothing.name == ""


def test_evidence_that_is_not_enough():
    with pytest.raises(InputError, match="at least 30 are needed"):
        discover_group(pairs_of("S3", 20), 6)
    with pytest.raises(InputError, match="must be complex"):
        discover_group((torch.zeros(9, 3), torch.zeros(9, 3)), 3)
    with pytest.raises(InputError, match="Pairs of 6 coordinates; the order is 5"):
        discover_group(pairs_of("S3", 60), 5)
    with pytest.raises(InputError, match="a square of 4"):
        discover_group(torch.zeros(3, 4), 4)
    with pytest.raises(InputError, match="invertible at the identity"):
        discover_group(torch.zeros(4, 4), 4)
    with pytest.raises(InputError, match="the order is 7"):
        discover_group(blocks_of("S3"), 7)
    with pytest.raises(InputError, match="one shape"):
        pair_moments(torch.zeros(2, 3), torch.zeros(2, 4))


@pytest.mark.parametrize("name", ["C6", "S3", "Q8", "D5", "A4", "S4", "Q12", "S3xC3", "A5"])
def test_dimensions_of_groups_are_among_the_candidates(name):
    group = named_group(name)
    candidates = candidate_dimensions(group.order)
    assert tuple(rho.dimension for rho in irreps(group)) in candidates
    assert len(set(candidates)) == len(candidates)
    for sizes in candidates:
        assert sum(d * d for d in sizes) == group.order
        assert list(sizes) == sorted(sizes)
    with pytest.raises(InputError, match="positive"):
        candidate_dimensions(0)


@pytest.mark.parametrize("name", ["C5", "S3", "Q8"])
def test_the_expected_loss_is_what_samples_estimate(name):
    group = named_group(name)
    draws = DRAWS().manual_seed(0)
    n, d, count = group.order, 2, 60_000
    W = torch.randn(n, d, d, dtype=torch.complex128, generator=draws) / d
    x, y = pairs_of(name, count, seed=3)
    changes = (spectral_outputs(W, x) - spectral_outputs(W, y)).abs().square().mean((-2, -1))
    error = float(changes.std()) / count**0.5
    assert abs(float(changes.mean() - expected_invariance_loss(W, group))) < 4 * error


def test_the_loss_of_pairs_is_that_of_their_outputs():
    x, y = pairs_of("S3", 50)
    draws = DRAWS().manual_seed(1)
    W = torch.randn(3, 2, 6, 2, 2, dtype=torch.complex128, generator=draws)  # starts, blocks
    change = spectral_outputs(W, x) - spectral_outputs(W, y)  # (pairs, 3, 2, 2, 2)
    centred = change - change.mean(dim=0)
    slow = centred.abs().square().mean(dim=0).mean((-2, -1))
    fast = pairs_invariance_loss(W, pair_moments(x, y)[0])
    assert torch.allclose(fast, slow, rtol=1e-10)


def test_losses_of_several_starts_are_those_of_each():
    group, draws = named_group("S3"), DRAWS().manual_seed(1)
    one = torch.randn(3, 2, 6, 1, 1, dtype=torch.complex128, generator=draws)
    two = torch.randn(3, 1, 6, 2, 2, dtype=torch.complex128, generator=draws)
    together = expected_invariance_loss(two, group)
    alone = torch.stack([expected_invariance_loss(two[k, 0], group) for k in range(3)])
    assert torch.allclose(together[:, 0], alone)
    for kind in ("published", "plancherel"):
        found = spectral_regulariser([one, two], kind)
        slow = []
        for k in range(3):
            W = torch.cat([one[k].movedim(0, 1).reshape(6, -1)] * 1, dim=1)
            V = two[k, 0].reshape(6, -1)
            weight, scale = (2, 6) if kind == "plancherel" else (1, 4)
            gram = W @ W.mH + weight * V @ V.mH
            slow.append((scale * torch.eye(6) - gram).abs().square().mean())
        assert torch.allclose(found, torch.stack(slow))
    with pytest.raises(InputError, match="'published' or 'plancherel'"):
        spectral_regulariser([one], "other")
    with pytest.raises(InputError, match="do not fit"):
        expected_invariance_loss(two, named_group("C5"))
