from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import ConfigurationError, InputError
from repgeo.models.loaded import LoadedModel, load_model
from repgeo.probes.metric import GROUPS
from repgeo.probes.moves import Element, move_for, sides
from repgeo.probes.subject import Subject

GROUPS_OF_MAPS = ("permutation", "scaling", "diagonal", "orthogonal", "translation", "affine")
SEEDS = range(5)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(one: Tensor, other: Tensor, tolerance: float = 1e-12) -> bool:
    return bool(torch.allclose(one, other, rtol=tolerance, atol=tolerance))


# ------------------------------------------------------------------------------------- elements


@pytest.mark.parametrize("group", [*GROUPS_OF_MAPS, "invertible"])
@pytest.mark.parametrize("dimension", [1, 2, 7])
def test_an_element_is_undone_and_acts_on_rows(group: str, dimension: int) -> None:
    for seed in SEEDS:
        element, z = Element(group, seed), normal(9, dimension)
        assert same(element.undo(element.apply(z)), z)
        assert same(element.apply(element.undo(z)), z)
        matrix, shift = element.parts(dimension)
        assert same(element.apply(z), torch.stack([matrix @ row + shift for row in z]))


@pytest.mark.parametrize("group", [*GROUPS_OF_MAPS, "invertible"])
def test_an_element_is_decided_by_its_seed(group: str) -> None:
    z = normal(4, 6)
    moved = [Element(group, seed).apply(z) for seed in SEEDS]
    assert torch.equal(moved[0], Element(group, 0).apply(z))
    assert all(not torch.equal(moved[0], other) for other in moved[1:])
    assert all(not torch.equal(other, z) for other in moved)


def test_permutations_have_one_one_in_each_row_and_column() -> None:
    for seed in SEEDS:
        matrix, shift = Element("permutation", seed).parts(7)
        assert set(matrix.unique().tolist()) == {0.0, 1.0}
        assert (matrix.sum(0) == 1).all()
        assert (matrix.sum(1) == 1).all()
        assert not shift.any()


@pytest.mark.parametrize("n", [2, 3])
def test_no_permutation_is_the_identity(n: int) -> None:
    split = Split(normal(n, n), torch.arange(n))
    data = Dataset("", split, split)
    for seed in range(20):
        assert not torch.equal(Element("permutation", seed).parts(n)[0], torch.eye(n).double())
        for declaration in ("samples:permutation", "labels:relabelling"):
            moved = move_for(declaration, seed, classes=n).data(data).test.y
            assert not torch.equal(moved, split.y)
    assert torch.equal(Element("permutation", 0).parts(1)[0], torch.eye(1).double())


def test_scalings_are_positive_multiples_of_the_identity() -> None:
    for seed in SEEDS:
        matrix, shift = Element("scaling", seed).parts(4)
        assert torch.equal(matrix, matrix[0, 0] * torch.eye(4).double())
        assert 0.5 <= matrix[0, 0] <= 2.0
        assert not shift.any()


def test_diagonal_maps_have_different_positive_factors() -> None:
    for seed in SEEDS:
        matrix, _ = Element("diagonal", seed).parts(6)
        factors = torch.diag(matrix)
        assert torch.equal(matrix, torch.diag(factors))
        assert len(factors.unique()) == 6
        assert (factors >= 0.5).all()
        assert (factors <= 2.0).all()


def test_orthogonal_maps_keep_lengths_and_may_reflect() -> None:
    for dimension in (1, 4, 5):
        determinants = set()
        for seed in range(20):
            matrix, shift = Element("orthogonal", seed).parts(dimension)
            assert same(matrix @ matrix.T, torch.eye(dimension).double())
            assert not shift.any()
            determinants.add(round(float(torch.linalg.det(matrix))))
        assert determinants == {-1, 1}


def test_translations_move_all_rows_alike() -> None:
    matrix, shift = Element("translation", 0).parts(5)
    assert torch.equal(matrix, torch.eye(5))
    assert shift.abs().min() > 0


@pytest.mark.parametrize("group", ["invertible", "affine"])
def test_invertible_maps_are_well_conditioned_and_of_no_smaller_group(group: str) -> None:
    for seed in SEEDS:
        matrix, shift = Element(group, seed).parts(6)
        assert float(torch.linalg.cond(matrix)) <= 4.0 + 1e-9
        gram = matrix @ matrix.T
        assert not same(gram / gram[0, 0], torch.eye(6).double(), 1e-2)
        assert bool(shift.any()) == (group == "affine")


def test_elements_keep_the_dtype() -> None:
    z = normal(3, 4).float()
    for group in GROUPS_OF_MAPS:
        assert Element(group, 0).apply(z).dtype == torch.float32
        assert same(Element(group, 0).undo(Element(group, 0).apply(z)), z, 1e-5)


# ------------------------------------------------------------------------------ codes and inputs


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(5, 4), nn.Tanh())
        self.head = nn.Linear(4, 3)
        with torch.no_grad():
            for number, parameter in enumerate(self.parameters()):
                parameter.copy_(normal(*parameter.shape, seed=number))
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.encoder(x))
        return out

    def decode(self, z: Tensor) -> Tensor:
        return z @ self.encoder[0].weight

    def pose(self, x: Tensor) -> Tensor:
        return x[:, :2]

    def classify(self, x: Tensor) -> Tensor:
        out: Tensor = self(x)
        return out


