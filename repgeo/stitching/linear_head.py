"""Linear classifiers on frozen codes: the one convex fit, and the published stochastic one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from repgeo.errors import InputError, TrainingError

__all__ = ["DescentRecipe", "LinearHead", "descend_linear_head", "fit_linear_head", "normalized"]

_GRADIENT = 1e-5  # largest entry of the gradient at which the fit is finished
_ITERATIONS = 5000


@dataclass(frozen=True, eq=False)
class LinearHead:
    """Logits weight z + bias, one per class.

    Attributes
    ----------
    weight, bias
        `(classes, features)` and `(classes,)`, float64.
    classes
        The labels that the rows stand for, `(classes,)`, int64.
    """

    weight: Tensor
    bias: Tensor
    classes: Tensor

    def logits(self, codes: Tensor) -> Tensor:
        """The logits `(n, classes)` of codes `(n, features)`, float64.

        Raises
        ------
        InputError
            If the number of features does not fit.
        """
        if codes.ndim != 2 or codes.shape[1] != self.weight.shape[1]:
            raise InputError(
                f"The head takes codes (n, {self.weight.shape[1]}), got {tuple(codes.shape)}."
            )
        return codes.double() @ self.weight.T + self.bias

    def predict(self, codes: Tensor) -> Tensor:
        """The label with the largest logit, `(n,)`."""
        return self.classes[self.logits(codes).argmax(dim=1)]


def fit_linear_head(codes: Tensor, labels: Tensor, *, penalty: float = 1e-3) -> LinearHead:
    """Multinomial logistic regression with an L2 penalty: a strictly convex fit, one answer.

    Minimises, over weights V and biases c,

        mean_i CE(V u_i + c, y_i) + penalty/2 |V|^2,   u = (z - mean z) / s,

    with s the root mean square of all centred entries: one number, so that the fit goes along
    with rotations, translations and isotropic scaling of the codes, and so that the penalty means
    the same for codes of any size. The biases are not penalised. Head = V / s and c - V mean / s.
    Codes that are constant up to rounding (s at most 8 units of it) get the weight 0.

    Convex and without initialisation, batches or step sizes: heads of two models differ because
    their codes do, and for no other reason.

    Parameters
    ----------
    codes
        `(n, features)`.
    labels
        `(n,)`, integers. Only classes that occur get a row.
    penalty
        Positive.

    Raises
    ------
    InputError
        If shapes do not fit, values are NaN or infinite, or the penalty is not positive.
    TrainingError
        If the largest entry of the gradient is still above 1e-5 after 5,000 iterations.

    Notes
    -----
    L-BFGS on the full batch in float64; each iteration costs O(n features classes).

    Examples
    --------
    >>> codes = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]])
    >>> head = fit_linear_head(codes, torch.tensor([3, 3, 5, 5]))
    >>> head.predict(torch.tensor([[-0.5], [0.5]]))
    tensor([3, 5])
    """
    _check(codes, labels, penalty)
    classes, positions = torch.unique(labels.cpu(), return_inverse=True)
    wide = codes.detach().cpu().double().numpy()
    mean = wide.mean(axis=0)
    centred = wide - mean
    spread = float(np.sqrt(np.mean(centred**2)))
    if spread <= 8 * torch.finfo(codes.dtype).eps * float(np.abs(wide).max()):
        # Constant codes: what rounding left is no feature, the head answers the commonest class.
        spread, centred = 1.0, np.zeros_like(centred)
    features = np.concatenate([centred / spread, np.ones((len(wide), 1))], axis=1)
    solution = _minimise(features, positions.numpy(), len(classes), penalty)
    weight = solution[:, :-1] / spread
    bias = solution[:, -1] - weight @ mean
    device = codes.device
    return LinearHead(
        torch.from_numpy(weight).to(device),
        torch.from_numpy(bias).to(device),
        classes.to(device=device, dtype=torch.int64),
    )


@dataclass(frozen=True)
class DescentRecipe:
    """How `descend_linear_head` trains.

    Attributes
    ----------
    lr
        The learning rate of AdamW.
    epochs
        Passes over the codes.
    batch_size
        Codes per update.
    weight_decay
        Of AdamW, decoupled.
    """

    lr: float = 1e-3
    epochs: int = 40
    batch_size: int = 64
    weight_decay: float = 0.01


def descend_linear_head(
    codes: Tensor, labels: Tensor, *, recipe: DescentRecipe, generator: torch.Generator
) -> LinearHead:
    """Multinomial logistic regression by AdamW from zero weights: the answer depends on the path.

    Minimises mean_i CE(V z_i + c, y_i) for a fixed number of updates, in minibatches. Unlike
    `fit_linear_head` it knows nothing of the size of the codes: Adam moves each weight by about the
    learning rate in each update, so small codes (cosines divided by the root of the dimension)
    leave the logits small, and the fit short of its end. That is what published comparisons of
    relative representations are mixed up with; this head exists to show it.

    Zero weights treat all classes and features alike, so that relabelling the classes, or
    permuting features, moves the head along.

    Parameters
    ----------
    codes
        `(n, features)`, in float64 within.
    labels
        `(n,)`, integers. Only classes that occur get a row.
    recipe
        Learning rate, epochs, batch size, weight decay.
    generator
        A CPU generator: the order of the batches.

    Raises
    ------
    InputError
        If shapes do not fit, values are NaN or infinite, or the recipe is not positive.

    Notes
    -----
    O(epochs n features classes). Source of the optimiser: Loshchilov and Hutter 2019
    (arXiv 1711.05101).

    Examples
    --------
    >>> codes = torch.tensor([[-1.0], [-2.0], [1.0], [2.0]])
    >>> head = descend_linear_head(codes, torch.tensor([3, 3, 5, 5]),
    ...     recipe=DescentRecipe(lr=0.1), generator=torch.Generator().manual_seed(0))
    >>> head.predict(torch.tensor([[-0.5], [0.5]]))
    tensor([3, 5])
    """
    _check(codes, labels, 1.0)
    if min(recipe.lr, recipe.epochs, recipe.batch_size) <= 0 or recipe.weight_decay < 0:
        raise InputError(f"Rate, epochs and batch size must be positive, got {recipe}.")
    classes, positions = torch.unique(labels.cpu(), return_inverse=True)
    inputs = codes.detach().cpu().double().numpy()
    features = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    targets = np.zeros((len(inputs), len(classes)))
    targets[np.arange(len(inputs)), positions.numpy()] = 1.0
    descent = _AdamW(np.zeros((len(classes), features.shape[1])), recipe)
    for _ in range(recipe.epochs):
        order = torch.randperm(len(inputs), generator=generator).numpy()
        for start in range(0, len(order), recipe.batch_size):
            batch = order[start : start + recipe.batch_size]
            descent.update(_gradient(descent.weights, features[batch], targets[batch]))
    weights = torch.from_numpy(descent.weights).to(codes.device)
    return LinearHead(
        weights[:, :-1].contiguous(),
        weights[:, -1].contiguous(),
        classes.to(device=codes.device, dtype=torch.int64),
    )


def _gradient(weights: np.ndarray, features: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy: `(classes, features)`."""
    logits = features @ weights.T  # (batch, classes)
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    gradient: np.ndarray = (shares - targets).T @ features / len(features)
    return gradient


