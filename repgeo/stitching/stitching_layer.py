"""A small trained layer between one model's encoder and another model's frozen head."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Final, Literal, Self, TypeAlias, get_args

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from repgeo.errors import InputError, NonFiniteError, nearest
from repgeo.stitching.codes import Codes, as_codes, like_codes
from repgeo.stitching.translators.least_squares import LeastSquaresTranslator
from repgeo.stitching.translators.orthogonal import OrthogonalTranslator

__all__ = ["LayerKind", "LayerStart", "StitchingLayer", "stitching_penalty"]

LayerKind: TypeAlias = Literal["linear", "affine", "orthogonal"]
LayerStart: TypeAlias = Literal["identity", "random", "least_squares"]

#: From codes `(n, target features)` to logits `(n, classes)`, differentiable.
Head: TypeAlias = Callable[[Tensor], Tensor]

_KINDS: Final[tuple[str, ...]] = get_args(LayerKind)
_STARTS: Final[tuple[str, ...]] = get_args(LayerStart)
_ROWS: Final = 8192  # codes that pass the head at a time


@dataclass(frozen=True, eq=False)
class StitchingLayer:
    r"""The layer z -> z W + b that a frozen head works best behind, by the head's own loss.

    Minimises, over W and b of the chosen kind,

        mean_i CE(head(z_i W + b), y_i) + penalty/2 * (\|s (W - W_0)\|^2 + \|b' - b'_0\|^2),

    from the start W_0, b_0; s is the root mean square of the codes' (centred) entries, and b' the
    image of the codes' mean. The penalty draws towards the start and means the same for codes of
    any size.

    ========== ==================================================================================
    linear     any W, no b
    affine     any W and b
    orthogonal W with orthonormal rows or columns, any b: W = W_0 exp(A) or exp(A) W_0, with A
               antisymmetric; with it, the penalty is on A in place of s (W - W_0)
    ========== ==================================================================================

    Starts: "identity" (ones on the diagonal, so that features are padded with zeros or cut off),
    "random" (normal entries of variance 1 / source features; for "orthogonal" a random rotation),
    or "least_squares" (the translator of that kind, fitted on paired codes: `direct matching`,
    which a trained layer should be compared with, as training can use the head in other ways than
    its own model does).

    The optimiser is L-BFGS on the full batch, in float64: no step size, no batches and no order of
    samples that the answer could depend on, and a loss that never rises above the start's. The
    linear kinds before a linear head are convex problems. A classifier that separates the samples
    has no finite optimum without a penalty; then `iterations` ends the descent.

    Parameters
    ----------
    kind
        "linear", "affine" or "orthogonal".
    start
        "identity", "random" or "least_squares".
    penalty
        At least 0.
    iterations
        The largest number of steps; 0 leaves the layer at its start, untrained.
    gradient
        The largest entry of the gradient at which the descent has converged.

    Attributes
    ----------
    weight_, bias_
        `(source features, target features)` and `(target features,)`, float64. Set by `fit`.
    start_loss_, loss_
        The mean cross-entropy (nats) over the fit's codes before and after. Set by `fit`.
    converged_
        Whether the gradient got below `gradient`. Set by `fit`.

    Raises
    ------
    InputError
        If a parameter is unknown or out of its range.

    Notes
    -----
    Each step passes all codes through the head, forward and backward, about once. Sources: Lenc and
    Vedaldi 2015 (arXiv 1411.5908); Bansal, Nakkiran and Barak 2021 (arXiv 2106.07682); against
    direct matching: Csiszárik et al. 2021 (arXiv 2110.14633); on what a low penalty does not show:
    Hernandez et al. 2023 (arXiv 2303.11277), Balogh and Jelasity 2024 (arXiv 2412.11299).

    Examples
    --------
    A head that reads the sign of the first feature, behind codes with features swapped:

    >>> codes = torch.tensor([[0.0, 1.0], [1.0, -2.0], [0.0, 2.0], [-1.0, -1.0]])
    >>> labels = torch.tensor([1, 0, 1, 0])
    >>> head = lambda z: torch.stack([-z[:, 0], z[:, 0]], dim=1)
    >>> layer = StitchingLayer("orthogonal", penalty=0.1).fit(codes, labels, head)
    >>> (layer.transform(codes)[:, 0] > 0).long().tolist()
    [1, 0, 1, 0]
    """

    kind: LayerKind = "affine"
    _: KW_ONLY
    start: LayerStart = "identity"
    penalty: float = 0.0
    iterations: int = 200
    gradient: float = 1e-5
    weight_: Tensor = field(init=False, repr=False)
    bias_: Tensor = field(init=False, repr=False)
    start_loss_: float = field(init=False, repr=False)
    loss_: float = field(init=False, repr=False)
    converged_: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise InputError(f"Unknown kind {self.kind!r}. {nearest(self.kind, _KINDS)}")
        if self.start not in _STARTS:
            raise InputError(f"Unknown start {self.start!r}. {nearest(self.start, _STARTS)}")
        if not 0.0 <= self.penalty < float("inf"):
            raise InputError(f"The penalty must be 0 or positive, got {self.penalty}.")
        if self.iterations < 0 or not self.gradient > 0:
            raise InputError(
                "iterations must be 0 or more and gradient positive, got "
                f"{self.iterations} and {self.gradient}."
            )

    def fit(
        self,
        codes: Tensor | np.ndarray,
        labels: Tensor,
        head: Head,
        *,
        target: Tensor | np.ndarray | int | None = None,
        generator: torch.Generator | None = None,
    ) -> Self:
        """Train the layer in front of the head and return it.

        Parameters
        ----------
        codes
            The encoder side's codes `(n, source features)`.
        labels
            `(n,)`, integers: columns of the head's logits.
        head
            From codes `(n, target features)`, of the dtype of `codes`, to logits `(n, classes)`.
            It must be frozen in the sense that its answer to a code depends on nothing else: put
            modules into `eval()`. Its weights are not touched.
        target
            The number of features that the head takes (default: as many as `codes` have), or the
            target's own codes of the same samples, which "least_squares" needs.
        generator
            Of the start "random".

        Raises
        ------
        InputError
            If shapes do not fit, values are NaN or infinite, or what the start needs is missing.
        NonFiniteError
            If the head answers NaN or infinite values at the start.
        """
        source = as_codes(codes, "codes").detach()
        problem = _Problem(self, source, labels, head, self._started(source, target, generator))
        weight, bias, loss, steepest = problem.solved()
        for name, value in {
            "weight_": weight,
            "bias_": bias,
            "start_loss_": problem.start_loss,
            "loss_": loss,
            "converged_": steepest <= self.gradient,
        }.items():
            object.__setattr__(self, name, value)
        return self

    def transform(self, codes: Codes) -> Codes:
        """Codes `(n, source features)` as the head takes them, `(n, target features)`.

        Raises
        ------
        InputError
            If the layer is not fitted, the number of features does not fit, or a value is NaN or
            infinite.
        """
        if not hasattr(self, "weight_"):
            raise InputError("This layer is not fitted. Call fit(codes, labels, head) first.")
        tensor = as_codes(codes, "codes")
        if tensor.shape[1] != len(self.weight_):
            raise InputError(
                f"The layer takes codes (n, {len(self.weight_)}), got {tuple(tensor.shape)}."
            )
        device = tensor.device
        return like_codes(tensor.double() @ self.weight_.to(device) + self.bias_.to(device), codes)

    def _started(
        self,
        source: Tensor,
        target: Tensor | np.ndarray | int | None,
        generator: torch.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        """The weight and bias of the start, float64."""
        features = source.shape[1]
        if self.start == "least_squares":
            if target is None or isinstance(target, int):
                raise InputError(
                    "The start 'least_squares' needs the target's codes of the same samples: give "
                    "target=..., or start from 'identity' or 'random'."
                )
            paired = as_codes(target, "target codes")
            translator: OrthogonalTranslator | LeastSquaresTranslator = OrthogonalTranslator()
            if self.kind != "orthogonal":
                translator = LeastSquaresTranslator(center=self.kind == "affine")
            fitted = translator.fit(source, paired)
            bias = fitted.target_mean_ - fitted.source_mean_ @ fitted.matrix_
            return fitted.matrix_, bias
        if isinstance(target, int):
            width = target
        else:
            width = features if target is None else as_codes(target, "target codes").shape[1]
        weight = torch.eye(features, width, dtype=torch.float64)
        if self.start == "random":
            if generator is None:
                raise InputError("The start 'random' needs a generator.")
            weight = torch.randn(features, width, dtype=torch.float64, generator=generator)
            weight = weight / features**0.5
            if self.kind == "orthogonal":
                left, _, right = torch.linalg.svd(weight, full_matrices=False)
                weight = left @ right
        return weight.to(source.device), weight.new_zeros(width, device=source.device)


def stitching_penalty(
    head: Head,
    stitched: Tensor | np.ndarray,
    own: Tensor | np.ndarray,
    labels: Tensor,
) -> Tensor:
    """How much the head loses, sample by sample, on stitched codes in place of its own.

    CE(head(stitched_i), y_i) - CE(head(own_i), y_i), in nats; its mean is the stitching penalty.
    Negative where the stitched codes serve the head better than those of its own encoder.

    Parameters
    ----------
    head
        From codes to logits.
    stitched, own
        Codes `(n, target features)` of the same samples: from the other encoder by a layer or a
        translator, and from the head's own encoder.
    labels
        `(n,)`, integers: columns of the logits.

    Returns
    -------
    Tensor
        `(n,)`, float64.

    Raises
    ------
    InputError
        If shapes do not fit.

    Notes
    -----
    Source: Bansal, Nakkiran and Barak 2021 (arXiv 2106.07682).

    Examples
    --------
    >>> own, labels = torch.tensor([[2.0, 0.0]]), torch.tensor([0])
    >>> stitching_penalty(lambda z: z, own.flip(1), own, labels)
    tensor([2.], dtype=torch.float64)
    """
    losses = []
    for codes, name in ((stitched, "stitched codes"), (own, "own codes")):
        tensor = as_codes(codes, name)
        _check_labels(labels, len(tensor))
        blocks = _blocks(tensor, labels.to(tensor.device))
        with torch.no_grad():
            losses.append(torch.cat([_cross_entropy(head, z, y) for z, y in blocks]))
    return losses[0] - losses[1].to(losses[0].device)


def _check_labels(labels: Tensor, n: int) -> None:
    if labels.shape != (n,) or labels.is_floating_point() or labels.dtype == torch.bool:
        raise InputError(
            f"The labels must be integers ({n},), one per code, got {labels.dtype} "
            f"{tuple(labels.shape)}."
        )


def _blocks(codes: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Codes and labels, so many rows at a time as pass the head at once."""
    return list(zip(torch.split(codes, _ROWS), torch.split(labels, _ROWS), strict=True))


