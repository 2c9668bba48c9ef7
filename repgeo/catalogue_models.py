"""The built-in models, as data that imports nothing."""

from __future__ import annotations

from typing import Final

__all__ = ["MODELS", "Entry"]

#: Target "module:attribute", one line of summary, tags.
Entry = tuple[str, str, tuple[str, ...]]

MODELS: Final[dict[str, Entry]] = {
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
