"""What every translator offers: fitted on paired codes, it carries codes across."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from repgeo.errors import InputError
from repgeo.stitching.codes import Codes, as_codes, like_codes

__all__ = ["AffineMapTranslator", "Paired", "Translator"]


@dataclass(frozen=True)
class Paired:
    """Codes of the same samples on both sides, as `fit` hands them to a translator.

    Attributes
    ----------
    source, target
        `(n, source features)` and `(n, target features)`, float64, without gradients, on the
        source's device.
    source_rounding, target_rounding
        The rounding unit (eps) of the dtypes they came in: what is smaller is no information.
    """

    source: Tensor
    target: Tensor
    source_rounding: float
    target_rounding: float


@dataclass(frozen=True, eq=False)
class Translator(ABC):
    """A map from one model's codes into another's, as a scikit-learn transformer.

    The fields of a translator are its parameters. `fit(source, target)` takes codes of the same
    samples (anchors) and returns the translator itself, fitted; `transform(codes)` carries codes
    of the source's space into the target's. Both take tensors or arrays; `transform` gives back
    what it was given, of the same dtype and on the same device. Within, all is float64.

    What a translator does not see is declared, by names of groups that act on codes:
    "permutation" and "orthogonal" of features, "scaling" by one positive number, "diagonal" (each
    feature by its own number that is not zero), "translation", "invertible" (linear), "affine".
    With f = fit(source, target).transform,

    - `source_invariance_group`: moving source and codes by one g of it changes nothing,
      fit(g source, target).transform(g z) = f(z);
    - `target_equivariance_group`: moving the target by g moves the answer,
      fit(source, g target).transform(z) = g f(z).

    A fitted translator can be used from several threads; `fit` replaces what was fitted before.
    """

    @property
    @abstractmethod
    def source_invariance_group(self) -> frozenset[str]:
        """Transformations of the source's space that the translator undoes."""

    @property
    @abstractmethod
    def target_equivariance_group(self) -> frozenset[str]:
        """Transformations of the target's space that the translated codes go along with."""

    @property
    @abstractmethod
    def source_features(self) -> int:
        """How many features the codes must have. Only after `fit`."""

    @abstractmethod
    def _fit(self, paired: Paired) -> None:
        """Keep what `_map` needs."""

    @abstractmethod
    def _map(self, codes: Tensor) -> Tensor:
        """Codes `(n, source features)` as `(n, target features)`, both float64."""

    def fit(self, source: Tensor | np.ndarray, target: Tensor | np.ndarray) -> Self:
        """Fit the translator to codes of the same samples and return it.

        Parameters
        ----------
        source, target
            `(n, source features)` and `(n, target features)`; row i of both is one sample.

        Raises
        ------
        InputError
            If shapes or numbers of rows do not fit, there are fewer than two rows, or a value is
            NaN or infinite.
        """
        first, second = as_codes(source, "source codes"), as_codes(target, "target codes")
        if len(first) != len(second) or len(first) < 2:
            raise InputError(
                "A translator needs codes of the same samples, two at least; got "
                f"{len(first)} source and {len(second)} target codes."
            )
        self._fit(
            Paired(
                first.detach().double(),
                second.detach().to(first.device).double(),
                torch.finfo(first.dtype).eps,
                torch.finfo(second.dtype).eps,
            )
        )
        return self

    def transform(self, codes: Codes) -> Codes:
        """Codes `(n, source features)` in the target's space, `(n, target features)`.

        Gradients flow through to the codes.

        Raises
        ------
        InputError
            If the translator is not fitted, the number of features does not fit, or a value is NaN
            or infinite.
        """
        tensor = as_codes(codes, "codes")
        if tensor.shape[1] != self.source_features:
            raise InputError(
                f"Codes must have the shape (n, {self.source_features}), as the source that the "
                f"translator was fitted on; got {tuple(tensor.shape)}."
            )
        return like_codes(self._map(tensor.double()), codes)

    def _keep(self, **fitted: Any) -> None:
        # Parameters are frozen, what is fitted is not.
        for name, value in fitted.items():
            object.__setattr__(self, name, value)

    def _require_fitted(self, attribute: str) -> None:
        if not hasattr(self, attribute):
            raise InputError(
                f"This {type(self).__name__} is not fitted yet. Call fit(source, target) first."
            )


@dataclass(frozen=True, eq=False)
class AffineMapTranslator(Translator):
    """A translator whose answer is an affine map, z -> (z - source mean) matrix + target mean.

    Attributes
    ----------
    matrix_
        `(source features, target features)`, float64. Set by `fit`.
    source_mean_, target_mean_
        `(source features,)` and `(target features,)`, float64: zero where nothing is centred. Set
        by `fit`.
    """

    matrix_: Tensor = field(init=False, repr=False)
    source_mean_: Tensor = field(init=False, repr=False)
    target_mean_: Tensor = field(init=False, repr=False)

    @property
    def source_features(self) -> int:
        """How many features the codes must have. Only after `fit`."""
        self._require_fitted("matrix_")
        return self.matrix_.shape[0]

    def _map(self, codes: Tensor) -> Tensor:
        device = codes.device
        centred = codes - self.source_mean_.to(device)
        return centred @ self.matrix_.to(device) + self.target_mean_.to(device)
