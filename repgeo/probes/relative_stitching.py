"""Encoder of one model, head of another, without training anything in between."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, ClassVar, Self, get_args

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.errors import InputError
from repgeo.models.encoder_head import EncoderHead
from repgeo.probes.accuracy import labels_of, majority_share
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.pairs import require_same_ids
from repgeo.probes.probe import Case, Probe, Side
from repgeo.probes.reading import Reading
from repgeo.probes.stitching_methods import (
    CONTROLS,
    TRANSLATED,
    HeadKind,
    Route,
    StatisticsOf,
    StitchMethod,
    factorial_routes,
    route_of,
)
from repgeo.probes.stitching_spaces import (
    DRAWN,
    SplitCodes,
    carried,
    drawn_plane,
    head_of,
    read_codes,
    relative_codes,
    seen_in,
)
from repgeo.probes.subject import Subject
from repgeo.stitching.anchors import AnchorMethod, choose_anchors
from repgeo.stitching.linear_head import (
    DescentRecipe,
    LinearHead,
    descend_linear_head,
    fit_linear_head,
)

__all__ = ["RelativeStitching", "StitchMethod"]


class RelativeStitching(Probe):
    """Share of right answers of one model's head on another model's codes, zero-shot.

    The encoder side (`model`) owns codes, anchors and their statistics; the head side (`model_b`)
    owns a classifier of its own codes. Both are frozen; nothing but the layer of "trained" is
    trained across. The same training samples are the anchors of all models. Row by row
    (`at.method`), the codes z of the encoder side reach the head

    ======================= =====================================================================
    cosine                  as cosines to the anchors: the relative representation
    centered                the same, after subtracting the mean
    robust                  the same, after standardising each coordinate
    whitened                the same, after whitening
    euclidean, l1, linf     as negative distances to the anchors
    inner                   as inner products with the anchors
    product                 as cosine, euclidean, l1 and linf of directions, side by side
    product_mean            as the mean of the same
    product_learned         as product, with weights that the head side learned on its train split
    absolute                as they are: the baseline. Left out where sizes of codes differ.
    orthogonal              after the rigid motion that best carries the anchors of one side to
                            the other's
    standardized_orthogonal the same between standardised codes
    polar                   after the rotation that is nearest to the least-squares map
    linear, affine          after the least-squares linear or affine map, of smallest norm
    ridge                   after the affine map with a relative penalty of 1e-3
    inverse_relative        into relative coordinates of one side, and out by the other's
    trained                 after an affine layer that was trained through the head on the train
                            split: the only method that sees more than anchors of both sides
    random_map              control: after a random rotation between the anchors' means
    shuffled_anchors        control: as cosines to the anchors in random order
    ======================= =====================================================================

    The pair of a model with itself is the reading without a stitch, with which the others compare.
    A translator sees the anchors of both models, a relative projection never does.

    Heads (`head`), one per model and space, fitted on its train split unless they are its own:

    ========== ==================================================================================
    linear     multinomial logistic regression with an L2 penalty: convex, fitted to the minimum in
               float64, so that no seed, step size or number of epochs is mixed up with what the
               codes hold
    layer_norm the same on codes that are normalised over their features
    adam       the same without a penalty, by AdamW from zero weights for a few epochs, as published
    own        the rest of the network from the cut on, frozen: for methods that carry codes into
               its space, and, cut at a relative layer, for models trained on relative coordinates
               ("absolute": what they hand over are relative coordinates already)
    ========== ==================================================================================

    With `factorial`, relative representations in all settings of center x scale x l2 x output scale
    (see `repgeo.probes.stitching_methods.factorial_routes`) are 24 more rows, with these
    coordinates. Published comparisons changed several of them at once; the head by `adam` shows
    how far the size of the coordinates alone decides.

    Wilson interval over test samples; the chance level is the share of the commonest class. Stored
    along are up to 600 test codes of each pair as the head side sees them: in the plane of the two
    leading principal components of its own codes.

    Parameters
    ----------
    layer, layer_b
        Where the encoder side and the head side are cut (`layer_b`: like `layer`).
    anchors
        How many training samples are anchors.
    anchor_choice
        See `repgeo.stitching.choose_anchors`. Those that look at codes look at the inputs here,
        which are the same for all models.
    methods
        Which of the rows above.
    head
        Of which kind the heads are.
    factorial
        Whether to add the factorial.
    stats
        Where means, standard deviations and covariances come from: "anchors", or "reference", the
        train split. Always of the encoder side alone.
    whitening_ridge
        Of "whitened", as a share of the mean eigenvalue of the covariance.
    penalty
        Of the heads "linear" and "layer_norm", and of the layer of "trained" (from the identity).
    head_lr, head_epochs
        Of the heads "adam" (batches of 64, weight decay 0.01).

    Raises
    ------
    InputError
        If labels are missing, there are fewer training samples than anchors, or only "absolute" is
        asked for and the codes have different sizes.
    SampleMismatchError
        If the two models were not given the same samples and anchors.
    LayerError
        If a model's own head is asked for and the layer does not cut its network.

    Notes
    -----
    Sources: Moschella et al. 2023 (arXiv 2209.15430); García-Castellanos et al. 2024
    (arXiv 2409.10967); products: Cannistraci et al. 2024 (arXiv 2310.01211); translators: Maiorca
    et al. 2023 (arXiv 2311.00664), 2024 (arXiv 2406.15057); trained layers: Lenc and Vedaldi 2015
    (arXiv 1411.5908), Bansal et al. 2021 (arXiv 2106.07682).

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
    version: ClassVar[int | str] = 2
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
        "robust",
        "absolute",
        "orthogonal",
    )
    head: HeadKind = "linear"
    factorial: bool = False
    stats: StatisticsOf = "anchors"
    whitening_ridge: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    penalty: float = Field(default=1e-3, gt=0)
    head_lr: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    head_epochs: int = Field(default=40, ge=1)

    @model_validator(mode="after")
    def _own_heads_read_codes(self) -> Self:
        relative = [route.at["method"] for route in self.routes() if route.space != "absolute"]
        if self.head == "own" and relative:
            raise ValueError(
                f"head 'own' reads a model's own codes, which {relative[0]!r} does not give; "
                f"choose methods among absolute, {', '.join(TRANSLATED)}, trained and random_map, "
                "or cut a model that was trained on relative coordinates at its relative layer"
            )
        if len(set(self.methods)) != len(self.methods):
            raise ValueError(f"methods name one twice: {', '.join(self.methods)}")
        return self

    def routes(self) -> Iterator[Route]:
        """The ways from codes to heads, one per row."""
        yield from map(route_of, self.methods)
        if self.factorial:
            yield from factorial_routes()

    def invariances(self, metric: str) -> frozenset[str]:
        """What all chosen methods leave unchanged, on one side or on both."""
        unseen = [
            route.unseen(head=self.head, stats=self.stats, ridge=self.whitening_ridge)
            for route in self.routes()
        ]
        shared = frozenset.intersection(*unseen)
        return super().invariances(metric) | {f"codes:{group}" for group in shared}

    @classmethod
    def variants(cls) -> Iterable[Self]:
        """All methods, those together that leave the same unchanged; and two other heads."""
        together: dict[frozenset[str], list[StitchMethod]] = {}
        for method in get_args(StitchMethod):
            if method in CONTROLS or method == "trained":  # declare nothing, and take long
                continue
            unseen = route_of(method).unseen(head="linear", stats="anchors", ridge=0.0)
            together.setdefault(unseen, []).append(method)
        for methods in together.values():
            yield cls(methods=tuple(methods), anchors=12, penalty=1.0)
        other_statistics = cls(methods=("robust",), stats="reference", head="layer_norm")
        own_head = cls(methods=("affine",), head="own")
        for variant in (other_statistics, own_head):
            yield variant.model_copy(update={"anchors": 12, "penalty": 1.0})

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        """Codes of the test split and heads, in relative and absolute coordinates."""
        y = _train_labels(data, self.name)
        chosen = self._choose(data, y, context)
        train, test = subject.encode(data.train.x), subject.encode(data.test.x)
        codes = SplitCodes(train, test, train[chosen.to(train.device)])
        made = {"ids": data.test.ids, "anchor_ids": data.train.ids[chosen]}
        spaces = {route.space: route for route in self.routes()}
        for space, route in spaces.items():
            here = codes
            if route.projection is not None:
                here = relative_codes(route, codes, y, stats=self.stats, ridge=self.whitening_ridge)
            else:
                made[f"{space}.anchors"] = here.anchors
                if "trained" in self.methods:
                    made[f"{space}.train"], made["train_labels"] = here.train, y
                    made["layer_penalty"] = torch.tensor(self.penalty, dtype=torch.float64)
            made[f"{space}.codes"] = here.test
            made |= {f"{space}.{name}": part for name, part in drawn_plane(here.test).items()}
            if self.head != "own":
                read = read_codes(self.head, here.train, here.factors)
                head = self._fit_head(read, y, data.train.ids, context)
                if here.factors is not None:
                    made[f"{space}.factors"] = here.factors
                made[f"{space}.weight"], made[f"{space}.bias"] = head.weight, head.bias
                made["classes"] = head.classes
        return made

    def _choose(self, data: Dataset, y: Tensor, context: Context) -> Tensor:
        inputs = None
        if self.anchor_choice not in ("uniform", "stratified"):
            if not isinstance(data.train.x, Tensor):
                raise InputError(
                    f"anchor_choice = {self.anchor_choice!r} looks at inputs that are one tensor."
                )
            inputs = data.train.x.flatten(1)  # the same for all models, as anchors must be
        return choose_anchors(
            data.train.ids,
            y,
            codes=inputs,
            count=self.anchors,
            generator=context.shared("anchors"),
            method=self.anchor_choice,
        )

    def _fit_head(self, codes: Tensor, y: Tensor, ids: Tensor, context: Context) -> LinearHead:
        if self.head == "adam":
            # In the order of the ids: batches must not depend on the order of the split.
            order = torch.argsort(ids, stable=True)
            return descend_linear_head(
                codes[order.to(codes.device)],
                y[order],
                recipe=DescentRecipe(self.head_lr, self.head_epochs),
                generator=context.private("head"),
            )
        return fit_linear_head(codes, y, penalty=self.penalty)

    def measure(
        self, mine: Side, other: Side, data: Dataset, context: Context
    ) -> Iterable[Reading]:
        """Yield the accuracy of the other side's head on my codes, one reading per method."""
        require_same_ids(mine.prepared["ids"], other.prepared["ids"])
        require_same_ids(mine.prepared["anchor_ids"], other.prepared["anchor_ids"], "anchors")
        y = labels_of(data, self.name)
        chance, yielded = majority_share(y), 0
        for route in self.routes():
            head = head_of(self.head, other, route.space, 1 + int(y.max()))
            codes = carried(route, mine.prepared, other.prepared, head, context)
            if codes is None:
                continue
            yielded += 1
            right = head.answers(codes).to(y.device) == y
            drawn = seen_in(route.space, other.prepared, codes)
            yield Reading(
                "accuracy",
                samples=right.double(),
                statistic="proportion",
                at=route.at,
                chance=chance,
                artifact=None
                if drawn is None
                else {"plane": drawn, "labels": y[:DRAWN].to(torch.int16)},
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

        same, turned = _turning(0), _turning(1)
        for route in self.routes():
            # Normalised over two features, four directions are but two. What Adam finds in a few
            # epochs has no closed form, nor has what controls and trained layers do.
            if self.head in ("layer_norm", "adam") or route.carry in (*CONTROLS, "trained"):
                continue
            # A quarter turn carries each class into the next: as they are, all codes go wrong.
            stitched = 0.0 if route.at["method"] == "absolute" else 1.0
            yield Case((same, same), data, {"accuracy": 1.0}, 0.0, route.at)
            yield Case((same, turned), data, {"accuracy": stitched}, 0.0, route.at)


def _turning(quarters: int) -> EncoderHead:
    """A network whose codes are its inputs, turned; its head answers by the nearest direction."""
    directions = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    turn = torch.tensor([[0.0, -1.0], [1.0, 0.0]]).matrix_power(quarters)
    return EncoderHead(_Product(turn), _Product(directions @ turn.T))


class _Product(nn.Module):
    """From x `(n, inputs)` to x W^T; W is constant."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight.T


def _train_labels(data: Dataset, probe: str) -> Tensor:
    y = data.train.y
    if y is None or y.is_floating_point() or y.ndim != 1:
        raise InputError(
            f"{probe} fits heads on the train split: it needs integer class labels y of shape (n,)."
        )
    return y
