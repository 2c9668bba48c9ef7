"""Encoder of one model, head of another, without training anything in between."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.probes.accuracy import labels_of, majority_share
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.pairs import require_same_ids
from repgeo.probes.probe import Case, Probe, Side
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.stitching.anchors import AnchorMethod, choose_anchors
from repgeo.stitching.linear_head import LinearHead, fit_linear_head
from repgeo.stitching.projection import RelativeProjection
from repgeo.stitching.translators import fit_affine, fit_orthogonal

__all__ = ["RelativeStitching", "StitchMethod"]

StitchMethod: TypeAlias = Literal[
    "cosine", "centred", "normalised", "absolute", "orthogonal", "affine"
]

_PROJECTIONS: Final[dict[str, Callable[[], RelativeProjection]]] = {
    "cosine": partial(RelativeProjection, "cosine"),
    "centred": partial(RelativeProjection, "cosine", center=True),
    "normalised": partial(RelativeProjection, "cosine", center=True, scale=True),
}
_TRANSLATORS: Final = {"orthogonal": fit_orthogonal, "affine": fit_affine}

#: What a translator does not see. The heads go along with these transformations of their own
#: side's codes (see `fit_linear_head`), so that they hold on either side.
_UNSEEN_BY_TRANSLATORS: Final[dict[str, frozenset[str]]] = {
    "orthogonal": frozenset({"permutation", "orthogonal", "translation"}),
    "affine": frozenset({"permutation", "orthogonal", "translation", "scaling"}),
    "absolute": frozenset(),
}


class RelativeStitching(Probe):
    """Share of right answers of one model's head on another model's codes, zero-shot.

    The encoder side (`model`) owns codes, anchors and their statistics; the head side (`model_b`)
    owns a linear classifier that was fitted on its own codes of the train split. Both are frozen;
    nothing is trained across. The same training samples are the anchors of all models. Row by row
    (`at.method`), the codes z of the encoder side reach the head

    ========== ==================================================================================
    cosine     as cosines to the anchors: the relative representation of Moschella et al.
    centred    the same, after subtracting the anchors' mean
    normalised the same, after standardising each coordinate by the anchors: the robust relative
               representation of García-Castellanos et al.
    absolute   as they are: the baseline. Left out where the codes have different sizes.
    orthogonal after the rigid motion that best carries the anchors of one side to the other's
    affine     after the least-squares affine map between the anchors
    ========== ==================================================================================

    The head of the first three was fitted on relative coordinates, of the others on the codes. The
    pair of a model with itself is the reading without a stitch, with which the others compare. A
    translator (orthogonal, affine) sees the anchors of both models, a relative projection never
    does.

    Heads are multinomial logistic regressions with an L2 penalty (`repgeo.stitching
    .fit_linear_head`): convex, fitted to the minimum in float64, so that no seed, step size or
    number of epochs is mixed up with what the codes hold.

    Wilson interval over test samples; the chance level is the share of the commonest class.

    Parameters
    ----------
    layer, layer_b
        Where the encoder side and the head side are cut (`layer_b`: like `layer`).
    anchors
        How many training samples are anchors.
    anchor_choice
        "uniform", or "stratified" by class.
    methods
        Which of the rows above.
    penalty
        Of the heads.

    Raises
    ------
    InputError
        If labels are missing, there are fewer training samples than anchors, or only "absolute" is
        asked for and the codes have different sizes.
    SampleMismatchError
        If the two models were not given the same samples and anchors.

    Notes
    -----
    Sources: Moschella et al. 2023 (arXiv 2209.15430); García-Castellanos et al. 2024
    (arXiv 2409.10967); translators: Maiorca et al. 2023 (arXiv 2311.00664).

    Examples
    --------
    >>> angles = torch.arange(40) * torch.pi / 2
    >>> x = torch.stack([angles.cos(), angles.sin()], dim=1)  # four classes in four directions
    >>> probe = RelativeStitching(anchors=8, methods=("cosine", "absolute"))
    >>> frame = probe(lambda x: x, lambda x: -x, x, torch.arange(40) % 4)
    >>> dict(zip(frame["at"], frame["value"]))
    {'{"method":"cosine"}': 1.0, '{"method":"absolute"}': 0.0}
    """

    name: ClassVar[str] = "relative_stitching"
    arity: ClassVar[int] = 2
    fits: ClassVar[bool] = True
    metrics: ClassVar[Mapping[str, Metric]] = {
        "accuracy": Metric(
            direction="higher",
            range=(0.0, 1.0),
            invariant_to={"samples:permutation", "labels:relabelling"},
            summary="share of right answers of the head on the other model's codes",
        )
    }

    layer: str = "encoder"
    layer_b: str | None = None
    anchors: int = Field(default=64, ge=2)
    anchor_choice: AnchorMethod = "uniform"
    methods: Annotated[tuple[StitchMethod, ...], Field(min_length=1, strict=False)] = (
        "cosine",
        "normalised",
        "absolute",
        "orthogonal",
    )
    penalty: float = Field(default=1e-3, gt=0)

    def invariances(self, metric: str) -> frozenset[str]:
        """What all chosen methods leave unchanged, on one side or on both."""
        unseen = [
            _PROJECTIONS[method]().invariance_group
            if method in _PROJECTIONS
            else _UNSEEN_BY_TRANSLATORS[method]
            for method in self.methods
        ]
        shared = frozenset.intersection(*unseen)
        return super().invariances(metric) | {f"codes:{group}" for group in shared}

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        """Codes of the test split and heads, for relative and absolute coordinates."""
        y = _train_labels(data, self.name)
        chosen = choose_anchors(
            data.train.ids,
            y,
            count=self.anchors,
            generator=context.shared("anchors"),
            method=self.anchor_choice,
        )
        train, test = subject.encode(data.train.x), subject.encode(data.test.x)
        anchors = train[chosen.to(train.device)]
        made = {"ids": data.test.ids, "anchor_ids": data.train.ids[chosen]}
        spaces = [method for method in self.methods if method in _PROJECTIONS]
        if len(spaces) < len(self.methods):
            spaces.append("absolute")
            made["absolute.anchors"] = anchors
        for space in spaces:
            fitted_on, measured_on = train, test
            if space in _PROJECTIONS:
                projection = _PROJECTIONS[space]().fit(anchors)
                fitted_on, measured_on = projection.transform(train), projection.transform(test)
            head = fit_linear_head(fitted_on, y, penalty=self.penalty)
            made[f"{space}.codes"] = measured_on
            made[f"{space}.weight"], made[f"{space}.bias"] = head.weight, head.bias
            made["classes"] = head.classes
        return made

    def measure(
        self, mine: Side, other: Side, data: Dataset, context: Context
    ) -> Iterable[Reading]:
        """Yield the accuracy of the other side's head on my codes, one reading per method."""
        require_same_ids(mine.prepared["ids"], other.prepared["ids"])
        require_same_ids(mine.prepared["anchor_ids"], other.prepared["anchor_ids"], "anchors")
        y = labels_of(data, self.name)
        chance, yielded = majority_share(y), 0
        for method in self.methods:
            codes = _incoming(method, mine.prepared, other.prepared)
            if codes is None:
                continue
            space = method if method in _PROJECTIONS else "absolute"
            head = LinearHead(
                other.prepared[f"{space}.weight"],
                other.prepared[f"{space}.bias"],
                other.prepared["classes"],
            )
            right = head.predict(codes).to(y.device) == y
            yielded += 1
            yield Reading(
                "accuracy",
                samples=right.double(),
                statistic="proportion",
                at={"method": method},
                chance=chance,
            )
        if not yielded:
            raise InputError(
                "Codes of different sizes cannot be stitched as they are "
                f"({mine.subject.label!r} to {other.subject.label!r}). Add a relative method or a "
                "translator to methods."
            )

    def oracles(self) -> Iterable[Case]:
        """Four classes in four directions; the other model turns them by a quarter."""
        n = 4 * -(-max(64, self.anchors) // 4)
        x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]).repeat(n // 4, 1)
        x = x * torch.linspace(1.0, 2.0, n // 4).repeat_interleave(4)[:, None]
        split = Split(x, torch.arange(n) % 4)
        data = Dataset("", split, split)

        def same(x: Tensor) -> Tensor:
            return x

        def turned(x: Tensor) -> Tensor:
            return torch.stack([-x[:, 1], x[:, 0]], dim=1)

        for method in self.methods:
            at = {"method": method}
            # A quarter turn carries each class into the next: as they are, all codes go wrong.
            stitched = 0.0 if method == "absolute" else 1.0
            yield Case((same, same), data, {"accuracy": 1.0}, 0.0, at)
            yield Case((same, turned), data, {"accuracy": stitched}, 0.0, at)


def _train_labels(data: Dataset, probe: str) -> Tensor:
    y = data.train.y
    if y is None or y.is_floating_point() or y.ndim != 1:
        raise InputError(
            f"{probe} fits heads on the train split: it needs integer class labels y of shape (n,)."
        )
    return y


def _incoming(
    method: str, mine: Mapping[str, Tensor], other: Mapping[str, Tensor]
) -> Tensor | None:
    """My test codes as the other side's head takes them; None where it cannot."""
    if method in _PROJECTIONS:
        return mine[f"{method}.codes"]
    codes = mine["absolute.codes"]
    if method in _TRANSLATORS:
        fit = _TRANSLATORS[method]
        return fit(mine["absolute.anchors"], other["absolute.anchors"]).transform(codes)
    fits = codes.shape[1] == other["absolute.weight"].shape[1]
    return codes if fits else None
