"""Probes: measurements with a definition, a unit, a chance level and an error bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.probes.accuracy import Accuracy
    from repgeo.probes.cayley_recovery import CayleyRecovery
    from repgeo.probes.circular_harmonics import CircularHarmonics
    from repgeo.probes.context import Context
    from repgeo.probes.critical_points import CriticalPointsOfError
    from repgeo.probes.cross_walk import CrossWalk
    from repgeo.probes.disentanglement import DisentanglementOfFactors
    from repgeo.probes.equivariance_error import EquivarianceError
    from repgeo.probes.fibre import Fibre
    from repgeo.probes.fourier_features import FourierFeatures
    from repgeo.probes.invariance_purity import InvariancePurity
    from repgeo.probes.latent_retrieval import LatentRetrieval
    from repgeo.probes.lie_derivative import LieDerivative
    from repgeo.probes.magnification import Magnification
    from repgeo.probes.metric import Metric
    from repgeo.probes.neuromanifold import Neuromanifold
    from repgeo.probes.null_walk import NullWalk
    from repgeo.probes.orbit_retrieval import OrbitRetrieval
    from repgeo.probes.probe import Case, Probe, Side
    from repgeo.probes.pullback_volume import PullbackVolume
    from repgeo.probes.reading import Reading
    from repgeo.probes.relative_stitching import RelativeStitching
    from repgeo.probes.scalar_curvature import ScalarCurvature
    from repgeo.probes.similarity import Similarity
    from repgeo.probes.subject import Subject
    from repgeo.probes.topology import Topology
    from repgeo.probes.volume_slice import VolumeSlice

__all__ = [
    "Accuracy",
    "Case",
    "CayleyRecovery",
    "CircularHarmonics",
    "Context",
    "CriticalPointsOfError",
    "CrossWalk",
    "DisentanglementOfFactors",
    "EquivarianceError",
    "Fibre",
    "FourierFeatures",
    "InvariancePurity",
    "LatentRetrieval",
    "LieDerivative",
    "Magnification",
    "Metric",
    "Neuromanifold",
    "NullWalk",
    "OrbitRetrieval",
    "Probe",
    "PullbackVolume",
    "Reading",
    "RelativeStitching",
    "ScalarCurvature",
    "Side",
    "Similarity",
    "Subject",
    "Topology",
    "VolumeSlice",
]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Accuracy": "repgeo.probes.accuracy",
        "Case": "repgeo.probes.probe",
        "CayleyRecovery": "repgeo.probes.cayley_recovery",
        "CircularHarmonics": "repgeo.probes.circular_harmonics",
        "Context": "repgeo.probes.context",
        "CriticalPointsOfError": "repgeo.probes.critical_points",
        "CrossWalk": "repgeo.probes.cross_walk",
        "DisentanglementOfFactors": "repgeo.probes.disentanglement",
        "EquivarianceError": "repgeo.probes.equivariance_error",
        "Fibre": "repgeo.probes.fibre",
        "FourierFeatures": "repgeo.probes.fourier_features",
        "InvariancePurity": "repgeo.probes.invariance_purity",
        "LatentRetrieval": "repgeo.probes.latent_retrieval",
        "LieDerivative": "repgeo.probes.lie_derivative",
        "Magnification": "repgeo.probes.magnification",
        "Metric": "repgeo.probes.metric",
        "Neuromanifold": "repgeo.probes.neuromanifold",
        "NullWalk": "repgeo.probes.null_walk",
        "OrbitRetrieval": "repgeo.probes.orbit_retrieval",
        "Probe": "repgeo.probes.probe",
        "PullbackVolume": "repgeo.probes.pullback_volume",
        "Reading": "repgeo.probes.reading",
        "RelativeStitching": "repgeo.probes.relative_stitching",
        "ScalarCurvature": "repgeo.probes.scalar_curvature",
        "Side": "repgeo.probes.probe",
        "Similarity": "repgeo.probes.similarity",
        "Subject": "repgeo.probes.subject",
        "Topology": "repgeo.probes.topology",
        "VolumeSlice": "repgeo.probes.volume_slice",
    },
)
