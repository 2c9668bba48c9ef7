from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from repgeo.errors import InputError
from repgeo.groups import (
    FiniteGroup,
    alternating,
    cyclic,
    dicyclic,
    dihedral,
    direct_product,
    from_permutations,
    from_table,
    identify_group,
    named_group,
    quaternion,
    rotation_group,
    semidirect_product,
    symmetric,
)

NAMES = ["C5", "C6", "C2xC2", "S3", "D4", "Q8", "D5", "A4", "S4", "Q12", "D1", "D2", "C1"]

#: A Latin square with an identity and inverses that is not associative.
LOOP = [
    [0, 1, 2, 3, 4],
    [1, 0, 3, 4, 2],
    [2, 4, 0, 1, 3],
    [3, 2, 4, 0, 1],
    [4, 3, 1, 2, 0],
]


@pytest.mark.parametrize("name", NAMES)
def test_axioms_by_the_plain_triple_loop(name):
    group = named_group(name)
    T, n = group.table, group.order
    for g, h, k in itertools.product(range(n), repeat=3):
        assert T[T[g, h], k] == T[g, T[h, k]]
    assert all(T[g, group.inverses[g]] == group.identity for g in range(n))
    assert group.identity == 0
    for g in range(n):
        power, order = g, 1
        while power != group.identity:
            power, order = T[power, g], order + 1
        assert order == group.element_orders[g]
    classes = {frozenset(int(T[T[h, g], group.inverses[h]]) for h in range(n)) for g in range(n)}
    assert {frozenset(c) for c in group.conjugacy_classes} == classes
    assert group.conjugacy_classes[0] == (0,)
    assert (
        group.quotients == [[T[group.inverses[g], h] for h in range(n)] for g in range(n)]
    ).all()


@pytest.mark.parametrize(
    ("name", "orders"),
    [
        ("D4", {1: 1, 2: 5, 4: 2}),
        ("Q8", {1: 1, 2: 1, 4: 6}),
        ("S4", {1: 1, 2: 9, 3: 8, 4: 6}),
        ("A4", {1: 1, 2: 3, 3: 8}),
        ("D5", {1: 1, 2: 5, 5: 4}),
    ],
)
def test_orders_of_elements(name, orders):
    found = dict(enumerate(np.bincount(named_group(name).element_orders)))
    assert {k: count for k, count in found.items() if count} == orders


@pytest.mark.parametrize("name", NAMES)
def test_generators_generate(name):
    group = named_group(name)
    assert len(group.generators) <= np.log2(group.order) + 1e-9
    reached = {group.identity}
    while True:
        more = reached | {int(group.table[x, g]) for x in reached for g in group.generators}
        if more == reached:
            break
        reached = more
    assert len(reached) == group.order


def test_relations_of_the_quaternions():
    group = quaternion()
    at = {label: index for index, label in enumerate(group.labels)}
    for word in ("ijk", "jki", "kij"):
        a, b, c = (at[letter] for letter in word)
        assert group.table[a, b] == c
        assert group.table[b, a] == at["-" + word[2]]
        assert group.table[a, a] == at["-1"]


def test_composition_of_permutations():
    for group in (symmetric(4), alternating(4), from_permutations([(1, 2, 3, 0), (1, 0, 2, 3)])):
        for g, h in itertools.product(range(group.order), repeat=2):
            p, q = group.labels[g], group.labels[h]
            assert group.labels[group.table[g, h]] == tuple(p[i] for i in q)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0, 1], [1, 2]], "closure fails, 1 \\* 1 = 2"),
        ([[1, 0], [1, 0]], "identity fails"),
        (LOOP, "associativity fails"),
        ([[0, 1, 2], [1, 1, 1], [2, 1, 2]], "inverses fail|associativity fails"),
        ([[0, 1], [1, 1]], "inverses fail, element 1"),
        ([[0, 1]], "square \\(n, n\\), got \\(1, 2\\)"),
        ([[0, 1], [1]], "rows of different lengths"),
        ([[0.0, 1.0], [1.0, 0.0]], "holds integers, got float64"),
        (np.zeros((0, 0), dtype=int), "square"),
    ],
)
def test_the_axiom_that_fails_is_named(table, message):
    with pytest.raises(InputError, match=message):
        from_table(table)


def test_associativity_fails_where_the_message_says():
    with pytest.raises(InputError) as caught:
        from_table(LOOP)
    words = str(caught.value).replace("(", "").replace(")", "").replace(",", "").split()
    at = words.index("fails")
    x, a, y = int(words[at + 1]), int(words[at + 3]), int(words[at + 5])
    assert LOOP[LOOP[x][a]][y] != LOOP[x][LOOP[a][y]]


def test_an_identity_that_is_not_the_first_element():
    group = symmetric(3).relabelled([2, 1, 0, 3, 4, 5])
    assert group.identity == 2
    assert from_table(group.table) == group
    assert hash(from_table(group.table)) == hash(group)
    assert from_table(group.table) != symmetric(3)


def test_a_group_is_a_value():
    table = [[0, 1], [1, 0]]
    given = np.array(table)
    group = FiniteGroup(given, "C2")
    given[0, 0] = 1
    assert group.table.tolist() == table
    with pytest.raises(ValueError, match="read-only"):
        group.table[0, 0] = 1
    with pytest.raises(AttributeError):
        group.name = "other"
    assert repr(group) == "<FiniteGroup C2 of order 2>"


