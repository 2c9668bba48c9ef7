"""What is in the box: the built-in names of every kind, as data that imports nothing."""

from __future__ import annotations

from typing import Final

from repgeo.catalogue_models import MODELS, Entry

__all__ = ["BUILT_IN", "KINDS"]

KINDS: Final = ("models", "datasets", "objectives", "probes")

_DATASETS: Final[dict[str, Entry]] = {
    "torus_signals": (
        "repgeo.datasets.torus_signals:torus_signals",
        "A bump on a periodic image at every place of a grid of two angles",
        ("images", "equivariance"),
    ),
    "digits": ("repgeo.datasets.digits:digits", "scikit-learn's 1,797 8x8 digits", ("images",)),
    "sinusoid": ("repgeo.datasets.planar:sinusoid", "Two classes across a sine", ("synthetic",)),
    "xor": ("repgeo.datasets.planar:xor", "Two classes in four blobs", ("synthetic",)),
    "ideal_gas": ("repgeo.datasets.gas:ideal_gas", "Temperature of an ideal gas", ("synthetic",)),
    "points": ("repgeo.datasets.points:points", "Points written in the task", ("synthetic",)),
    "binary_tree": (
        "repgeo.datasets.trees:binary_tree",
        "Nodes of a binary tree as bits, with flipped copies",
        ("synthetic", "hierarchy"),
    ),
    "single_cell": (
        "repgeo.datasets.single_cell:single_cell",
        "Cells in the Poincaré disk, with their types",
        ("hyperbolic",),
    ),
    "wordnet": (
        "repgeo.datasets.hierarchies:wordnet",
        "Pairs of WordNet's closure, with distances",
        ("hierarchy",),
    ),
    "mnist": ("repgeo.datasets.archives:mnist", "MNIST, 28x28 digits", ("images",)),
    "turned_mnist": (
        "repgeo.datasets.turned_mnist:turned_mnist",
        "MNIST upright, with the group that turns it",
        ("images", "equivariance"),
    ),
    "fashion_mnist": ("repgeo.datasets.archives:fashion_mnist", "Fashion-MNIST", ("images",)),
    "cifar10": ("repgeo.datasets.archives:cifar10", "CIFAR-10, 32x32 colour", ("images",)),
    "band_limited": (
        "repgeo.datasets.band_limited:band_limited",
        "Periodic signals of known frequencies, random phases",
        ("signals", "equivariance"),
    ),
    "orbit_pairs": (
        "repgeo.datasets.group_signals:orbit_pairs",
        "Signals on a group, each with a translate",
        ("synthetic", "groups"),
    ),
    "composition": (
        "repgeo.datasets.group_signals:composition",
        "Products of two elements of a group",
        ("synthetic", "groups"),
    ),
    "natural_patches": (
        "repgeo.datasets.natural_patches:natural_patches",
        "Natural patches with rotated or shifted copies",
        ("images", "groups"),
    ),
    "tetris": (
        "repgeo.datasets.tetris:tetris",
        "Eight shapes of four points, two of them mirror images",
        ("synthetic", "equivariance"),
    ),
    "molecules": (
        "repgeo.datasets.molecules:molecules",
        "Geometries of small molecules, with a made-up energy",
        ("regression", "equivariance"),
    ),
    "point_clouds": (
        "repgeo.datasets.point_clouds:point_clouds",
        "Random points on 15 common meshes",
        ("equivariance",),
    ),
    "voxels": (
        "repgeo.datasets.voxels:voxels",
        "Chairs and monitors of ModelNet10 as voxels",
        ("equivariance",),
    ),
    "pixel_rows": (
        "repgeo.datasets.pixel_rows:pixel_rows",
        "Rows of pixels of digits, to be predicted from the row above",
        ("regression",),
    ),
}

_OBJECTIVES: Final[dict[str, Entry]] = {
    "cross_entropy": (
        "repgeo.objectives.cross_entropy:CrossEntropy",
        "Cross-entropy of the outputs against the labels",
        ("classification",),
    ),
    "augmented_cross_entropy": (
        "repgeo.objectives.augmented_cross_entropy:AugmentedCrossEntropy",
        "Cross-entropy on samples moved by the group of the data",
        ("classification", "equivariance"),
    ),
    "energy_and_forces": (
        "repgeo.objectives.energy_and_forces:EnergyAndForces",
        "Squared errors of energies and forces of molecules",
        ("regression", "equivariance"),
    ),
    "densification": (
        "repgeo.objectives.densification:Densification",
        "Cross-entropy, and death times of classes pulled towards a scale",
        ("classification", "stitching"),
    ),
    "relative_densification": (
        "repgeo.objectives.densification:RelativeDensification",
        "Densification before and after coordinates relative to training samples",
        ("classification", "stitching"),
    ),
    "relative_cross_entropy": (
        "repgeo.objectives.relative_cross_entropy:RelativeCrossEntropy",
        "Cross-entropy on coordinates relative to training samples",
        ("classification", "stitching"),
    ),
    "evidence_lower_bound": (
        "repgeo.objectives.evidence_lower_bound:EvidenceLowerBound",
        "Negative evidence lower bound of binary inputs",
        ("autoencoder",),
    ),
    "poincare_pairs": (
        "repgeo.objectives.poincare_pairs:PoincarePairs",
        "Pairs of a hierarchy against random ones, in the Poincaré ball",
        ("hyperbolic",),
    ),
    "mean_squared_error": (
        "repgeo.objectives.mean_squared_error:MeanSquaredError",
        "Mean squared error against y or a named array",
        ("regression",),
    ),
    "power_spectrum": (
        "repgeo.objectives.power_spectrum:PowerSpectrum",
        "Invariance of power spectra to a group, regularised",
        ("groups",),
    ),
    "orbit_invariance": (
        "repgeo.objectives.orbit_invariance:OrbitInvariance",
        "Outputs that agree on a sample and its moved copy",
        ("groups",),
    ),
}

