"""How alike two representations of the same samples are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar

import torch
from torch import Tensor

from repgeo.datasets.dataset import Dataset, Split
from repgeo.probes.context import Context
from repgeo.probes.metric import Metric
from repgeo.probes.pairs import require_same_ids
from repgeo.probes.probe import Case, Probe, Side
from repgeo.probes.reading import Reading
from repgeo.probes.subject import Subject
from repgeo.stitching.similarity import cka

__all__ = ["Similarity"]


class Similarity(Probe):
    """Unbiased linear CKA of two models' codes of the test split (see `repgeo.stitching.cka`).

    1 where the codes agree up to rotation, isotropic scaling and translation; 0 on average for
    independent codes, whatever their sizes, single values below 0 included; never outside [-1, 1].

    There is no interval over samples: the value is a ratio of U-statistics, not a mean over
    samples, and resampling with repetition biases it (a repeated sample is similar to itself).

    Parameters
    ----------
    layer, layer_b
        Where the two models are cut (`layer_b`: like `layer`).

    Raises
    ------
    InputError
        If there are fewer than four samples, or a model's codes are all the same.
    SampleMismatchError
        If the two models were not given the same samples.

    Examples
    --------
    >>> x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    >>> frame = Similarity()(lambda x: x, lambda x: 1 - 2 * x, x)
    >>> round(float(frame["value"].iloc[0]), 6)
    1.0
    """

    name: ClassVar[str] = "similarity"
    arity: ClassVar[int] = 2
    metrics: ClassVar[Mapping[str, Metric]] = {
        "cka": Metric(
            direction="none",
            range=(-1.0, 1.0),
            chance=0.0,
            invariant_to={
                "codes:permutation",
                "codes:scaling",
                "codes:orthogonal",
                "codes:translation",
                "samples:permutation",
            },
            summary="unbiased linear CKA",
        )
    }

    layer: str = "encoder"
    layer_b: str | None = None

    def prepare(self, subject: Subject, data: Dataset, context: Context) -> dict[str, Tensor]:
        """The codes of the test split, and the samples' ids."""
        return {"codes": subject.encode(data.test.x), "ids": data.test.ids}

    def measure(
        self, mine: Side, other: Side, data: Dataset, context: Context
    ) -> Iterable[Reading]:
        """Yield the similarity of the two sides' codes."""
        require_same_ids(mine.prepared["ids"], other.prepared["ids"])
        # In float64, whatever the models' dtype: the reading is a number of the table.
        yield Reading("cka", cka(mine.prepared["codes"].double(), other.prepared["codes"].double()))

    def oracles(self) -> Iterable[Case]:
        """Codes that are moved copies, and codes that part four samples in independent ways."""
        square = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        split = Split(square)
        data = Dataset("", split, split)

        def first(x: Tensor) -> Tensor:
            return x[:, :1]

        def second(x: Tensor) -> Tensor:
            return x[:, 1:]

        def turned(x: Tensor) -> Tensor:
            return 3 - 2 * x.flip(1)

        def same(x: Tensor) -> Tensor:
            return x

        yield Case((same, turned), data, {"cka": 1.0}, 1e-12)
        # Of four samples, the U-centred kernels span a plane; these two lie at 120 degrees in it.
        yield Case((first, second), data, {"cka": -0.5}, 1e-12)