class _AdamW:
    """Adam with decoupled weight decay, with torch's other settings."""

    def __init__(self, weights: np.ndarray, recipe: DescentRecipe) -> None:
        self.weights = weights
        self._rate, self._decay = recipe.lr, 1.0 - recipe.lr * recipe.weight_decay
        self._first, self._second = np.zeros_like(weights), np.zeros_like(weights)
        self._steps = 0

    def update(self, gradient: np.ndarray) -> None:
        self._steps += 1
        self._first += 0.1 * (gradient - self._first)
        self._second += 0.001 * (gradient * gradient - self._second)
        spread = np.sqrt(self._second / (1.0 - 0.999**self._steps)) + 1e-8
        self.weights *= self._decay
        self.weights -= self._rate / (1.0 - 0.9**self._steps) * self._first / spread


def normalized(codes: Tensor) -> Tensor:
    """Codes `(n, features)`, each less its own mean over features, over its own deviation.

    Layer normalisation without learned scale and shift, which a linear head after it absorbs, and
    without an epsilon: it does not see the size of a code. A code whose features are all equal, up
    to 8 units of rounding, becomes 0.

    Raises
    ------
    InputError
        If the codes are not floating point `(n, features)`.

    Notes
    -----
    Source: Ba, Kiros, Hinton 2016 (arXiv 1607.06450).

    Examples
    --------
    >>> normalized(torch.tensor([[1.0, 3.0], [50.0, 10.0], [2.0, 2.0]]))
    tensor([[-1.,  1.],
            [ 1., -1.],
            [ 0.,  0.]])
    """
    if codes.ndim != 2 or not codes.is_floating_point():
        raise InputError(
            f"Codes must be floating point (n, features), got {codes.dtype} {tuple(codes.shape)}."
        )
    centred = codes - codes.mean(dim=1, keepdim=True)
    deviation = centred.square().mean(dim=1, keepdim=True).sqrt()
    rounding = 8 * torch.finfo(codes.dtype).eps
    same = deviation <= rounding * codes.abs().amax(dim=1, keepdim=True)
    return torch.where(same, 0.0, centred / torch.where(same, 1.0, deviation))


