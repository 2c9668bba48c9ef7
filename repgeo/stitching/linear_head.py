"""A linear classifier on frozen codes, without randomness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from repgeo.errors import InputError, TrainingError

__all__ = ["LinearHead", "fit_linear_head"]

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
