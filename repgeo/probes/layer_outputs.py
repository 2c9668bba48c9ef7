"""Outputs of several layers of a subject at once, in their native shapes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from repgeo.datasets.samples import Samples, take
from repgeo.errors import InputError
from repgeo.models.cutting import OUTPUT, resolve_layer, run_to
from repgeo.probes.subject import Subject

__all__ = ["LayerOutputs"]


class LayerOutputs:
    """From a batch to the outputs of layers, name -> `(n, ...)`, not stored and without gradients.

    Codes of a subject are rows; representations of groups act on what a layer gives, channels,
    pixels and all.

    Parameters
    ----------
    subject
        The subject.
    names
        Names of layers; "output" is the whole network.
    fields
        Names of the tensors of an output that is a mapping; "output/forces" is then one of the
        outputs.

    Raises
    ------
    InputError
        When called, if the network's output is a mapping and no fields are named, or lacks one.

    Examples
    --------
    >>> from repgeo.models.loaded import load_model
    >>> net = torch.nn.Sequential(torch.nn.Unflatten(1, (2, 3)), torch.nn.Flatten())
    >>> subject = Subject(load_model(net, "net"), "0", samples=None)
    >>> found = LayerOutputs(subject, ["0", "output"])(torch.zeros(5, 6))
    >>> {name: tuple(each.shape) for name, each in found.items()}
    {'0': (5, 2, 3), 'output': (5, 6)}
    """

    def __init__(self, subject: Subject, names: list[str], fields: tuple[str, ...] = ()) -> None:
        self.subject = subject
        self.names = list(dict.fromkeys(names))
        self.fields = fields
        layers = subject._model.layers
        self._paths = {name: resolve_layer(subject.module, layers, name) for name in self.names}
        self._native: dict[str, tuple[int, ...]] = {}

    def __call__(self, x: Samples) -> dict[str, Tensor]:
        """The outputs by name."""
        if self.fields:
            return self._with_fields(x)
        if set(self.names) <= {self.subject.layer, OUTPUT}:
            return self._codes_and_output(x)
        with torch.no_grad():
            found = run_to(self.subject.module, list(self._paths.values()), self.subject._fit(x))
        return {name: found[path] for name, path in self._paths.items()}

    def only(self, name: str) -> LayerOutputs:
        """The same with one layer (or one field of the output)."""
        layer, _, field = name.partition("/")
        if field and layer == OUTPUT and field in self.fields:
            return LayerOutputs(self.subject, [], (field,))
        return LayerOutputs(self.subject, [name])

    def tensor(self, x: Samples) -> Tensor:
        """The output of the only layer."""
        return next(iter(self(x).values()))

    def _codes_and_output(self, x: Samples) -> dict[str, Tensor]:
        codes, output = self.subject.codes_and_output(x)
        found = {OUTPUT: output}
        if self.subject.layer != OUTPUT:
            native = self._native_shape(self.subject.layer, x)
            found = {self.subject.layer: codes.reshape(len(codes), *native), OUTPUT: output}
        return {name: found[name] for name in self.names}

    def _native_shape(self, name: str, x: Samples) -> tuple[int, ...]:
        if name not in self._native:
            path = resolve_layer(self.subject.module, self.subject._model.layers, name)
            one = self.subject._fit(take(x, slice(0, 1)))
            with torch.no_grad():
                self._native[name] = tuple(run_to(self.subject.module, [path], one)[path].shape[1:])
        return self._native[name]

    def _with_fields(self, x: Samples) -> dict[str, Tensor]:
        fitted = self.subject._fit(x)
        paths = {name: path for name, path in self._paths.items() if path}
        with torch.no_grad():
            inner = run_to(self.subject.module, list(paths.values()), fitted) if paths else {}
            outputs = self.subject.module(fitted)
        if not isinstance(outputs, Mapping) or set(self.fields) - set(outputs):
            given = sorted(outputs) if isinstance(outputs, Mapping) else type(outputs).__name__
            raise InputError(
                f"The outputs of {self.subject.label!r} must be a mapping with "
                f"{', '.join(self.fields)}; got {given}."
            )
        found = {name: inner[path] for name, path in paths.items()}
        return found | {f"{OUTPUT}/{name}": outputs[name] for name in self.fields}