X = normal(12, 5, seed=7)
DATA = Dataset(
    "", Split(normal(10, 5, seed=8), torch.arange(10) % 3), Split(X, torch.arange(12) % 3)
)


def subject() -> Subject:
    return Subject(load_model(Net(), "net"), "encoder", samples=X)


@pytest.mark.parametrize("group", GROUPS["codes"])
def test_codes_move_and_the_head_gets_them_back(group: str) -> None:
    base, moved = subject(), move_for(f"codes:{group}", 3).subject(subject())
    element = Element(group, 3)
    assert same(moved.encode(X), element.apply(base.encode(X)))
    assert same(moved.head(moved.encode(X)), base(X))
    assert same(moved(X), base(X))
    assert same(moved.feature_map(X), moved.encode(X))
    codes, output = moved.codes_and_output(X)
    assert same(codes, moved.encode(X))
    assert same(output, base(X))
    assert same(moved.use("decode", moved.encode(X)), base.use("decode", base.encode(X)))
    assert (moved.label, moved.layer, moved.dtype) == ("net", "encoder", torch.float64)
    assert same(moved.cut("output").encode(X), element.apply(base(X)))
    pushed = torch.func.jvp(moved.feature_map, (X,), (torch.ones_like(X),))[1]
    plain = torch.func.jvp(base.feature_map, (X,), (torch.ones_like(X),))[1]
    assert same(pushed, plain @ element.parts(4)[0].T)


@pytest.mark.parametrize("group", GROUPS["inputs"])
def test_inputs_move_and_the_model_takes_them_back(group: str) -> None:
    base, move = subject(), move_for(f"inputs:{group}", 3)
    moved, data = move.subject(subject()), move.data(DATA)
    x = data.test.x
    assert isinstance(x, Tensor)
    assert same(x, Element(group, 3).apply(X))
    assert same(moved.encode(x), base.encode(X))
    assert same(moved(x), base(X))
    assert same(moved.feature_map(x), base.encode(X))
    assert same(moved.head(moved.encode(x)), base(X))
    assert same(moved.codes_and_output(x)[1], base(X))
    assert same(moved.use("pose", x), X[:, :2])
    assert torch.equal(data.test.ids, DATA.test.ids)
    assert data.test.y is DATA.test.y
    assert same(moved.encode(data.train.x), base.encode(DATA.train.x))


def test_images_move_as_vectors_and_keep_their_shape() -> None:
    images = normal(6, 1, 3, 3)
    data = Dataset("", Split(images), Split(images))
    moved = move_for("inputs:orthogonal", 0).data(data)
    assert isinstance(moved.test.x, Tensor)
    assert moved.test.x.shape == images.shape
    assert same(moved.test.x.flatten(1), Element("orthogonal", 0).apply(images.flatten(1)))


def test_inputs_that_are_mappings_do_not_move() -> None:
    split = Split({"a": X})
    with pytest.raises(InputError, match="Moves of inputs are defined for tensors"):
        move_for("inputs:orthogonal", 0).data(Dataset("", split, split))


def test_a_capability_whose_answer_would_have_to_move_is_refused() -> None:
    with pytest.raises(InputError, match="not defined for the capability 'decode'"):
        move_for("inputs:orthogonal", 0).subject(subject()).use("decode", normal(2, 4))
    labels = move_for("labels:relabelling", 0, classes=3).subject(subject())
    with pytest.raises(InputError, match="not defined for the capability 'classify'"):
        labels.use("classify", X)
    assert same(labels.use("pose", X), X[:, :2])


@pytest.mark.parametrize("where", ["codes", "inputs"])
def test_a_control_destroys_what_the_group_keeps(where: str) -> None:
    declaration = f"{where}:{GROUPS[where][0]}"
    base, control = subject(), move_for(declaration, 0, control=True)
    moved, data = control.subject(subject()), control.data(DATA)
    assert not same(moved.encode(data.test.x), base.encode(X), 0.1)
    assert not same(moved(data.test.x), base(X), 0.1)
    # No affine map leads from one to the other: the residual of the best one is large.
    before = torch.cat([base.encode(X) if where == "codes" else X, torch.ones(12, 1)], dim=1)
    after = moved.encode(X) if where == "codes" else data.test.x
    assert isinstance(after, Tensor)
    fit = before @ torch.linalg.lstsq(before, after).solution
    assert float((after - fit).norm() / after.norm()) > 0.1


# --------------------------------------------------------------------------- samples and labels


def test_samples_are_shuffled_with_all_that_belongs_to_them() -> None:
    pose = {"pose": X * 2}
    split = Split(X, torch.arange(12), torch.arange(12) * 3, pose)
    data = move_for("samples:permutation", 1).data(Dataset("name", split, split))
    order = data.test.y
    assert order is not None
    assert sorted(order.tolist()) == list(range(12))
    assert order.tolist() != list(range(12))
    assert torch.equal(data.test.x, X[order])
    assert torch.equal(data.test.ids, order * 3)
    assert torch.equal(data.test.pose, X[order] * 2)
    assert data.train is data.test  # one split that serves as both stays one


