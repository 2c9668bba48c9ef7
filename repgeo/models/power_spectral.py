"""Power-spectral networks: one block of matrices for each representation of a group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from repgeo.errors import ConfigurationError
from repgeo.groups import candidate_dimensions, irreps, named_group, spectral_outputs
from repgeo.models.encoder_head import require_positive

__all__ = ["PowerSpectral", "planted_representation", "power_spectral"]

#: Blocks of equal dimension, `(starts, count, n, d, d)`, by dimension.
Stacks = list[Tensor]


class PowerSpectral(nn.Module):
    """Blocks W_i(h), W_i(e) = I, and the outputs M_i M_i^† with M_i(x) = sum_h x(h) W_i(h).

    Several networks ("starts") are held and trained at once, each with its own initial weights; the
    one with the smallest score is what the module computes. Where dimensions are not known, there
    are so many starts of each candidate.

    Attributes
    ----------
    order
        The number n of inputs.
    candidates
        Dimensions (d_1, d_2, ...), ascending; one tuple unless they are searched.
    starts
        Networks of each candidate.
    scores
        What the starts are compared by, `(candidates, starts)`: the loss that `note` was told.
    """

    scores: Tensor

    def __init__(
        self, order: int, candidates: Sequence[tuple[int, ...]], starts: int, *, identity: int = 0
    ) -> None:
        super().__init__()
        self.order = order
        self.identity = identity
        self.candidates = tuple(candidates)
        self.starts = starts
        dtype = torch.get_default_dtype()
        self.blocks = nn.ParameterDict()
        for place, sizes in enumerate(self.candidates):
            for d in sorted(set(sizes)):
                # Uniform real and imaginary parts, as published. W(e) = I is not a parameter.
                shape = (starts, sizes.count(d), order - 1, d, d, 2)
                uniform = (2 * torch.rand(shape, dtype=dtype) - 1) / d
                self.blocks[f"candidate{place}_dimension{d}"] = nn.Parameter(uniform)
        self.register_buffer("scores", torch.full((len(self.candidates), starts), torch.inf))

    def stacks(self, candidate: int = 0) -> Stacks:
        """The blocks of all starts of a candidate by dimension, `(starts, count, n, d, d)`."""
        found = []
        for d in sorted(set(self.candidates[candidate])):
            free = torch.view_as_complex(self.blocks[f"candidate{candidate}_dimension{d}"])
            unit = torch.eye(d, dtype=free.dtype, device=free.device)
            pinned = unit.expand(*free.shape[:2], 1, d, d)
            before, after = free[:, :, : self.identity], free[:, :, self.identity :]
            found.append(torch.cat([before, pinned, after], dim=2))
        return found

    def note(self, candidate: int, losses: Tensor, *, memory: float = 0.0) -> None:
        """Remember the losses `(starts,)` of a candidate: score = memory score + (1 - memory) loss.

        The first losses become the scores.
        """
        old = self.scores[candidate]
        mixed = memory * old + (1 - memory) * losses.detach()
        self.scores[candidate] = torch.where(torch.isfinite(old), mixed, losses.detach())

    @property
    def chosen(self) -> tuple[int, int]:
        """The candidate and the start with the smallest score, the first without any."""
        place = int(self.scores.flatten().argmin())
        return place // self.starts, place % self.starts

    def weight_blocks(self) -> tuple[Tensor, ...]:
        """W_i of the chosen start, `(n, d_i, d_i)` each, dimensions ascending."""
        candidate, start = self.chosen
        return tuple(block for stack in self.stacks(candidate) for block in stack[start])

    def representation(self) -> tuple[Tensor, ...]:
        """R_i(g) = W_i(g)^† of the chosen start, `(n, d_i, d_i)` each."""
        return tuple(block.mH for block in self.weight_blocks())

    def all_representations(self) -> tuple[tuple[Tensor, ...], ...]:
        """R_i(g) of every start of the chosen candidate."""
        stacks = self.stacks(self.chosen[0])
        return tuple(
            tuple(block.mH for stack in stacks for block in stack[start])
            for start in range(self.starts)
        )

    def filters(self) -> Tensor:
        """The rows h -> W_i(h)_ab of the chosen start, `(sum d_i^2, n)`, complex."""
        return torch.cat([block.flatten(1).T for block in self.weight_blocks()])

    def forward(self, x: Tensor) -> Tensor:
        """The entries of all M_i M_i^†, first the real parts, `(batch, 2 sum d_i^2)`."""
        outputs = [spectral_outputs(W, x).flatten(1) for W in self.weight_blocks()]
        joined = torch.cat(outputs, dim=1)
        return torch.cat([joined.real, joined.imag], dim=1)


def power_spectral(
    input_shape: tuple[int, ...],
    *,
    group: str | None = None,
    dimensions: tuple[int, ...] | Literal["search"] | None = None,
    starts: int = 1,
) -> nn.Module:
    """A power-spectral network for a group, untrained.

    Parameters
    ----------
    input_shape
        `(n,)`: signals on n elements, of which coordinate 0 is the identity.
    group
        The group, of which only the dimensions of its representations are used; the dataset's by
        default.
    dimensions
        Those dimensions, ascending, where no group tells them; or "search": all that a group of
        this order could have, of which the trained network with the smallest loss is kept.
    starts
        Networks that are trained at once, the best of which is kept (of each candidate, where
        dimensions are searched).

    Raises
    ------
    ConfigurationError
        If the dimensions do not fit the order, or nothing tells them.

    References
    ----------
    G. L. Marchetti, C. Hillar, D. Kragic, S. Sanborn, "Harmonics of learning: universal Fourier
    features emerge in invariant networks" (2023), arXiv:2312.08550.

    Examples
    --------
    >>> net = power_spectral((6,), group="S3", starts=4)
    >>> [tuple(stack.shape) for stack in net.stacks()]
    [(4, 2, 6, 1, 1), (4, 1, 6, 2, 2)]
    """
    require_positive("power_spectral", starts=starts)
    if len(input_shape) != 1:
        raise ConfigurationError(f"power_spectral takes signals (n,), got {input_shape}.")
    (order,) = input_shape
    if dimensions == "search":
        return PowerSpectral(order, candidate_dimensions(order), starts)
    if dimensions is None:
        if group is None:
            raise ConfigurationError(
                "power_spectral needs a group, or dimensions = [1, 1, 2] or 'search'."
            )
        dimensions = tuple(rho.dimension for rho in irreps(named_group(group)))
    if sum(d * d for d in dimensions) != order or list(dimensions) != sorted(dimensions):
        raise ConfigurationError(
            f"power_spectral: dimensions ascend and their squares sum to the {order} inputs, got "
            f"{list(dimensions)}."
        )
    return PowerSpectral(order, [dimensions], starts)


class _Planted(nn.Module):
    """Exact representations plus noise, several draws of it."""

    def __init__(self, exact: Sequence[Tensor], eta: float, draws: int) -> None:
        super().__init__()
        n = len(exact[0])
        noise = [torch.randn(draws, *R.shape, dtype=R.dtype) for R in exact]
        squared = [
            R.shape[-1] * e.abs().square().sum((-2, -1)) for R, e in zip(exact, noise, strict=True)
        ]
        factor = eta * (n / torch.stack(squared).sum(dim=0)).sqrt()  # (draws, n)
        for place, (R, e) in enumerate(zip(exact, noise, strict=True)):
            self.register_buffer(f"block{place}", R + factor[..., None, None] * e)
        self._count = len(exact)

    def all_representations(self) -> tuple[tuple[Tensor, ...], ...]:
        """R_i(g) of every draw."""
        blocks = [self.get_buffer(f"block{place}") for place in range(self._count)]
        return tuple(tuple(block[draw] for block in blocks) for draw in range(len(blocks[0])))

    def representation(self) -> tuple[Tensor, ...]:
        """R_i(g) of the first draw, `(n, d_i, d_i)` each."""
        return self.all_representations()[0]

    def filters(self) -> Tensor:
        """The rows h -> R_i(h)^†_ab of the first draw, `(n, n)`, complex."""
        return torch.cat([R.mH.flatten(1).T for R in self.representation()])

    def forward(self, x: Tensor) -> Tensor:
        """The entries of all M_i M_i^†, as a power-spectral network gives them."""
        outputs = [spectral_outputs(R.mH, x).flatten(1) for R in self.representation()]
        joined = torch.cat(outputs, dim=1)
        return torch.cat([joined.real, joined.imag], dim=1)


def planted_representation(
    group: str, *, eta: float = 0.0, draws: int = 1, shuffled: bool = False
) -> nn.Module:
    """The exact Fourier transform of a group with noise of a known size: a planted answer.

    R_i(g) = ρ_i(g) + e_i(g), e Gaussian and scaled: sum_i d_i ||e_i(g)||_F^2 = eta^2 n for each g.

    Parameters
    ----------
    group
        The group; the dataset's by default.
    eta
        The size of the noise; 0 for the exact transform.
    draws
        Draws of the noise, each of which counts as a start.
    shuffled
        Whether the elements other than the identity are in a random order, one for all draws: a
        control, which holds a group that is isomorphic to the data's, under other names.

    Raises
    ------
    ConfigurationError
        If there are no draws, or eta is negative.

    Examples
    --------
    >>> net = planted_representation("D4", eta=0.1, draws=3)
    >>> len(net.all_representations()), tuple(net.filters().shape)
    (3, (8, 8))
    """
    require_positive("planted_representation", draws=draws)
    if eta < 0:
        raise ConfigurationError(f"planted_representation: eta must not be negative, got {eta}.")
    exact = [rho.matrices for rho in irreps(named_group(group))]
    if shuffled:
        order = torch.cat(
            [torch.zeros(1, dtype=torch.int64), 1 + torch.randperm(len(exact[0]) - 1)]
        )
        exact = [R[order] for R in exact]
    return _Planted(exact, eta, draws)
