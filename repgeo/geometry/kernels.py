"""The geometry of kernels: infinitely wide networks, dot products, rescaled kernels.

A kernel k(x, y) is the inner product of features, whose pullback metric is its mixed derivative
g_ij = d^2 k / dx_i dy_j at y = x. Where k depends on |x|, |y| and x . y only, the metric is radial:
g = a(r) I + b(r) x x^T with r = |x|^2.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.geometry.determinants import PrecisionWarning
from repgeo.geometry.moments import Activation, Elementwise, activation_named, derivatives

__all__ = [
    "RadialGeometry",
    "RadialProfile",
    "dot_product_geometry",
    "kernel_geometry",
    "kernel_metric",
    "polynomial_geometry",
    "rbf_geometry",
    "rescaled_metric",
]


@dataclass(frozen=True)
class RadialProfile:
    """The functions a and b of a radial metric at some r, with the derivatives that R needs.

    Attributes
    ----------
    a, a1, a2
        a(r) and its first two derivatives, each `(B,)`.
    b, b1
        b(r) and its derivative, each `(B,)`.
    """

    a: Tensor
    a1: Tensor
    a2: Tensor
    b: Tensor
    b1: Tensor


@dataclass(frozen=True)
class RadialGeometry:
    """A metric g(x) = a(r) I + b(r) x x^T, r = |x|^2, in any dimension d.

    Attributes
    ----------
    profile
        From r `(B,)`, float64, to a and b.
    """

    profile: Callable[[Tensor], RadialProfile]

    def metric(self, x: Tensor) -> Tensor:
        """G `(B, d, d)` at inputs `(B, d)`, in their dtype."""
        rows = _rows(x)
        made = self.profile(rows.square().sum(dim=1))
        one = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
        outer = rows[:, :, None] * rows[:, None, :]
        return (made.a[:, None, None] * one + made.b[:, None, None] * outer).to(x.dtype)

    def log_volume(self, x: Tensor) -> Tensor:
        """Log sqrt det g = ((d-1) log a + log(a + b r)) / 2 at inputs `(B, d)`, nats, float64."""
        rows = _rows(x)
        r = rows.square().sum(dim=1)
        made = self.profile(r)
        tangential = (rows.shape[1] - 1) * made.a.log() if rows.shape[1] > 1 else 0.0
        return 0.5 * (tangential + (made.a + made.b * r).log())

    def scalar_curvature(self, x: Tensor) -> Tensor:
        """R at inputs `(B, d)`, in their dtype; unit spheres have d (d - 1).

        With N = a + a' r, M = a (a + b r) and primes for d/dr,

            R = -2 (d-1) (2 N'/M - N M'/M^2) + (d-1)(d-2) (a b - 2 a a' - a'^2 r) / (a M),

        which is -2 (d-1) B''/B + (d-1)(d-2) (1 - B'^2) / B^2 in arc length, B = sqrt(a r), without
        its division by r at the origin.

        Warns
        -----
        PrecisionWarning
            If the metric is degenerate at some inputs; the curvature there is NaN.
        """
        rows = _rows(x)
        d = rows.shape[1]
        r = rows.square().sum(dim=1)
        p = self.profile(r)
        N, N1 = p.a + p.a1 * r, 2 * p.a1 + p.a2 * r
        radial = p.a + p.b * r
        M = p.a * radial
        M1 = p.a1 * radial + p.a * (p.a1 + p.b1 * r + p.b)
        between = (p.a * p.b - 2 * p.a * p.a1 - p.a1.square() * r) / (p.a * M)
        R = (d - 1) * ((d - 2) * between - 2 * (2 * N1 / M - N * M1 / M.square()))
        degenerate = ~((p.a > 0) & (radial > 0))
        if bool(degenerate.any()):
            warnings.warn(
                f"The metric is degenerate at {int(degenerate.sum())} of {len(rows)} inputs: "
                "there is no curvature there (NaN).",
                PrecisionWarning,
                stacklevel=2,
            )
        return R.where(~degenerate, torch.nan).to(x.dtype)


def _rows(x: Tensor) -> Tensor:
    if x.ndim != 2 or not x.is_floating_point() or x.shape[1] == 0:
        raise InputError(
            f"Inputs must be floating point (B, d), got {tuple(x.shape)}, {x.dtype}. "
            "Flatten them: x.flatten(1)."
        )
    return x.detach().double()


def kernel_geometry(
    activation: str | Activation,
    *,
    weight_var: float = 1.0,
    bias_var: float = 0.0,
    depth: int = 1,
) -> RadialGeometry:
    r"""The geometry of infinitely wide random networks: that of their kernel E phi(z) phi(z').

    Weights of the first layer are N(0, weight_var), biases N(0, bias_var); deeper layers have
    weights N(0, weight_var / width). The features are the last hidden layer after its activation,
    divided by sqrt(width). With C(s) = E_{z ~ N(0, s)} phi'(z)^2 and V(s) = E phi(z)^2,

        s_1 = weight_var r + bias_var,   a = weight_var,   b = 0,
        and in each layer  a <- C(s) a,   b <- C(s) b + 2 C'(s) (ds/dr)^2,

    with s <- weight_var V(s) + bias_var, a <- weight_var a, b <- weight_var b between layers. One
    layer gives g = e^W [I + 2 W' x x^T] with e^W = weight_var C(s).

    Parameters
    ----------
    activation
        "erf_sqrt2" (erf(z / sqrt 2)), "erf" (erf(z), as in torch), "relu", "sin", "identity" in
        closed form; "sigmoid", "tanh", "gelu", "softplus" by quadrature to rounding;
        `monomial(q)`, `leaky_relu(slope)`, or an `Activation` of your own.
    weight_var, bias_var
        Variances; `weight_var` is not divided by the number of inputs.
    depth
        The number of hidden layers.

    Raises
    ------
    InputError
        If a variance or the depth is out of range, or the activation is unknown.

    Notes
    -----
    Networks with ReLUs have flat metrics at any depth. Cost: O(1) for each input and layer in
    closed form, about a thousand evaluations of phi else.

    References
    ----------
    J. A. Zavatone-Veth, S. Yang, J. A. Rubinfien, C. Pehlevan, "Neural networks learn to magnify
    areas near decision boundaries" (2023), arXiv:2301.11375. Curvatures here have the textbook
    factor, a third of the one in their code.

    Examples
    --------
    >>> x = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    >>> relu = kernel_geometry("relu", depth=3)
    >>> relu.metric(x).tolist(), relu.scalar_curvature(x).tolist()
    ([[[0.125, 0.0], [0.0, 0.125]]], [0.0])
    """
    made = activation_named(activation)
    if not weight_var > 0 or not bias_var >= 0:
        raise InputError(
            f"weight_var must be positive and bias_var not negative, got {weight_var}, {bias_var}."
        )
    if depth < 1:
        raise InputError(f"depth counts hidden layers, at least 1; got {depth}.")

    def profile(r: Tensor) -> RadialProfile:
        zero = torch.zeros_like(r)
        s, s1, s2 = weight_var * r + bias_var, zero + weight_var, zero
        a, a1, a2, b, b1 = zero + weight_var, zero, zero, zero, zero
        for layer in range(depth):
            if layer:
                v, v1, v2 = made.square_moments(s)
                # The chain rule for V(s(r)); all of a and b get the variance of the weights.
                s = weight_var * v + bias_var
                s2, s1 = weight_var * (v2 * s1.square() + v1 * s2), weight_var * v1 * s1
                a, a1, a2, b, b1 = (weight_var * value for value in (a, a1, a2, b, b1))
            c, c1, c2 = made.slope_moments(s)
            slope, bend = c1 * s1, c2 * s1.square() + c1 * s2  # of C(s(r))
            b, b1 = (
                c * b + 2 * c1 * s1.square(),
                slope * b + c * b1 + 2 * c2 * s1**3 + 4 * c1 * s1 * s2,
            )
            a, a1, a2 = c * a, slope * a + c * a1, bend * a + 2 * slope * a1 + c * a2
        return RadialProfile(a, a1, a2, b, b1)

    return RadialGeometry(profile)


def dot_product_geometry(h: Elementwise) -> RadialGeometry:
    """The geometry of a kernel k(x, y) = h(x . y): a = h'(r), b = h''(r).

    Parameters
    ----------
    h
        Elementwise, three times differentiable, in torch operations.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    >>> dot_product_geometry(torch.exp).metric(torch.zeros_like(x)).tolist()
    [[[1.0, 0.0], [0.0, 1.0]]]
    """

    def profile(r: Tensor) -> RadialProfile:
        _, first, second, third = derivatives(h, 3)(r)
        return RadialProfile(first, second, third, second, third)

    return RadialGeometry(profile)


def polynomial_geometry(degree: int, *, offset: float = 0.0) -> RadialGeometry:
    """The geometry of the kernel (x . y + offset)^degree.

    Without an offset R = -(d-1)(d-2)(degree-1) / (degree r^degree): cones, flat in the plane.

    Raises
    ------
    InputError
        If the degree is below 1 or the offset negative: the kernel is then not positive.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    >>> polynomial_geometry(2).scalar_curvature(x).tolist()
    [-1.0]
    """
    if degree < 1 or offset < 0:
        raise InputError(
            f"The degree must be at least 1 and the offset not negative, got {degree}, {offset}."
        )
    return dot_product_geometry(lambda t: (t + offset) ** degree)


def rbf_geometry(length_scale: float) -> RadialGeometry:
    """The geometry of exp(-|x - y|^2 / (2 length_scale^2)): flat, g = I / length_scale^2.

    Raises
    ------
    InputError
        If the length scale is not positive.

    Examples
    --------
    >>> rbf_geometry(0.5).metric(torch.ones(1, 2)).tolist()
    [[[4.0, 0.0], [0.0, 4.0]]]
    """
    if not length_scale > 0:
        raise InputError(f"The length scale must be positive, got {length_scale}.")

    def profile(r: Tensor) -> RadialProfile:
        zero = torch.zeros_like(r)
        return RadialProfile(zero + length_scale**-2, zero, zero, zero, zero)

    return RadialGeometry(profile)


def kernel_metric(kernel: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Tensor:
    """The metric of any smooth kernel, g_ij = d^2 k(x, y) / dx_i dy_j at y = x.

    Parameters
    ----------
    kernel
        From two inputs `(d,)` to a scalar.
    x
        Inputs `(B, d)`.

    Returns
    -------
    Tensor
        `(B, d, d)`, in the dtype of `x`.

    Examples
    --------
    >>> kernel_metric(lambda x, y: (x @ y) ** 2, torch.tensor([[1.0, 0.0]])).tolist()
    [[[4.0, 0.0], [0.0, 2.0]]]
    """

    def at(point: Tensor) -> Tensor:
        def slope(left: Tensor) -> Tensor:
            made: Tensor = torch.func.grad(lambda right: kernel(left, right))(point)
            return made

        made: Tensor = torch.func.jacfwd(slope)(point)
        return made

    mixed = torch.stack([at(point) for point in x.detach()])
    return 0.5 * (mixed + mixed.mT)


def rescaled_metric(
    kernel: Callable[[Tensor, Tensor], Tensor], scale: Callable[[Tensor], Tensor], x: Tensor
) -> Tensor:
    """The metric of the rescaled kernel h(x) h(y) k(x, y), from those of k and of h.

    With K(x) = k(x, x) and g the metric of k, in terms of gradients dh and dK,

        g~ = h^2 g + K dh dh^T + h (dh dK^T + dK dh^T) / 2,

    conformal to g only where dh = 0.

    Parameters
    ----------
    kernel
        From two inputs `(d,)` to a scalar.
    scale
        h, from an input `(d,)` to a scalar.
    x
        Inputs `(B, d)`.

    References
    ----------
    S. Amari, S. Wu, "Improving support vector machine classifiers by modifying kernel functions"
    (1999), Neural Networks 12.

    Examples
    --------
    >>> x = torch.tensor([[1.0, 0.0]])
    >>> rescaled_metric(lambda x, y: x @ y, lambda x: 2 + 0 * x.sum(), x).tolist()
    [[[4.0, 0.0], [0.0, 4.0]]]
    """
    parts = []
    for point, metric in zip(x.detach(), kernel_metric(kernel, x), strict=True):
        h, dh = scale(point), torch.func.grad(scale)(point)
        K, dK = kernel(point, point), torch.func.grad(lambda p: kernel(p, p))(point)
        mixed = torch.outer(dh, dK)
        parts.append(h**2 * metric + K * torch.outer(dh, dh) + 0.5 * h * (mixed + mixed.T))
    return torch.stack(parts)