def test_the_control_of_samples_repeats_some() -> None:
    split = Split(X, torch.arange(12))
    data = move_for("samples:permutation", 1, control=True).data(Dataset("", split, split))
    assert data.test.y is not None
    assert len(data.test) == 12
    assert len(data.test.y.unique()) < 12
    assert torch.equal(data.test.ids, split.ids)


def test_labels_and_outputs_are_renamed_together() -> None:
    base, move = subject(), move_for("labels:relabelling", 2, classes=3)
    data, outputs = move.data(DATA), move.subject(subject())(X)
    for old, new in ((DATA.test.y, data.test.y), (DATA.train.y, data.train.y)):
        assert old is not None
        assert new is not None
        rename = {int(a): int(b) for a, b in zip(old, new, strict=True)}
        assert sorted(rename) == sorted(rename.values()) == [0, 1, 2]
    assert data.test.y is not None
    for old_label, new_label in rename.items():
        assert torch.equal(outputs[:, new_label], base(X)[:, old_label])
    assert torch.equal(move.subject(subject()).encode(X), base.encode(X))


def test_outputs_beyond_the_classes_keep_their_places() -> None:
    moved = move_for("labels:relabelling", 5, classes=2).subject(subject())(X)
    assert torch.equal(moved[:, 2], subject()(X)[:, 2])
    assert sorted(moved[0, :2].tolist()) == sorted(subject()(X)[0, :2].tolist())


def test_relabelling_needs_classes() -> None:
    with pytest.raises(InputError, match="Relabelling needs integer class labels"):
        move_for("labels:relabelling", 0, classes=None)


def test_the_control_of_labels_parts_train_from_test() -> None:
    move = move_for("labels:relabelling", 2, classes=3, control=True)
    data = move.data(DATA)
    assert data.train is DATA.train
    assert DATA.test.y is not None
    assert not torch.equal(data.test.y, DATA.test.y)
    assert not same(move.subject(subject())(X), subject()(X), 0.1)


# -------------------------------------------------------------------------------------- weights


class Matrix(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("offset", torch.arange(3.0))

    def forward(self, x: Tensor) -> Tensor:
        return x


def moved_weights(group: str, weight: Tensor, *, control: bool = False) -> Tensor:
    base = Subject(LoadedModel(Matrix(weight.clone()), "m"), "output", samples=X)
    moved = move_for(f"weights:{group}", 4, control=control).subject(base)
    assert torch.equal(base.weights["weight"], weight)  # the model itself is left alone
    assert torch.equal(moved.weights["offset"], torch.arange(3.0))
    return moved.weights["weight"]


def test_rows_of_weights_are_permuted_scaled_and_mixed() -> None:
    weight = normal(4, 6)
    rows = {tuple(row) for row in weight.tolist()}
    assert {tuple(row) for row in moved_weights("row_permutation", weight).tolist()} == rows
    factors = moved_weights("row_scale", weight) / weight
    assert same(factors, factors[:, :1].expand_as(factors))
    assert (factors.abs() >= 0.5).all()
    assert len(factors[:, 0].unique()) == 4
    mixed = moved_weights("unitary_mixing", weight)
    assert same(mixed.T @ mixed, weight.T @ weight)
    assert not same(mixed, weight, 0.1)


def test_complex_weights_are_mixed_unitarily() -> None:
    weight = torch.complex(normal(4, 6), normal(4, 6, seed=1))
    mixed = moved_weights("unitary_mixing", weight)
    assert same(mixed.mH @ mixed, weight.mH @ weight)
    assert float((mixed / weight).imag.abs().max()) > 0.1
    assert moved_weights("row_scale", weight).dtype == torch.complex128


def test_the_control_of_weights_are_other_weights() -> None:
    weight = normal(4, 6)
    control = moved_weights("row_permutation", weight, control=True)
    assert not same(control.T @ control, weight.T @ weight, 0.1)


# ------------------------------------------------------------------------------- declarations


@pytest.mark.parametrize("declaration", ["codes:ortogonal", "weights:rows", "code:affine", "codes"])
def test_an_unknown_group_moves_nothing_and_is_refused(declaration: str) -> None:
    with pytest.raises(ConfigurationError, match="Unknown invariance"):
        move_for(declaration, 0, classes=3)


def test_the_sides_of_a_pair_move_one_by_one_and_both() -> None:
    first, second = (move_for("codes:orthogonal", seed) for seed in (0, 1))
    codes = subject().encode(X)
    moved = [
        tuple(not torch.equal(move.subject(subject()).encode(X), codes) for move in pair)
        for pair in sides(first, second)
    ]
    assert moved == [(True, False), (False, True), (True, True)]
    both = list(sides(first, second))[2]
    one, other = (move.subject(subject()).encode(X) for move in both)
    assert not same(one, other, 0.1)
