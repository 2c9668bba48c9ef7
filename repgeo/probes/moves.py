"""Group elements that act on codes, inputs, samples, labels or weights of a model.

A move changes the data or the model in a way that a metric with the declared invariance must not
notice: codes are moved and the head gets the inverse, inputs are moved and the model gets the
inverse. Its *control* destroys what the move would keep, so that a case in which even the control
changes nothing is known to show nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.samples import Samples, count
from repgeo.errors import ConfigurationError, InputError, nearest
from repgeo.identity import derive_generator
from repgeo.models.loaded import Epoch, LoadedModel
from repgeo.probes.metric import GROUPS
from repgeo.probes.subject import Subject

__all__ = ["STILL", "Move", "MovedSubject", "move_for"]

Change = Callable[[Tensor], Tensor]


def _shuffled(n: int, generator: torch.Generator) -> Tensor:
    """A random order `(n,)` that is not the one at hand (of one thing there is no other)."""
    here = torch.arange(n)
    order = torch.randperm(n, generator=generator)
    while n > 1 and torch.equal(order, here):
        order = torch.randperm(n, generator=generator)
    return order


def _unitary(normal: Tensor) -> Tensor:
    """The orthogonal (unitary) factor of a Gaussian matrix `(d, d)`, uniform over the group."""
    factor, triangle = torch.linalg.qr(normal)
    # Without these signs the determinant would be the same in every draw of a dimension.
    signs: Tensor = torch.sgn(torch.diagonal(triangle))
    return torch.mul(factor, signs)


@dataclass(frozen=True)
class Element:
    """A random element of a group of affine maps, in any dimension.

    `permutation`; `scaling` by one positive factor; `diagonal` by positive factors; `orthogonal`;
    `translation`; `invertible` linear with condition number at most 4; `affine` (the last two).
    """

    group: str
    seed: int

    def parts(self, dimension: int) -> tuple[Tensor, Tensor]:
        """The matrix `(d, d)` and the translation `(d,)`, in float64."""
        generator = derive_generator("element", self.group, self.seed, dimension)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        def factors(n: int) -> Tensor:
            return 2.0 ** (2 * torch.rand(n, generator=generator, dtype=torch.float64) - 1)

        matrix, shift = torch.eye(dimension, dtype=torch.float64), torch.zeros(dimension).double()
        if self.group == "permutation":
            matrix = matrix[_shuffled(dimension, generator)]
        elif self.group == "scaling":
            matrix = matrix * factors(1)
        elif self.group == "diagonal":
            matrix = torch.diag(factors(dimension))
        elif self.group == "orthogonal":
            matrix = _unitary(normal(dimension, dimension))
        elif self.group in {"invertible", "affine"}:
            left = _unitary(normal(dimension, dimension))
            right = _unitary(normal(dimension, dimension))
            matrix = left @ torch.diag(factors(dimension)) @ right
        if self.group in {"translation", "affine"}:
            shift = normal(dimension)
        return matrix, shift

    def apply(self, rows: Tensor) -> Tensor:
        """The moved rows `(n, d)`."""
        matrix, shift = self._like(rows)
        return rows @ matrix.T + shift

    def undo(self, rows: Tensor) -> Tensor:
        """The rows `(n, d)` moved back."""
        matrix, shift = self._like(rows)
        moved_back: Tensor = torch.linalg.solve(matrix, (rows - shift).T).T
        return moved_back

    def _like(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        matrix, shift = self.parts(rows.shape[1])
        return matrix.to(rows), shift.to(rows)


class MovedSubject(Subject):
    """A subject whose codes, inputs or outputs are moved.

    Parameters
    ----------
    base
        The subject.
    on_codes, undo_codes
        Applied to codes at the cut, and to codes before the head (None: nothing is moved).
    undo_inputs
        Applied to inputs before the model.
    on_outputs
        Applied to the outputs.
    through_head
        Whether the full output is that of the head on moved codes: for controls.
    """

    def __init__(
        self,
        base: Subject,
        *,
        on_codes: Change | None = None,
        undo_codes: Change | None = None,
        undo_inputs: Change | None = None,
        on_outputs: Change | None = None,
        through_head: bool = False,
    ) -> None:
        self._base = base
        self._moves = {
            "on_codes": on_codes,
            "undo_codes": undo_codes,
            "undo_inputs": undo_inputs,
            "on_outputs": on_outputs,
        }
        self._through_head = through_head
        self.label = base.label
        self.layer = base.layer

    def _do(self, name: str, tensor: Tensor) -> Tensor:
        change = self._moves[name]
        return tensor if change is None else change(tensor)

    def _inputs(self, x: Samples) -> Samples:
        if self._moves["undo_inputs"] is None:
            return x
        if not isinstance(x, Tensor):
            raise InputError("Moves of inputs are defined for tensors.")
        return self._do("undo_inputs", x)

    @property
    def _model(self) -> LoadedModel:
        return self._base._model

    def cut(self, layer: str) -> Subject:
        """The moved subject at another layer."""
        moved = MovedSubject(self._base.cut(layer), through_head=self._through_head)
        moved._moves = self._moves
        return moved

    def at(self, epoch: Epoch) -> Subject:
        """The moved subject at a kept checkpoint."""
        moved = MovedSubject(self._base.at(epoch), through_head=self._through_head)
        moved._moves = self._moves
        return moved

    def __call__(self, x: Samples) -> Tensor:
        """The output; through the head on moved codes for a control."""
        if self._through_head:
            with torch.no_grad():
                return self._do("on_outputs", self._base.head(self.encode(x)))
        return self._do("on_outputs", self._base(self._inputs(x)))

    def use(self, capability: str, *args: Any) -> Any:
        """Call the model's method: `decode` takes moved codes, all others moved inputs.

        Raises
        ------
        InputError
            If what the method returns would have to be moved too.
        """
        decodes = capability == "decode"
        if self._moves["undo_inputs" if decodes else "on_outputs"] is not None and (
            decodes or capability == "classify"
        ):
            raise InputError(f"This move is not defined for the capability {capability!r}.")
        undo = "undo_codes" if decodes else "undo_inputs"
        undone = [self._do(undo, arg) if isinstance(arg, Tensor) else arg for arg in args]
        return self._base.use(capability, *undone)

    def encode(self, x: Samples) -> Tensor:
        """The moved codes."""
        return self._do("on_codes", self._base.encode(self._inputs(x)))

    def encode_layers(self, names: Iterable[str], x: Samples) -> None:
        """Encode several layers of the base at once."""
        self._base.encode_layers(names, self._inputs(x))

    def codes_and_output(self, x: Samples) -> tuple[Tensor, Tensor]:
        """The moved codes and the output, not stored."""
        codes, output = self._base.codes_and_output(self._inputs(x))
        moved = self._do("on_codes", codes)
        if self._through_head:
            with torch.no_grad():
                output = self._base.head(moved)
        return moved, self._do("on_outputs", output)

    def feature_map(self, x: Tensor) -> Tensor:
        """The differentiable map to moved codes."""
        return self._do("on_codes", self._base.feature_map(self._do("undo_inputs", x)))

    def head(self, z: Tensor) -> Tensor:
        """The rest of the network, from moved codes on."""
        return self._do("on_outputs", self._base.head(self._do("undo_codes", z)))


@dataclass(frozen=True)
class Move:
    """What one group element, or its control, does to subjects and data."""

    subject: Callable[[Subject], Subject]
    data: Callable[[Dataset], Dataset]


def _same_subject(subject: Subject) -> Subject:
    return subject


def _same_data(data: Dataset) -> Dataset:
    return data


#: The move that leaves everything as it is.
STILL = Move(_same_subject, _same_data)


def move_for(
    declaration: str, seed: int, *, classes: int | None = None, control: bool = False
) -> Move:
    """The move of a random element of a declared group `where:group`, or the control of `where`.

    Raises
    ------
    ConfigurationError
        If there is no such group.
    InputError
        If the data have nothing that it could act on.
    """
    where, _, group = declaration.partition(":")
    if group not in GROUPS.get(where, ()):
        known = [f"{place}:{name}" for place, names in GROUPS.items() for name in names]
        raise ConfigurationError(
            f"Unknown invariance {declaration!r}. {nearest(declaration, known)}"
        )
    if where == "labels":
        return _on_labels(classes, seed, control)
    make = {
        "codes": _on_codes,
        "inputs": _on_inputs,
        "samples": _on_samples,
        "weights": _on_weights,
    }[where]
    return make(group, seed, control)


def _warp(seed: int) -> Change:
    """A nonlinear change of rows that keeps no linear structure."""

    def change(rows: Tensor) -> Tensor:
        generator = derive_generator("warp", seed, rows.shape[1])
        tilt = torch.randn(2, rows.shape[1], generator=generator, dtype=torch.float64).to(rows)
        scale = rows.detach().abs().mean().clamp(min=1e-12)
        unit = rows / scale
        return scale * (tilt[0] * unit.roll(1, dims=1) * unit + tilt[1] * torch.sin(3 * unit))

    return change


def _on_codes(group: str, seed: int, control: bool) -> Move:
    if control:
        warp = _warp(seed)
        return Move(lambda s: MovedSubject(s, on_codes=warp, through_head=True), _same_data)
    element = Element(group, seed)
    return Move(
        lambda s: MovedSubject(s, on_codes=element.apply, undo_codes=element.undo), _same_data
    )


def _flat(change: Change) -> Change:
    return lambda x: change(x.reshape(len(x), -1)).reshape(x.shape)


def _on_inputs(group: str, seed: int, control: bool) -> Move:
    element = Element(group, seed)
    change = _flat(_warp(seed) if control else element.apply)

    def moved(data: Dataset) -> Dataset:
        return _each_split(data, lambda split: _with_inputs(split, change))

    if control:
        return Move(_same_subject, moved)
    return Move(lambda s: MovedSubject(s, undo_inputs=_flat(element.undo)), moved)


def _with_inputs(split: Split, change: Change) -> Split:
    if not isinstance(split.x, Tensor):
        raise InputError("Moves of inputs are defined for tensors.")
    return Split(change(split.x), split.y, split.ids, split.arrays)


def _on_samples(group: str, seed: int, control: bool) -> Move:
    def moved(data: Dataset) -> Dataset:
        generator = derive_generator("samples", seed)

        def shuffle(split: Split) -> Split:
            order = _shuffled(count(split.x), generator)
            if not control:
                return split.take(order)
            # Other samples under the same ids: as many, but two in five are repetitions.
            repeated = order.clone()
            repeated[: 2 * len(order) // 5] = order[-1]
            taken = split.take(repeated)
            return Split(taken.x, taken.y, split.ids, taken.arrays)

        return _each_split(data, shuffle)

    return Move(_same_subject, moved)


def _on_labels(classes: int | None, seed: int, control: bool) -> Move:
    if classes is None:
        raise InputError("Relabelling needs integer class labels.")
    order = _shuffled(classes, derive_generator("labels", seed, classes))

    def relabel(data: Dataset) -> Dataset:
        def change(split: Split) -> Split:
            y = None if split.y is None else order[split.y]
            return Split(split.x, y, split.ids, split.arrays)

        if control:  # what is fitted on the train split must find other labels in the test split
            return Dataset(data.name, data.train, change(data.test), data.meta, data.make_world)
        return _each_split(data, change)

    def on_outputs(outputs: Tensor) -> Tensor:
        # Outputs beyond the classes that occur keep their places.
        columns = torch.arange(outputs.shape[1])
        columns[:classes] = torch.argsort(order)
        return outputs[:, columns.to(outputs.device)]

    change_outputs = _warp(seed) if control else on_outputs
    return Move(lambda s: MovedSubject(s, on_outputs=change_outputs), relabel)


def _on_weights(group: str, seed: int, control: bool) -> Move:
    def moved(subject: Subject) -> Subject:
        module = copy.deepcopy(subject.module)
        state = {
            name: _moved_weight(tensor, group, seed, control)
            for name, tensor in module.state_dict().items()
        }
        module.load_state_dict(state)
        model = LoadedModel(module, subject.label, dict(subject._model.layers))
        return Subject(model, subject.layer, samples=subject._samples)

    return Move(moved, _same_data)


def _moved_weight(weight: Tensor, group: str, seed: int, control: bool) -> Tensor:
    if weight.ndim != 2:
        return weight
    generator = derive_generator("weights", seed, list(weight.shape))
    rows = weight.shape[0]
    if control:
        return torch.randn(weight.shape, generator=generator, dtype=torch.float64).to(weight)
    if group == "row_permutation":
        return weight[_shuffled(rows, generator)]
    if group == "row_scale":
        phases = torch.randn(rows, 1, generator=generator, dtype=torch.float64)
        return weight * (phases.sign() * (0.5 + phases.abs())).to(weight)
    real = torch.randn(rows, rows, generator=generator, dtype=torch.float64)
    if weight.is_complex():
        imaginary = torch.randn(rows, rows, generator=generator, dtype=torch.float64)
        real = torch.complex(real, imaginary)
    return _unitary(real).to(weight) @ weight


def _each_split(data: Dataset, change: Callable[[Split], Split]) -> Dataset:
    train = change(data.train)
    # One split that serves as both stays one, so that codes of it are shared as before.
    test = train if data.test is data.train else change(data.test)
    return Dataset(data.name, train, test, data.meta, data.make_world)


def sides(first: Move, second: Move) -> Iterator[tuple[Move, Move]]:
    """For a pair: one side moved, the other, and both by different elements."""
    yield first, STILL
    yield STILL, second
    yield first, second