_PROBES: Final[dict[str, Entry]] = {
    "accuracy": ("repgeo.probes.accuracy:Accuracy", "Share of right answers", ("output",)),
    "pullback_volume": (
        "repgeo.probes.pullback_volume:PullbackVolume",
        "log sqrt det J^T J at test points",
        ("geometry",),
    ),
    "scalar_curvature": (
        "repgeo.probes.scalar_curvature:ScalarCurvature",
        "Scalar curvature of the pullback metric",
        ("geometry",),
    ),
    "magnification": (
        "repgeo.probes.magnification:Magnification",
        "Change of volumes near the decision boundary by training",
        ("geometry", "output"),
    ),
    "volume_slice": (
        "repgeo.probes.volume_slice:VolumeSlice",
        "Log-volume, prediction and entropy on lines and planes between samples",
        ("geometry", "output"),
    ),
    "null_walk": (
        "repgeo.probes.null_walk:NullWalk",
        "Walks within the classes of inputs that a network does not tell apart",
        ("geometry", "output"),
    ),
    "cross_walk": (
        "repgeo.probes.cross_walk:CrossWalk",
        "Walks from test points across classes, to the answer of another",
        ("geometry", "output"),
    ),
    "hyperdga": (
        "repgeo.probes.hyperdga:HyperDGAProbe",
        "Mixing of two sets of codes in their hyperbolic Delaunay graph",
        ("hyperbolic",),
    ),
    "hyperdga_models": (
        "repgeo.probes.hyperdga:HyperDGABetweenModels",
        "Mixing of two models' codes in their hyperbolic Delaunay graph",
        ("hyperbolic", "pair"),
    ),
    "tree_likeness": (
        "repgeo.probes.tree_likeness:TreeLikeness",
        "Latent against tree distances, and Gromov's hyperbolicity",
        ("hyperbolic",),
    ),
    "equivariance_error": (
        "repgeo.probes.equivariance_error:EquivarianceError",
        "Change of outputs and codes when a group moves the inputs, or images are transformed",
        ("equivariance",),
    ),
    "disentanglement": (
        "repgeo.probes.disentanglement:DisentanglementOfFactors",
        "Planes that circle factors turn in the codes (D_LSBD), and injectivity on full grids",
        ("equivariance",),
    ),
    "orbit_retrieval": (
        "repgeo.probes.orbit_retrieval:OrbitRetrieval",
        "Moved samples found by their predicted codes, after one and many group elements",
        ("equivariance",),
    ),
    "lie_derivative": (
        "repgeo.probes.lie_derivative:LieDerivative",
        "Equivariance error for infinitely small elements, layer by layer",
        ("equivariance",),
    ),
    "force_field_error": (
        "repgeo.probes.force_field_error:ForceFieldError",
        "Errors of energies and forces of molecules",
        ("output", "regression"),
    ),
    "topology": (
        "repgeo.probes.topology:Topology",
        "Death times of classes in a representation, and loops",
        ("geometry",),
    ),
    "relative_stitching": (
        "repgeo.probes.relative_stitching:RelativeStitching",
        "Encoder of one model, head of another, zero-shot",
        ("stitching", "pair"),
    ),
    "similarity": (
        "repgeo.probes.similarity:Similarity",
        "Unbiased linear CKA of two sets of codes, and thirteen other measures",
        ("stitching", "pair"),
    ),
    "latent_retrieval": (
        "repgeo.probes.latent_retrieval:LatentRetrieval",
        "Samples looked up by one model's codes among another's, absolute and relative",
        ("stitching", "pair"),
    ),
    "fourier_features": (
        "repgeo.probes.fourier_features:FourierFeatures",
        "Rows of weights that hold one representation of a group, against chance",
        ("groups", "weights"),
    ),
    "cayley_recovery": (
        "repgeo.probes.cayley_recovery:CayleyRecovery",
        "The multiplication table that a network holds, with a certificate",
        ("groups", "weights"),
    ),
    "invariance_purity": (
        "repgeo.probes.invariance_purity:InvariancePurity",
        "Invariance of single neurons, and the purity of their weights",
        ("groups", "weights"),
    ),
    "circular_harmonics": (
        "repgeo.probes.circular_harmonics:CircularHarmonics",
        "Filters on patches that hold one angular frequency",
        ("groups", "weights"),
    ),
    "neuromanifold": (
        "repgeo.probes.neuromanifold:Neuromanifold",
        "Dimension of the functions that a network can express",
        ("algebra", "weights"),
    ),
    "fibre": (
        "repgeo.probes.fibre:Fibre",
        "Symmetries of the parameters, and what they leave unexplained",
        ("algebra", "weights"),
    ),
    "critical_points": (
        "repgeo.probes.critical_points:CriticalPointsOfError",
        "Critical points of the error of polynomial CNNs",
        ("algebra",),
    ),
}

BUILT_IN: Final[dict[str, dict[str, Entry]]] = {
    "models": MODELS,
    "datasets": _DATASETS,
    "objectives": _OBJECTIVES,
    "probes": _PROBES,
}
