"""A subject: a model cut at a layer, as probes see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any, Protocol

import torch
from torch import Tensor

from repgeo.datasets.samples import Samples, count, map_samples, sample_bytes, take
from repgeo.errors import LayerError, NonFiniteError, UnsupportedError
from repgeo.models.cutting import OUTPUT, resolve_layer, run_from, run_to
from repgeo.models.loaded import Epoch, LoadedModel

__all__ = ["ALIGNMENT", "CodeStore", "MemoryCodes", "Subject", "in_chunks"]

#: Every batch is padded to a multiple of this many rows, so that chunk sizes do not move bits:
#: the tail kernels of matrix products and convolutions round differently.
ALIGNMENT = 64

_WORKING_SET = 32  # activations of a forward pass against its input, a coarse upper estimate


def in_chunks(
    function: Callable[[Samples], Mapping[str, Tensor]], x: Samples, *, memory_budget: int
) -> dict[str, Tensor]:
    """Apply a batched function chunk by chunk; values do not depend on the chunk size.

    Chunks are multiples of `ALIGNMENT`, and each batch, a whole one too, is padded to one by
    repeating its last sample.
    """
    n = count(x)
    rows = memory_budget // (sample_bytes(x) * _WORKING_SET)
    chunk = min(4096, max(ALIGNMENT, rows // ALIGNMENT * ALIGNMENT))
    parts: dict[str, list[Tensor]] = {}
    for start in range(0, n, chunk):
        batch = take(x, slice(start, min(start + chunk, n)))
        real = count(batch)
        short = -real % ALIGNMENT
        if short:
            batch = map_samples(partial(_repeat_last, times=short), batch)
        for name, values in function(batch).items():
            parts.setdefault(name, []).append(values[:real])
    return {name: torch.cat(values) for name, values in parts.items()}


def _repeat_last(tensor: Tensor, times: int) -> Tensor:
    return torch.cat([tensor, tensor[-1:].expand(times, *tensor.shape[1:])])


def _as_rows(codes: Tensor) -> Tensor:
    """Codes `(n, ...)` as `(n, features)`, n = 0 too; numbers `(n,)` as one feature."""
    return codes.flatten(1) if codes.ndim > 1 else codes[:, None]


class CodeStore(Protocol):
    """Where the codes of whole splits are kept, so that all probes share one encoding."""

    def get(self, model: LoadedModel, path: str, x: Samples) -> Tensor | None:
        """The stored codes, or None."""

    def put(self, model: LoadedModel, path: str, x: Samples, codes: Tensor) -> None:
        """Store codes."""


class MemoryCodes:
    """Codes kept in this process, for the arrays that are alive in it, up to a byte limit."""

    def __init__(self, limit: int = 1 << 30) -> None:
        self._limit = limit
        # The samples and model are kept too: an id is only unique among living objects.
        self._kept: dict[tuple[int, str, int], tuple[LoadedModel, Samples, Tensor]] = {}

    def get(self, model: LoadedModel, path: str, x: Samples) -> Tensor | None:
        """The stored codes, or None."""
        entry = self._kept.get((id(model), path, id(x)))
        return None if entry is None else entry[2]

    def put(self, model: LoadedModel, path: str, x: Samples, codes: Tensor) -> None:
        """Store codes; the oldest go when the limit is passed."""
        self._kept[id(model), path, id(x)] = (model, x, codes)
        while len(self._kept) > 1 and self._bytes() > self._limit:
            del self._kept[next(iter(self._kept))]

    def _bytes(self) -> int:
        return sum(codes.numel() * codes.element_size() for _, _, codes in self._kept.values())


class Subject:
    """A frozen model cut at a layer: a feature map `x -> z` and the rest of the network.

    Parameters
    ----------
    model
        The loaded model, or what loads it when it is first needed (a cell of a pair often needs
        prepared tensors only).
    layer
        A named layer, a dotted module path, or "output".
    samples
        Samples of the dataset (a few are used): they tell the native shape of the codes. None in
        a task without a dataset.
    label
        The model's label, where it is loaded later.
    codes
        Where codes are shared between probes.
    memory_budget
        Bytes for one chunk of a forward pass.

    Raises
    ------
    LayerError
        If the model has no such layer (when the model is first used).
    """

    def __init__(
        self,
        model: LoadedModel | Callable[[], LoadedModel],
        layer: str = "encoder",
        *,
        samples: Samples | None,
        label: str = "",
        codes: CodeStore | None = None,
        memory_budget: int = 1 << 28,
    ) -> None:
        self._source = model
        self._samples = samples
        self.label = label or (model.label if isinstance(model, LoadedModel) else "")
        self.layer = layer
        self._codes = codes if codes is not None else MemoryCodes()
        self._memory_budget = memory_budget
        self._shape: torch.Size | None = None
        self._reads_batch_size = False

    @cached_property
    def _model(self) -> LoadedModel:
        return self._source if isinstance(self._source, LoadedModel) else self._source()

    @cached_property
    def _path(self) -> str:
        return resolve_layer(self._model.module, self._model.layers, self.layer)

    @property
    def module(self) -> torch.nn.Module:
        """The network itself, in eval mode, parameters frozen."""
        return self._model.module

    @property
    def named_layers(self) -> list[str]:
        """The names that the layer `"*"` stands for."""
        return list(self._model.named_layers)

    @property
    def weights(self) -> dict[str, Tensor]:
        """Parameters and buffers by name."""
        return dict(self.module.state_dict())

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype of the weights (None for a model without any)."""
        return self._model.dtype

    def offers(self, capability: str) -> bool:
        """Whether the model has a method of that name (`encode` and `weights` all have)."""
        if capability in {"encode", "weights"}:
            return True
        return callable(getattr(self.module, capability, None))

    def use(self, capability: str, *args: Any) -> Any:
        """Call the model's method of that name, without gradients.

        Raises
        ------
        UnsupportedError
            If the model does not offer it.
        """
        if not self.offers(capability):
            raise UnsupportedError(f"The model {self.label!r} does not offer {capability!r}.")
        with torch.no_grad():
            return getattr(self.module, capability)(*map(self._fit, args))

    def cut(self, layer: str) -> Subject:
        """The same model cut at another layer."""
        return self._derived(self._source, layer)

    def at(self, epoch: Epoch) -> Subject:
        """The same model at a kept checkpoint ("init", an epoch, "final")."""
        return self._derived(self._model.at(epoch), self.layer)

    def _derived(self, model: LoadedModel | Callable[[], LoadedModel], layer: str) -> Subject:
        return Subject(
            model,
            layer,
            label=self.label,
            samples=self._samples,
            codes=self._codes,
            memory_budget=self._memory_budget,
        )

    @property
    def checkpoints(self) -> tuple[Epoch, ...]:
        """The kept checkpoints, in the order of training."""
        return self._model.checkpoints

    def _fit(self, x: Any) -> Any:
        dtype, device = self._model.dtype, self._model.device

        def move(tensor: Tensor) -> Tensor:
            fitting = tensor.dtype if dtype is None or not tensor.is_floating_point() else dtype
            return tensor.to(device=device, dtype=fitting)

        return map_samples(move, x) if isinstance(x, Tensor | Mapping) else x

    def __call__(self, x: Samples) -> Tensor:
        """The network's full output `(n, ...)`, without gradients, in chunks.

        Raises
        ------
        NonFiniteError
            If a value is NaN or infinite.
        """
        return self._evaluate(x, [""])[""]

    def encode(self, x: Samples) -> Tensor:
        """The codes `(n, features)`, without gradients; stops at the layer.

        Codes of the same array are computed once and shared by all probes.

        Raises
        ------
        NonFiniteError
            If a code is NaN or infinite.
        """
        codes = self._codes.get(self._model, self._path, x)
        if codes is None:
            codes = self._evaluate(x, [self._path])[self._path]
            self._codes.put(self._model, self._path, x, codes)
        return _as_rows(codes)

    def encode_layers(self, names: Iterable[str], x: Samples) -> None:
        """Compute the codes of several layers in one forward pass, for `encode` to find."""
        paths = [resolve_layer(self.module, self._model.layers, name) for name in names]
        missing = [
            path for path in dict.fromkeys(paths) if self._codes.get(self._model, path, x) is None
        ]
        if missing:
            for path, codes in self._evaluate(x, missing).items():
                self._codes.put(self._model, path, x, codes)

    def codes_and_output(self, x: Samples) -> tuple[Tensor, Tensor]:
        """Codes `(n, features)` and full output `(n, ...)` from one forward pass, not stored.

        For samples that are made on the way (moved, perturbed): `encode` would keep their codes.

        Raises
        ------
        NonFiniteError
            If a value is NaN or infinite.
        """
        values = self._evaluate(x, list(dict.fromkeys([self._path, ""])))
        return _as_rows(values[self._path]), values[""]

    def _evaluate(self, x: Samples, paths: list[str]) -> dict[str, Tensor]:
        def forward(batch: Samples) -> dict[str, Tensor]:
            found = run_to(self.module, paths, self._fit(batch))
            for path, value in found.items():
                if value.ndim == 0 or len(value) != count(batch):
                    raise LayerError(
                        f"The layer {path or OUTPUT!r} of {self.label!r} gives the shape "
                        f"{tuple(value.shape)} for {count(batch)} samples: the first axis must be "
                        "the sample."
                    )
            return found

        with torch.no_grad():
            values = in_chunks(forward, x, memory_budget=self._memory_budget)
        for path, value in values.items():
            bad = ~torch.isfinite(value.reshape(len(value), -1)).all(dim=1)
            if bool(bad.any()):
                where = f"at layer {path!r}" if path else "in its output"
                raise NonFiniteError(
                    f"The model {self.label!r} gives NaN or infinite values {where} for "
                    f"{int(bad.sum())} of {len(bad)} samples."
                )
        return values

    def feature_map(self, x: Tensor) -> Tensor:
        """The differentiable map from a batch `(n, ...)` to codes `(n, features)`.

        Works under `torch.func` (jvp, vjp, jacrev, vmap over a batch of one).
        """
        return _as_rows(run_to(self.module, [self._path], self._fit(x))[self._path])

    def head(self, z: Tensor) -> Tensor:
        """The rest of the network, from codes `(n, features)` to outputs, differentiable.

        The codes need not be this model's own.

        Raises
        ------
        LayerError
            If the network's output does not depend on the layer alone.
        """
        if not self._path:
            return z
        if self._samples is None:
            raise UnsupportedError("The head needs the shape of the inputs, so a [dataset].")
        if self._shape is None:
            self._shape = self._checked_shape(self._samples)
        z = self._fit(z)
        template = self._template(self._samples, len(z) if self._reads_batch_size else 1)
        return run_from(self.module, self._path, z.reshape(len(z), *self._shape[1:]), template)

    def _template(self, samples: Samples, rows: int) -> Samples:
        """What the part before the layer runs on: the first sample, `rows` times."""
        first = take(samples, slice(0, 1))
        if count(samples) == 1:  # something else than the sample that the cut is checked with
            first = map_samples(torch.zeros_like, first)
        repeated: Samples = self._fit(map_samples(partial(_repeat_last, times=rows - 1), first))
        return repeated

    @torch.no_grad()
    def _checked_shape(self, samples: Samples) -> torch.Size:
        """The native shape of the codes, once it is sure that the layer cuts the network."""
        n = count(samples)
        few = take(samples, slice(max(0, n - 3), n))
        both = run_to(self.module, [self._path, ""], self._fit(few))
        codes, output = both[self._path], both[""]
        scale = output.abs().max().clamp(min=1.0)
        inexact = output.is_floating_point() or output.is_complex()
        tolerance = torch.finfo(output.dtype).eps ** 0.5 if inexact else 0.0
        for rows in (1, count(few)):  # one is enough, unless the network reads the batch size of x
            try:
                joined = run_from(self.module, self._path, codes, self._template(samples, rows))
            except RuntimeError:  # batches of two sizes met
                continue
            same_shape = joined.shape == output.shape
            if same_shape and (joined - output).abs().max() <= tolerance * scale:
                self._reads_batch_size = rows > 1
                return codes.shape
        raise LayerError(
            f"The layer {self.layer!r} of {self.label!r} does not cut the network: its output does "
            "not depend on that layer alone (a connection goes around it). Choose a later layer."
        )
