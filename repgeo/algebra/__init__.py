"""Algebra of networks: dimension and degree of what they express, fibres, critical points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.algebra.arithmetic import EXACT, REAL
    from repgeo.algebra.dimension import (
        Dimension,
        neuromanifold_dimension,
        pointwise_dimension,
    )
    from repgeo.algebra.group_convolution import GroupCNN, group_cnn
    from repgeo.algebra.monomial_perceptron import MonomialMLP, monomial_mlp
    from repgeo.algebra.network import Network, Symmetry, network_jacobian
    from repgeo.algebra.polynomial_convolution import PolynomialCNN, polynomial_cnn
    from repgeo.algebra.rank import exact_rank
    from repgeo.algebra.self_attention import Attention, attention, effective_weights
    from repgeo.algebra.spectra import NumericalRank, numerical_rank

_EXPORTS = {
    "EXACT": "repgeo.algebra.arithmetic",
    "REAL": "repgeo.algebra.arithmetic",
    "Attention": "repgeo.algebra.self_attention",
    "Dimension": "repgeo.algebra.dimension",
    "GroupCNN": "repgeo.algebra.group_convolution",
    "MonomialMLP": "repgeo.algebra.monomial_perceptron",
    "Network": "repgeo.algebra.network",
    "NumericalRank": "repgeo.algebra.spectra",
    "PolynomialCNN": "repgeo.algebra.polynomial_convolution",
    "Symmetry": "repgeo.algebra.network",
    "attention": "repgeo.algebra.self_attention",
    "effective_weights": "repgeo.algebra.self_attention",
    "exact_rank": "repgeo.algebra.rank",
    "group_cnn": "repgeo.algebra.group_convolution",
    "monomial_mlp": "repgeo.algebra.monomial_perceptron",
    "network_jacobian": "repgeo.algebra.network",
    "neuromanifold_dimension": "repgeo.algebra.dimension",
    "numerical_rank": "repgeo.algebra.spectra",
    "pointwise_dimension": "repgeo.algebra.dimension",
    "polynomial_cnn": "repgeo.algebra.polynomial_convolution",
}

__all__ = [
    "EXACT",
    "REAL",
    "Attention",
    "Dimension",
    "GroupCNN",
    "MonomialMLP",
    "Network",
    "NumericalRank",
    "PolynomialCNN",
    "Symmetry",
    "attention",
    "effective_weights",
    "exact_rank",
    "group_cnn",
    "monomial_mlp",
    "network_jacobian",
    "neuromanifold_dimension",
    "numerical_rank",
    "pointwise_dimension",
    "polynomial_cnn",
]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
