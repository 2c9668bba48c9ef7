"""The recipe of a training: the table `[models.train]`, and the objective it names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from repgeo import registry
from repgeo.errors import ConfigurationError, nearest
from repgeo.objectives.objective import Objective
from repgeo.parameters import describe_fault
from repgeo.registry import Found

__all__ = ["Recipe", "parse_recipe"]

_Positive = Annotated[int, Field(ge=1)]
M = TypeVar("M", bound=BaseModel)


class Recipe(BaseModel):
    """How a model is trained.

    Attributes
    ----------
    objective
        A registered name or a reference.
    optimizer
        "adam", "adamw" (decoupled weight decay) or "sgd", with torch's other settings.
    lr
        The learning rate.
    weight_decay
        Per update; an L2 penalty for adam and sgd.
    momentum
        Of sgd.
    epochs, steps
        Passes over the data, or updates: one of the two is given.
    batch_size
        Samples per update; the last batch of an epoch may be smaller.
    schedule
        What the learning rate is multiplied with, u being the finished share of the updates after
        the warm-up: "constant" 1; "cosine" (1 + cos(pi u)) / 2; "linear" 1 - u; "step" 1 up to
        u = 1/2, 0.1 up to 3/4, then 0.01.
    warmup
        Share of the updates over which the learning rate grows linearly from 0.
    keep
        Checkpoints: "init", "final" (always kept), and numbers of epochs (of steps, where the
        recipe is in steps) after which the weights are kept.
    restarts
        Trainings from different initial weights, the best of which is kept.
    select
        What is best: the smallest mean "train_loss" of the last pass, or the smallest
        "validation_loss" on a tenth of the train split that is held out of all restarts.
    gradient_clip
        The largest norm of the gradient, or None.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    objective: str = Field(default="cross_entropy", min_length=1)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    momentum: float = Field(default=0.0, ge=0, lt=1)
    epochs: _Positive | None = None
    steps: _Positive | None = None
    batch_size: _Positive = 64
    schedule: Literal["constant", "cosine", "linear", "step"] = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    keep: tuple[Literal["init", "final"] | _Positive, ...] = ("final",)
    restarts: _Positive = 1
    select: Literal["train_loss", "validation_loss"] = "train_loss"
    gradient_clip: float | None = Field(default=None, gt=0, allow_inf_nan=False)

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if (self.epochs is None) == (self.steps is None):
            given = "neither" if self.epochs is None else "both"
            raise ValueError(f"give epochs or steps, got {given}")
        last, unit = (self.epochs, "epochs") if self.epochs is not None else (self.steps, "steps")
        beyond = [k for k in self.keep if isinstance(k, int) and last is not None and k > last]
        if beyond:
            raise ValueError(f"keep: {beyond[0]} lies beyond the last of {last} {unit}")
        if len(set(self.keep)) != len(self.keep):
            raise ValueError(f"keep names a checkpoint twice: {list(self.keep)}")
        if self.momentum and self.optimizer != "sgd":
            raise ValueError(f"momentum belongs to the optimizer 'sgd', got {self.optimizer!r}")
        if self.select != "train_loss" and self.restarts == 1:
            raise ValueError("select chooses between restarts: give restarts of at least 2")
        return self


def parse_recipe(
    table: Mapping[str, Any], *, folder: Path | None = None
) -> tuple[Recipe, Objective, Found]:
    """The recipe and the objective of a table `[models.train]`.

    Keys that the recipe does not know are fields of the objective.

    Parameters
    ----------
    table
        JSON values by key.
    folder
        Where the path of an objective given by file starts.

    Returns
    -------
    tuple
        The recipe, the objective, and where the objective was found (its identity).

    Raises
    ------
    ConfigurationError
        For an unknown key (the nearest ones of recipe and objective are named), a wrong type,
        both or neither of `epochs` and `steps`, a checkpoint beyond the last epoch.

    Examples
    --------
    >>> recipe, objective, _ = parse_recipe({"epochs": 2, "lr": 0.1, "label_smoothing": 0.05})
    >>> recipe.epochs, objective.label_smoothing
    (2, 0.05)
    """
    name = table.get("objective", Recipe.model_fields["objective"].default)
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"train.objective: should be a name, got {name!r}.")
    found = registry.load("objectives", name, folder=folder)
    kind = found.object
    if not (isinstance(kind, type) and issubclass(kind, Objective)):
        raise ConfigurationError(
            f"train.objective: {name!r} is not a class of objectives (a subclass of "
            "repgeo.objectives.Objective)."
        )
    clash = sorted(set(kind.model_fields) & set(Recipe.model_fields))
    if clash:
        raise ConfigurationError(
            f"The objective {name!r} has a field {clash[0]!r}, which is a key of the recipe: "
            "it needs another name."
        )
    known = [*Recipe.model_fields, *kind.model_fields]
    for key in table:
        if key not in known:
            raise ConfigurationError(f"train: unknown key {key!r}. {nearest(key, known)}")
    own = {key: value for key, value in table.items() if key in Recipe.model_fields}
    rest = {key: value for key, value in table.items() if key not in Recipe.model_fields}
    return _parsed(Recipe, own, known), _parsed(kind, rest, known), found


def _parsed(kind: type[M], table: Mapping[str, Any], known: list[str]) -> M:
    try:
        return kind.model_validate_json(json.dumps(dict(table)))
    except ValidationError as error:
        raise ConfigurationError(f"train: {describe_fault(error, known)}") from None
    except TypeError as error:
        raise ConfigurationError(f"train: values must be those of JSON: {error}.") from None