def test_products():
    klein = direct_product(cyclic(2), cyclic(2))
    assert klein.element_orders.tolist() == [1, 2, 2, 2]
    g, h = symmetric(3), cyclic(4)
    both = direct_product(g, h)
    for a, b in itertools.product(range(both.order), repeat=2):
        expected = g.table[a // 4, b // 4] * 4 + h.table[a % 4, b % 4]
        assert both.table[a, b] == expected
    flip = [[k, -k % 7] for k in range(7)]
    made = semidirect_product(cyclic(7), cyclic(2), np.array(flip).T)
    assert made.isomorphic_to(dihedral(7)) is not None


def test_actions_that_are_none():
    with pytest.raises(InputError, match="not an automorphism"):
        semidirect_product(cyclic(3), cyclic(2), [[0, 1, 2], [1, 0, 2]])
    with pytest.raises(InputError, match="not a homomorphism"):
        semidirect_product(cyclic(3), cyclic(3), [[0, 1, 2], [0, 2, 1], [0, 2, 1]])
    with pytest.raises(InputError, match="permutation of 3 elements for each of 2"):
        semidirect_product(cyclic(3), cyclic(2), [[0, 1, 2]])


@pytest.mark.parametrize("name", ["X5", "C0", "Q6", "C2x", "", "c5"])
def test_names_that_are_none(name):
    with pytest.raises(InputError, match="There is no group"):
        named_group(name)


def test_sizes_that_are_none():
    for family in (cyclic, dihedral, dicyclic, symmetric, alternating):
        with pytest.raises(InputError, match="n must be from 1"):
            family(0)
    with pytest.raises(InputError, match="not a permutation"):
        from_permutations([(1, 2, 0), (1, 1, 0)])
    with pytest.raises(InputError, match="at least one generator"):
        from_permutations([])
    with pytest.raises(InputError, match="T, O and I, got 'X'"):
        rotation_group("X")
    with pytest.raises(InputError, match="permutation of 3 elements"):
        cyclic(3).relabelled([0, 0, 1])


@pytest.mark.parametrize(("kind", "name"), [("T", "A4"), ("O", "S4"), ("I", "A5")])
def test_rotations_of_polyhedra(kind, name):
    group, matrices = rotation_group(kind)
    assert group.isomorphic_to(named_group(name)) is not None
    products = torch.einsum("gij,hjk->ghik", matrices, matrices)
    assert (products - matrices[torch.tensor(group.table)]).abs().max() < 1e-13
    assert (matrices @ matrices.mT - torch.eye(3)).abs().max() < 1e-13
    assert torch.linalg.det(matrices).sub(1).abs().max() < 1e-13


def scrambled(group: FiniteGroup, seed: int) -> FiniteGroup:
    return group.relabelled(np.random.default_rng(seed).permutation(group.order))


@pytest.mark.parametrize("name", [*NAMES, "S3xC3", "D4xC3", "A4xC2", "D6xS3", "C2xC2xC2xC2"])
def test_scrambled_copies_are_isomorphic(name):
    first, second = (scrambled(named_group(name), seed) for seed in (1, 2))
    found = first.isomorphic_to(second)
    assert found is not None
    mapped = np.array([found[g] for g in range(first.order)])
    assert len(set(mapped.tolist())) == first.order
    assert (mapped[first.table] == second.table[np.ix_(mapped, mapped)]).all()


def test_groups_that_differ():
    by_order = [
        ["C8", "C2xC4", "C2xC2xC2", "D4", "Q8"],
        ["C12", "C2xC6", "A4", "D6", "Q12"],
        ["S4", "A4xC2", "D12", "Q24", "S3xC4", "D4xC3", "Q8xC3", "D6xC2", "Q12xC2"],
    ]
    for names in by_order:
        for a, b in itertools.combinations(names, 2):
            assert named_group(a).isomorphic_to(named_group(b)) is None, (a, b)
    assert cyclic(3).isomorphic_to(cyclic(4)) is None


def test_groups_of_order_16_with_the_same_orders_of_elements():
    # C4 x C4 and C4 ⋊ C4 with inversion: both have 1, 3 and 12 elements of order 1, 2 and 4.
    twisted = semidirect_product(
        cyclic(4), cyclic(4), [[(-1) ** b * k % 4 for k in range(4)] for b in range(4)]
    )
    straight = named_group("C4xC4")
    assert sorted(twisted.element_orders) == sorted(straight.element_orders)
    assert twisted.isomorphic_to(straight) is None
    assert twisted.isomorphic_to(scrambled(twisted, 0)) is not None


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("C5", "C5"),
        ("C2xC3", "C6"),
        ("C2xC2", "C2xC2"),
        ("C4xC6", "C2xC12"),
        ("S3", "S3"),
        ("D3", "S3"),
        ("D4", "D4"),
        ("Q8", "Q8"),
        ("D5", "D5"),
        ("A4", "A4"),
        ("S4", "S4"),
        ("Q12", "Q12"),
        ("C1", "C1"),
        ("I", "A5"),
        ("S3xC3", "C3xD3"),
        ("D2", "C2xC2"),
    ],
)
def test_names_of_scrambled_groups(name, called):
    assert identify_group(scrambled(named_group(name), 3).table) == called


def test_the_frobenius_group_of_order_21_has_a_name_by_its_action():
    powers = [[pow(2, y, 7) * x % 7 for x in range(7)] for y in range(3)]
    group = semidirect_product(cyclic(7), cyclic(3), powers)
    assert identify_group(scrambled(group, 4)) == "C7⋊2C3"
    with pytest.raises(InputError, match="associativity fails"):
        identify_group(LOOP)
