"""What is in the box: the built-in names of every kind, as data that imports nothing."""

from __future__ import annotations

from typing import Final

__all__ = ["BUILT_IN", "KINDS"]

KINDS: Final = ("models", "datasets", "objectives", "probes")

_Entry = tuple[str, str, tuple[str, ...]]  # target "module:attribute", summary, tags

_MODELS: Final[dict[str, _Entry]] = {
    "mlp": ("repgeo.models.mlp:mlp", "Multi-layer perceptron: encoder and linear head", ("net",)),
    "shallow": (
        "repgeo.models.shallow:shallow",
        "One hidden layer in the scaling of infinite width",
        ("net",),
    ),
    "cnn": ("repgeo.models.cnn:cnn", "Small convolutional network: encoder and head", ("net",)),
    "image_group_cnn": (
        "repgeo.models.image_group_cnn:image_group_cnn",
        "Group convolutions: invariant to quarter turns, and reflections, by design",
        ("net", "equivariance"),
    ),
    "radial_profile": (
        "repgeo.models.radial_profile:radial_profile",
        "Means of an image over rings: invariant to turns by a formula",
        ("baseline", "equivariance"),
    ),
    "amplitude_spectrum": (
        "repgeo.models.amplitude_spectrum:amplitude_spectrum",
        "Power of each frequency of an image: invariant to shifts by a formula",
        ("baseline", "equivariance"),
    ),
    "pooled_cnn": (
        "repgeo.models.pooled_cnn:pooled_cnn",
        "Convolutions with average pooling, three linear layers",
        ("net",),
    ),
    "pooling_cnn": (
        "repgeo.models.pooling_cnn:pooling_cnn",
        "Periodic convolutions, pooling of one kind, means over all pixels",
        ("net", "equivariance"),
    ),
    "planted_layer": (
        "repgeo.models.planted_layer:planted_layer",
        "One layer on a band of frequencies, whose aliases are known",
        ("baseline", "equivariance"),
    ),
    "ridge": ("repgeo.models.ridge:ridge", "A fixed direction and a (leaky) ReLU", ("baseline",)),
    "resnet": ("repgeo.models.resnet:resnet", "Residual network with BatchNorm", ("net",)),
    "batch_norm_mlp": (
        "repgeo.models.batch_norm_mlp:batch_norm_mlp",
        "Multi-layer perceptron with batch-normalised codes",
        ("net",),
    ),
    "relative_mlp": (
        "repgeo.models.relative:relative_mlp",
        "Multi-layer perceptron with a head on relative coordinates",
        ("net", "stitching"),
    ),
    "intertwined_mlp": (
        "repgeo.models.intertwined:intertwined_mlp",
        "Twin of mlp with its last hidden layer permuted and rescaled",
        ("net", "stitching"),
    ),
    "variational_autoencoder": (
        "repgeo.models.variational:variational_autoencoder",
        "Variational autoencoder with hyperbolic or Euclidean latents",
        ("net", "hyperbolic"),
    ),
    "poincare_embedding": (
        "repgeo.models.poincare_embedding:poincare_embedding",
        "A table of points of the Poincaré ball",
        ("hyperbolic",),
    ),
    "identity": ("repgeo.models.baselines:identity", "Codes that are the data", ("baseline",)),
    "transformed": (
        "repgeo.models.transformed:transformed",
        "The data, turned, stretched, bent or drowned in noise",
        ("baseline",),
    ),
    "torus_phases": (
        "repgeo.models.torus_phases:torus_phases",
        "Phases of a periodic image: codes that turn with its shifts, by a formula",
        ("baseline", "equivariance"),
    ),
    "constant": ("repgeo.models.baselines:constant", "The same output for all", ("baseline",)),
    "weights": ("repgeo.models.baselines:weights", "A matrix from a file", ("baseline",)),
    "power_spectral": (
        "repgeo.models.power_spectral:power_spectral",
        "Blocks W_i with outputs M_i M_i^†, of many starts at once",
        ("net", "groups"),
    ),
    "planted_representation": (
        "repgeo.models.power_spectral:planted_representation",
        "The Fourier transform of a group, with noise",
        ("baseline", "groups"),
    ),
    "energies": (
        "repgeo.models.scalar_neurons:energies",
        "Neurons that are energies of one complex direction",
        ("net", "groups"),
    ),
    "bispectral": (
        "repgeo.models.scalar_neurons:bispectral",
        "Bispectral network with complex weights",
        ("net", "groups"),
    ),
    "published_bispectral": (
        "repgeo.models.scalar_neurons:published_bispectral",
        "Published weights of a bispectral network",
        ("groups",),
    ),
    "composition_mlp": (
        "repgeo.models.composition_networks:composition_mlp",
        "One hidden layer on two one-hot vectors",
        ("net", "groups"),
    ),
    "modular_addition_formula": (
        "repgeo.models.composition_networks:modular_addition_formula",
        "Weights that add modulo p, by formula",
        ("baseline", "groups"),
    ),
    "composition_formula": (
        "repgeo.models.composition_networks:composition_formula",
        "The exact network that multiplies in a group",
        ("baseline", "groups"),
    ),
    "polynomial_cnn": (
        "repgeo.models.filter_networks:polynomial_cnn",
        "Convolutions in one dimension with a power between",
        ("net", "algebra"),
    ),
    "group_cnn": (
        "repgeo.models.filter_networks:group_cnn",
        "Convolutions on a finite group with a power between",
        ("net", "algebra", "groups"),
    ),
    "monomial_mlp": (
        "repgeo.models.monomial_mlp:monomial_mlp",
        "Multi-layer perceptron whose activation is a power",
        ("net", "algebra"),
    ),
    "attention": (
        "repgeo.models.attention_network:attention",
        "Lightning or softmax self-attention alone",
        ("net", "algebra"),
    ),
    "tetris_network": (
        "repgeo.models.tetris_networks:tetris_network",
        "Polynomials in spherical harmonics with gates, for four points",
        ("net", "equivariance"),
    ),
    "tetris_formula": (
        "repgeo.models.tetris_networks:tetris_formula",
        "The shape of four points by signed volume and distances",
        ("baseline", "equivariance"),
    ),
    "sorted_radii": (
        "repgeo.models.point_networks:sorted_radii",
        "Distances of points from their mean, sorted, and a linear head",
        ("baseline", "equivariance"),
    ),
    "point_mlp": (
        "repgeo.models.point_networks:point_mlp",
        "Multi-layer perceptron on the coordinates of points",
        ("net", "equivariance"),
    ),
    "point_net": (
        "repgeo.models.point_networks:point_net",
        "One perceptron on each point, pooled",
        ("net", "equivariance"),
    ),
    "density_network": (
        "repgeo.models.point_networks:density_network",
        "Products of a density's spherical harmonics, for point clouds",
        ("net", "equivariance"),
    ),
    "molecule_network": (
        "repgeo.models.molecule_networks:molecule_network",
        "Invariant energy of a molecule by irreps, and its forces",
        ("net", "equivariance"),
    ),
    "molecule_mlp": (
        "repgeo.models.molecule_networks:molecule_mlp",
        "Energy by a perceptron on coordinates, and its forces",
        ("net", "equivariance"),
    ),
    "molecule_point_net": (
        "repgeo.models.molecule_networks:molecule_point_net",
        "Energy by one perceptron on each atom, pooled, and its forces",
        ("net", "equivariance"),
    ),
    "molecule_potential": (
        "repgeo.models.molecule_networks:molecule_potential",
        "The formula that the energies of molecules are made with",
        ("baseline", "equivariance"),
    ),
    "molecule_constant": (
        "repgeo.models.molecule_networks:molecule_constant",
        "One energy for every molecule, and no forces",
        ("baseline", "equivariance"),
    ),
    "molecule_coordinates": (
        "repgeo.models.molecule_networks:molecule_coordinates",
        "The positions of atoms as codes and as forces",
        ("baseline", "equivariance"),
    ),
    "voxel_cnn": (
        "repgeo.models.voxel_networks:voxel_cnn",
        "Convolutions on voxels, as they are or averaged over the cube's rotations",
        ("net", "equivariance"),
    ),
    "radial_histogram": (
        "repgeo.models.voxel_networks:radial_histogram",
        "How full the shells about the centre are, and a linear head",
        ("baseline", "equivariance"),
    ),
    "commutant": (
        "repgeo.models.commutant:commutant",
        "A group read off orbit pairs by linear algebra",
        ("baseline", "groups"),
    ),
}

_DATASETS: Final[dict[str, _Entry]] = {
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

_OBJECTIVES: Final[dict[str, _Entry]] = {
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

_PROBES: Final[dict[str, _Entry]] = {
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

BUILT_IN: Final[dict[str, dict[str, _Entry]]] = {
    "models": _MODELS,
    "datasets": _DATASETS,
    "objectives": _OBJECTIVES,
    "probes": _PROBES,
}
