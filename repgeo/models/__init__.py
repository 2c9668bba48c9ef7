"""Models: factories of networks, how they are built, cut, trained, stored and loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.models.baselines import constant, identity, weights
    from repgeo.models.building import build
    from repgeo.models.checkpoints import load_into, load_state, save_state
    from repgeo.models.encoder_head import EncoderHead
    from repgeo.models.loaded import LoadedModel, load_model
    from repgeo.models.recipe import Recipe, parse_recipe
    from repgeo.models.training import TrainingHistory, train, train_with_restarts

# The factories mlp, cnn and resnet live in modules of the same names, `repgeo.models.mlp.mlp`: the
# names here are the modules'.
_EXPORTS = {
    "EncoderHead": "repgeo.models.encoder_head",
    "LoadedModel": "repgeo.models.loaded",
    "Recipe": "repgeo.models.recipe",
    "TrainingHistory": "repgeo.models.training",
    "build": "repgeo.models.building",
    "constant": "repgeo.models.baselines",
    "identity": "repgeo.models.baselines",
    "load_into": "repgeo.models.checkpoints",
    "load_model": "repgeo.models.loaded",
    "load_state": "repgeo.models.checkpoints",
    "parse_recipe": "repgeo.models.recipe",
    "save_state": "repgeo.models.checkpoints",
    "train": "repgeo.models.training",
    "train_with_restarts": "repgeo.models.training",
    "weights": "repgeo.models.baselines",
}

__all__ = [
    "EncoderHead",
    "LoadedModel",
    "Recipe",
    "TrainingHistory",
    "build",
    "constant",
    "identity",
    "load_into",
    "load_model",
    "load_state",
    "parse_recipe",
    "save_state",
    "train",
    "train_with_restarts",
    "weights",
]

__getattr__, __dir__ = lazy_exports(__name__, _EXPORTS)