def _check(codes: Tensor, labels: Tensor, penalty: float) -> None:
    if codes.ndim != 2 or codes.shape[0] == 0 or not codes.is_floating_point():
        raise InputError(
            f"A head is fitted on floating-point codes (n, features), got {codes.dtype} "
            f"{tuple(codes.shape)}."
        )
    if labels.shape != codes.shape[:1] or labels.is_floating_point():
        raise InputError(
            f"A head needs integer labels ({len(codes)},), one per code, got {labels.dtype} "
            f"{tuple(labels.shape)}."
        )
    if not bool(torch.isfinite(codes).all()):
        raise InputError("The codes hold NaN or infinite values.")
    if not penalty > 0:
        raise InputError(f"The penalty must be positive, got {penalty}.")


def _minimise(
    features: np.ndarray, positions: np.ndarray, classes: int, penalty: float
) -> np.ndarray:
    """The weights `(classes, features + 1)` at the minimum, the bias in the last column."""
    n, width = features.shape
    targets = np.zeros((n, classes))
    targets[np.arange(n), positions] = 1.0
    penalised = np.full(width, penalty)
    penalised[-1] = 0.0

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(classes, width)
        logits = features @ weights.T  # (n, classes)
        logits -= logits.max(axis=1, keepdims=True)
        normaliser = np.log(np.exp(logits).sum(axis=1, keepdims=True))
        loss = float((normaliser[:, 0] - (logits * targets).sum(axis=1)).mean())
        gradient = (np.exp(logits - normaliser) - targets).T @ features / n
        loss += 0.5 * float((penalised * weights**2).sum())
        return loss, (gradient + penalised * weights).ravel()

    found = minimize(
        objective,
        np.zeros(classes * width),
        jac=True,
        method="L-BFGS-B",
        options={"gtol": _GRADIENT, "ftol": 0.0, "maxiter": _ITERATIONS, "maxfun": 2 * _ITERATIONS},
    )
    steepest = float(np.abs(found.jac).max())
    if not steepest <= _GRADIENT:
        raise TrainingError(
            f"The linear head did not converge: its gradient is {steepest:.1e} after "
            f"{found.nit} iterations. Raise the penalty (it is {penalty})."
        )
    return np.asarray(found.x).reshape(classes, width)