def _cross_entropy(head: Head, codes: Tensor, labels: Tensor) -> Tensor:
    """Of each sample, `(n,)`, float64."""
    logits = head(codes)
    if logits.ndim != 2 or len(logits) != len(codes):
        raise InputError(
            f"The head must answer logits ({len(codes)}, classes), got {tuple(logits.shape)}."
        )
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
        raise InputError(
            f"The labels must be columns of the head's {logits.shape[1]} logits, got "
            f"{int(labels.min())} to {int(labels.max())}."
        )
    return torch.nn.functional.cross_entropy(logits.double(), labels.long(), reduction="none")


class _Problem:
    """The loss as a function of a flat vector, which is zero at the start."""

    def __init__(
        self,
        layer: StitchingLayer,
        codes: Tensor,
        labels: Tensor,
        head: Head,
        start: tuple[Tensor, Tensor],
    ) -> None:
        _check_labels(labels, len(codes))
        if len(codes) == 0:
            raise InputError("A stitching layer needs codes to be trained on, got none.")
        self.layer, self.head, self.dtype = layer, head, codes.dtype
        self.labels = labels.to(codes.device)
        self.codes = codes.double()
        self.weight, self.bias = start
        self.mean = torch.zeros_like(self.codes[0])
        if layer.kind != "linear":
            self.mean = self.codes.mean(dim=0)
        spread = float((self.codes - self.mean).square().mean().sqrt())
        self.spread = spread if spread > 0.0 else 1.0
        d1, d2 = self.weight.shape
        larger = max(d1, d2)
        self.upper = torch.triu_indices(larger, larger, offset=1, device=codes.device)
        self.moves = self.upper.shape[1] if layer.kind == "orthogonal" else d1 * d2
        self.size = self.moves + (0 if layer.kind == "linear" else d2)
        self.start_loss = self._losses(*self._layer(self._flat(np.zeros(self.size))))[0]
        if not np.isfinite(self.start_loss):
            raise NonFiniteError(
                "The head answers NaN or infinite values on the codes as the layer starts with "
                f"them (start={layer.start!r}). Start nearer to the head's own codes."
            )

    def _flat(self, vector: np.ndarray) -> Tensor:
        return torch.from_numpy(vector.copy()).to(self.codes.device)

    def _layer(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Weight and bias, differentiable with respect to the vector."""
        moves = flat[: self.moves]
        if self.layer.kind == "orthogonal":
            larger = max(self.weight.shape)
            skew = flat.new_zeros(larger, larger).index_put((self.upper[0], self.upper[1]), moves)
            turn = torch.matrix_exp(skew - skew.T)
            first = self.weight.shape[0] > self.weight.shape[1]
            weight = turn @ self.weight if first else self.weight @ turn
        else:
            weight = self.weight + moves.view_as(self.weight) / self.spread
        if self.layer.kind == "linear":
            return weight, self.bias
        # The bias moves the image of the mean: apart from the weight's doing.
        return weight, self.bias + flat[self.moves :] - self.mean @ (weight - self.weight)

    def _losses(self, weight: Tensor, bias: Tensor) -> tuple[float, Tensor, Tensor]:
        """Mean cross-entropy, and its gradients with respect to weight and bias."""
        weight, bias = (t.detach().clone().requires_grad_(True) for t in (weight, bias))
        total, by_weight, by_bias = 0.0, torch.zeros_like(weight), torch.zeros_like(bias)
        for codes, labels in _blocks(self.codes, self.labels):
            moved = (codes @ weight + bias).to(self.dtype)
            loss = _cross_entropy(self.head, moved, labels).sum() / len(self.codes)
            total += float(loss.detach())
            parts = torch.autograd.grad(loss, (weight, bias))
            by_weight += parts[0]
            by_bias += parts[1]
        return total, by_weight, by_bias

    def value(self, vector: np.ndarray) -> tuple[float, np.ndarray]:
        """The objective and its gradient."""
        flat = self._flat(vector).requires_grad_(True)
        weight, bias = self._layer(flat)
        loss, by_weight, by_bias = self._losses(weight, bias)
        outputs, grads = [weight], [by_weight]
        if self.layer.kind != "linear":
            outputs, grads = [weight, bias], [by_weight, by_bias]
        (gradient,) = torch.autograd.grad(outputs, flat, grads)
        whole = loss + 0.5 * self.layer.penalty * float(vector @ vector)
        return whole, gradient.cpu().numpy() + self.layer.penalty * vector

    def solved(self) -> tuple[Tensor, Tensor, float, float]:
        """Weight, bias, loss and the largest entry of the gradient at the end of the descent."""
        start = np.zeros(self.size)
        vector, steepest = start, float(np.abs(self.value(start)[1]).max(initial=0.0))
        if self.layer.iterations > 0 and self.size > 0:
            found = minimize(
                self.value,
                start,
                jac=True,
                method="L-BFGS-B",
                options={
                    "gtol": self.layer.gradient,
                    "ftol": 0.0,
                    "maxiter": self.layer.iterations,
                    "maxfun": 2 * self.layer.iterations + 20,
                },
            )
            # A line search that failed may end above the start: then the start stays.
            if found.fun <= self.start_loss:
                vector, steepest = found.x, float(np.abs(found.jac).max())
        with torch.no_grad():
            weight, bias = self._layer(self._flat(vector))
        return weight, bias, self._losses(weight, bias)[0], steepest
