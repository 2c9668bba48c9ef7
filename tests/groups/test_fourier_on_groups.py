from __future__ import annotations

import itertools
import math

import pytest
import torch

from repgeo.errors import InputError
from repgeo.groups import (
    FourierCoefficients,
    bispectrum,
    cyclic,
    fourier_transform,
    inverse_fourier_transform,
    irreps,
    named_group,
    power_spectrum,
)

NAMES = ["C1", "C7", "C2xC3", "S3", "Q8", "A4", "S4", "C3xS3", "S3xC3", "D4xS3", "A4xC2xC2"]


def signals(group, *shape, seed=0):
    draws = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, group.order, dtype=torch.complex128, generator=draws)


def by_the_definition(x, group):
    """sqrt(d / n) sum_g f(g) ρ(g)^†, one representation and one element at a time."""
    blocks = []
    for rho in irreps(group):
        total = torch.zeros(*x.shape[:-1], rho.dimension, rho.dimension, dtype=x.dtype)
        for g in range(group.order):
            total = total + x[..., g, None, None] * rho.matrices[g].mH
        blocks.append(math.sqrt(rho.dimension / group.order) * total)
    return blocks


@pytest.mark.parametrize("name", NAMES)
def test_transforms_are_those_of_the_definition(name):
    group = named_group(name)
    x = signals(group, 2, 3)
    found = fourier_transform(x, group)
    for block, slow in zip(found.blocks, by_the_definition(x, group), strict=True):
        assert (block - slow).abs().max() < 1e-12
    assert (inverse_fourier_transform(found, group) - x).abs().max() < 1e-12
    assert (found.energies.sum(-1) - x.abs().square().sum(-1)).abs().max() < 1e-12 * group.order


@pytest.mark.parametrize("name", NAMES)
def test_spectra_under_translations(name):
    group = named_group(name)
    x = signals(group)
    spectrum, third = power_spectrum(x, group).blocks, bispectrum(x, group)
    for g in range(group.order):
        moved = x[torch.tensor(group.table[g])]
        for rho, a, b in zip(
            irreps(group),
            fourier_transform(x, group).blocks,
            fourier_transform(moved, group).blocks,
            strict=True,
        ):
            assert (a @ rho.matrices[g] - b).abs().max() < 1e-12
        for a, b in zip(spectrum, power_spectrum(moved, group).blocks, strict=True):
            assert (a - b).abs().max() < 1e-11
    g = group.order // 2
    again = bispectrum(x[torch.tensor(group.table[g])], group)
    assert max(float((again[key] - third[key]).abs().max()) for key in third) < 1e-9
    other = bispectrum(signals(group, seed=1), group)
    assert max(float((other[key] - third[key]).abs().max()) for key in third) > 1e-3


def test_cyclic_groups_have_the_discrete_fourier_transform():
    x = signals(cyclic(12), 2)
    flat = torch.cat(fourier_transform(x, cyclic(12)).blocks, dim=-1)[..., 0, :]
    assert torch.allclose(flat, torch.fft.fft(x, norm="ortho"), atol=1e-13)
    F = torch.fft.fft(x)
    for (i, j), block in bispectrum(x, cyclic(12)).items():
        expected = F[:, i] * F[:, j] * F[:, (i + j) % 12].conj()
        assert torch.allclose(block[:, 0, 0], expected, atol=1e-10)


def test_a_large_cyclic_group_by_its_matrix_of_characters():
    group, n = cyclic(1024), 1024
    x = signals(group, 3)
    k = torch.arange(n, dtype=torch.float64)
    # Products are reduced before they become angles, which keeps fifteen digits.
    characters = torch.exp(-2j * torch.pi * (torch.outer(k, k) % n) / n) / n**0.5
    flat = torch.cat(fourier_transform(x, group).blocks, dim=-1)[..., 0, :]
    assert torch.allclose(flat, x.to(characters.dtype) @ characters, atol=1e-12)
    back = inverse_fourier_transform(fourier_transform(x, group), group)
    assert torch.allclose(back, x.to(back.dtype), atol=1e-12)


def test_the_bispectrum_tells_what_the_power_spectrum_does_not():
    # x(g) and x(-g) have one power spectrum on a cyclic group, and two bispectra.
    group = cyclic(7)
    x = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mirrored = x[-torch.arange(7) % 7]
    pairs = zip(
        power_spectrum(x, group).blocks, power_spectrum(mirrored, group).blocks, strict=True
    )
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-12
    a, b = bispectrum(x, group), bispectrum(mirrored, group)
    assert max(float((a[key] - b[key]).abs().max()) for key in a) > 0.1


def test_the_order_of_blocks_of_a_product():
    group = named_group("S3xD4")
    g, h = named_group("S3"), named_group("D4")
    names = [rho.name for rho in irreps(group)]
    pairs = [
        (a.dimension * b.dimension, f"{a.name},{b.name}")
        for a, b in itertools.product(irreps(g), irreps(h))
    ]
    assert names == [name for _, name in sorted(pairs, key=lambda pair: pair[0])]


def test_precision_and_input_are_kept():
    group = named_group("S3")
    x = signals(group).to(torch.complex64)
    before = x.clone()
    found = fourier_transform(x, group)
    assert {stack.dtype for stack in found.stacks} == {torch.complex64}
    assert torch.equal(x, before)
    assert fourier_transform(x.real, group).stacks[0].dtype == torch.complex64


def test_signals_that_are_none():
    group = named_group("S3")
    with pytest.raises(InputError, match=r"shape \(..., 6\), got \(2, 5\)"):
        fourier_transform(torch.zeros(2, 5), group)
    with pytest.raises(InputError, match="real or complex numbers, got torch"):
        power_spectrum(torch.zeros(6, dtype=torch.int64), group)
    with pytest.raises(InputError, match="got list"):
        bispectrum([1.0] * 6, group)
    with pytest.raises(InputError, match="coefficients of"):
        inverse_fourier_transform(FourierCoefficients((torch.zeros(6, 1, 1),)), group)
