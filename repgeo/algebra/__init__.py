"""Algebra of networks: dimension and degree of what they express, fibres, critical points."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.algebra.arithmetic import EXACT, REAL
    from repgeo.algebra.contact import ContactOrder, contact_spectrum, predicted_contact
    from repgeo.algebra.criticality import (
        CriticalPoint,
        CriticalPoints,
        ProjectedLoss,
        critical_points,
        projected_loss,
    )
    from repgeo.algebra.dimension import (
        Dimension,
        neuromanifold_dimension,
        pointwise_dimension,
    )
    from repgeo.algebra.fibres import FibreReport, SymmetryCheck, fibre_check
    from repgeo.algebra.group_convolution import GroupCNN, group_cnn
    from repgeo.algebra.monomial_perceptron import MonomialMLP, monomial_mlp
    from repgeo.algebra.network import Network, Symmetry, network_jacobian
    from repgeo.algebra.polynomial_convolution import PolynomialCNN, polynomial_cnn
    from repgeo.algebra.rank import exact_rank
    from repgeo.algebra.self_attention import Attention, attention, effective_weights
    from repgeo.algebra.singular_points import AttentionPoint, attention_point, nodal_partner
    from repgeo.algebra.spectra import NumericalRank, numerical_rank

_EXPORTS = {
    "Attention": "repgeo.algebra.self_attention",
    "AttentionPoint": "repgeo.algebra.singular_points",
    "ContactOrder": "repgeo.algebra.contact",
    "CriticalPoint": "repgeo.algebra.criticality",
    "CriticalPoints": "repgeo.algebra.criticality",
    "Dimension": "repgeo.algebra.dimension",
    "EXACT": "repgeo.algebra.arithmetic",
    "FibreReport": "repgeo.algebra.fibres",
    "GroupCNN": "repgeo.algebra.group_convolution",
    "MonomialMLP": "repgeo.algebra.monomial_perceptron",
    "Network": "repgeo.algebra.network",
    "NumericalRank": "repgeo.algebra.spectra",
    "PolynomialCNN": "repgeo.algebra.polynomial_convolution",
    "ProjectedLoss": "repgeo.algebra.criticality",
    "REAL": "repgeo.algebra.arithmetic",
    "Symmetry": "repgeo.algebra.network",
    "SymmetryCheck": "repgeo.algebra.fibres",
    "attention": "repgeo.algebra.self_attention",
    "attention_point": "repgeo.algebra.singular_points",
    "contact_spectrum": "repgeo.algebra.contact",
    "critical_points": "repgeo.algebra.criticality",
    "effective_weights": "repgeo.algebra.self_attention",
    "exact_rank": "repgeo.algebra.rank",
    "fibre_check": "repgeo.algebra.fibres",
    "group_cnn": "repgeo.algebra.group_convolution",
    "monomial_mlp": "repgeo.algebra.monomial_perceptron",
    "network_jacobian": "repgeo.algebra.network",
    "neuromanifold_dimension": "repgeo.algebra.dimension",
    "nodal_partner": "repgeo.algebra.singular_points",
    "numerical_rank": "repgeo.algebra.spectra",
    "pointwise_dimension": "repgeo.algebra.dimension",
    "polynomial_cnn": "repgeo.algebra.polynomial_convolution",
    "predicted_contact": "repgeo.algebra.contact",
    "projected_loss": "repgeo.algebra.criticality",
}

__all__ = [
    "EXACT",
    "REAL",
    "Attention",
    "AttentionPoint",
    "ContactOrder",
    "CriticalPoint",
    "CriticalPoints",
    "Dimension",
    "FibreReport",
    "GroupCNN",
    "MonomialMLP",
    "Network",
    "NumericalRank",
    "PolynomialCNN",
    "ProjectedLoss",
    "Symmetry",
    "SymmetryCheck",
    "attention",
    "attention_point",
    "contact_spectrum",
    "critical_points",
    "effective_weights",
    "exact_rank",
    "fibre_check",
    "group_cnn",
    "monomial_mlp",
    "network_jacobian",
    "neuromanifold_dimension",
    "nodal_partner",
    "numerical_rank",
    "pointwise_dimension",
    "polynomial_cnn",
    "predicted_contact",
    "projected_loss",
]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
