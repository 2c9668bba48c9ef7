"""What stitching prepares of one model: codes in each space, the heads on them, and a plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.probes.context import Context
from repgeo.probes.probe import Side
from repgeo.probes.stitching_methods import (
    HeadKind,
    Route,
    StatisticsOf,
    rescaled,
)
from repgeo.stitching.linear_head import LinearHead, normalized
from repgeo.stitching.products import ProductProjection
from repgeo.stitching.projection import RelativeProjection
from repgeo.stitching.stitching_layer import StitchingLayer

__all__ = [
    "DRAWN",
    "Head",
    "SplitCodes",
    "carried",
    "drawn_plane",
    "head_of",
    "read_codes",
    "relative_codes",
    "seen_in",
]

#: How many samples of the test split are stored for pictures.
DRAWN = 600


@dataclass(frozen=True)
class SplitCodes:
    """Codes of one model in one space.

    Attributes
    ----------
    train, test, anchors
        `(train, features)`, `(test, features)` and `(k, features)`.
    factors
        What the head of this model multiplies codes with before it reads them, its own and those of
        other models: `(features,)`, or None for ones.
    """

    train: Tensor
    test: Tensor
    anchors: Tensor
    factors: Tensor | None = None


def relative_codes(
    route: Route, codes: SplitCodes, y: Tensor, *, stats: StatisticsOf, ridge: float
) -> SplitCodes:
    """The coordinates of codes relative to their own anchors, as a route takes them.

    Weights of a product are learned on the train split, with its labels `y`, and are the head's:
    codes are handed over without them.
    """
    assert route.projection is not None
    fitted = route.projection(stats=stats, ridge=ridge)
    factors = None
    if isinstance(fitted, RelativeProjection):
        reference = codes.train if fitted.stats == "reference" else None
        fitted = fitted.fit(codes.anchors, reference=reference)
    elif fitted.combine == "learned":
        weights = fitted.fit(codes.anchors, y, reference=codes.train).weights_
        factors = weights.sqrt().repeat_interleave(len(codes.anchors)).to(codes.train)
        fitted = ProductProjection(fitted.projections).fit(codes.anchors)
    else:
        fitted = fitted.fit(codes.anchors)
    train, test = fitted.transform(codes.train), fitted.transform(codes.test)
    size = codes.train.shape[1]
    return SplitCodes(
        rescaled(train, train, features=size, output=route.output),
        rescaled(test, train, features=size, output=route.output),
        fitted.transform(codes.anchors),
        factors,
    )


def drawn_plane(codes: Tensor) -> dict[str, Tensor]:
    """The plane of the two leading principal components of the first codes `(n, features)`.

    Their mean "middle" `(features,)`, and "axes" `(features, 2)`, each with its largest entry
    positive; zeros where there is only one direction.
    """
    few = codes[:DRAWN].double()
    middle = few.mean(dim=0)
    _, _, right = torch.linalg.svd(few - middle, full_matrices=False)
    axes = right[:2].T  # (features, at most 2)
    largest = axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))
    axes = axes * torch.where(largest < 0, -1.0, 1.0)
    missing = 2 - axes.shape[1]
    if missing:
        axes = torch.cat([axes, axes.new_zeros(len(axes), missing)], dim=1)
    return {"middle": middle.to(codes.dtype), "axes": axes.to(codes.dtype)}


def seen_in(space: str, prepared: Mapping[str, Tensor], codes: Tensor) -> Tensor | None:
    """The first codes `(n, features)` in the plane of a model's own codes, `(at most 600, 2)`.

    None where the codes have another number of features.
    """
    axes = prepared[f"{space}.axes"]
    if codes.shape[1] != len(axes):
        return None
    return ((codes[:DRAWN] - prepared[f"{space}.middle"]) @ axes).float()


@dataclass(frozen=True)
class Head:
    """The frozen classifier of the head side in one space.

    Attributes
    ----------
    logits
        From codes `(n, features)` to logits `(n, columns)`, differentiable.
    labels
        What the columns stand for, `(columns,)`.
    """

    logits: Callable[[Tensor], Tensor]
    labels: Tensor

    def answers(self, codes: Tensor) -> Tensor:
        """The label with the largest logit, `(n,)`."""
        with torch.no_grad():
            return self.labels[self.logits(codes).argmax(dim=1)]


def head_of(kind: HeadKind, other: Side, space: str, classes: int) -> Head:
    """The head of the other side in a space.

    Raises
    ------
    InputError
        If the model's own head does not give one number per class.
    """
    if kind == "own":
        with torch.no_grad():
            shape = other.subject.head(other.prepared[f"{space}.codes"][:1]).shape
        if len(shape) != 2 or shape[1] < classes:
            raise InputError(
                f"The rest of {other.subject.label!r} must give one number per class, "
                f"(n, {classes}), to be used as a head; it gives {tuple(shape)}."
            )
        return Head(other.subject.head, torch.arange(shape[1]))
    head = LinearHead(
        other.prepared[f"{space}.weight"],
        other.prepared[f"{space}.bias"],
        other.prepared["classes"],
    )
    factors = other.prepared.get(f"{space}.factors")
    return Head(lambda codes: head.logits(read_codes(kind, codes, factors)), head.classes)


def read_codes(kind: HeadKind, codes: Tensor, factors: Tensor | None) -> Tensor:
    """Codes `(n, features)` as a fitted head reads them: weighted and, if it does, normalised."""
    weighted = codes if factors is None else codes * factors
    return normalized(weighted) if kind == "layer_norm" else weighted


def carried(
    route: Route,
    mine: Mapping[str, Tensor],
    other: Mapping[str, Tensor],
    head: Head,
    context: Context,
) -> Tensor | None:
    """My test codes as they reach the other side's head; None where it cannot take them."""
    codes = mine[f"{route.space}.codes"]
    features = len(other[f"{route.space}.axes"])
    if route.carry == "as_is":
        return codes if codes.shape[1] == features else None
    if route.carry == "shuffled_anchors":
        generator = context.private("shuffled anchors")
        return codes[:, torch.randperm(codes.shape[1], generator=generator)]
    if route.carry == "trained":
        positions = torch.searchsorted(head.labels, mine["train_labels"])
        layer = StitchingLayer("affine", penalty=float(mine["layer_penalty"]))
        layer.fit(mine[f"{route.space}.train"], positions, head.logits, target=features)
        return layer.transform(codes)
    source, target = mine[f"{route.space}.anchors"], other[f"{route.space}.anchors"]
    if route.carry == "random_map":
        return _randomly_turned(codes, source, target, context.private("random map"))
    return route.translator().fit(source, target).transform(codes)


def _randomly_turned(
    codes: Tensor, source: Tensor, target: Tensor, generator: torch.Generator
) -> Tensor:
    """Codes less the source's mean, turned at random, plus the target's mean."""
    sizes = sorted((source.shape[1], target.shape[1]), reverse=True)
    normal = torch.randn(*sizes, generator=generator, dtype=torch.float64)
    columns, triangle = torch.linalg.qr(normal)  # orthonormal (larger, smaller)
    turn: Tensor = columns * torch.sgn(torch.diagonal(triangle))  # else not uniform on the group
    if source.shape[1] < target.shape[1]:
        turn = turn.T
    middles = source.double().mean(dim=0), target.double().mean(dim=0)
    turned: Tensor = (codes.double() - middles[0]) @ turn.to(codes.device) + middles[1]
    return turned.to(codes.dtype)
