from __future__ import annotations

import pytest
import torch

from repgeo.errors import InputError, SampleMismatchError
from repgeo.stitching import parallel_anchors

FIRST, SECOND = torch.tensor([10, 11, 12, 13]), torch.tensor([7, 5, 6])


def test_agrees_with_dictionaries() -> None:
    generator = torch.Generator().manual_seed(0)
    first = torch.randperm(40, generator=generator) * 3
    second = torch.randperm(50, generator=generator) - 25
    pairs = torch.stack([first[torch.randperm(40, generator=generator)[:20]], second[:20]], dim=1)
    mine, other = parallel_anchors(first, second, pairs)
    assert [first.tolist().index(a) for a in pairs[:, 0].tolist()] == mine.tolist()
    assert [second.tolist().index(b) for b in pairs[:, 1].tolist()] == other.tolist()


def test_equal_ids_are_partners_by_default() -> None:
    first, second = torch.tensor([4, 9, 2, 9]), torch.tensor([2, 7, 9, 2])
    mine, other = parallel_anchors(first, second)
    assert (first[mine].tolist(), mine.tolist(), other.tolist()) == ([2, 9], [2, 1], [0, 2])


def test_the_order_of_the_samples_plays_no_part() -> None:
    pairs = torch.tensor([[12, 5], [10, 7]])
    order = torch.tensor([2, 0, 3, 1])
    mine, _ = parallel_anchors(FIRST, SECOND, pairs)
    again, _ = parallel_anchors(FIRST[order], SECOND, pairs)
    assert torch.equal(FIRST[mine], FIRST[order][again])


def test_repeated_pairs_count_once_and_two_partners_are_an_error() -> None:
    pairs = torch.tensor([[12, 5], [10, 7], [12, 5]])
    assert parallel_anchors(FIRST, SECOND, pairs)[0].tolist() == [2, 0]
    with pytest.raises(InputError, match="id 12 of the first domain has several partners"):
        parallel_anchors(FIRST, SECOND, torch.tensor([[12, 5], [12, 7]]))
    with pytest.raises(InputError, match="id 5 of the second domain has several partners"):
        parallel_anchors(FIRST, SECOND, torch.tensor([[12, 5], [10, 5]]))


def test_missing_ids_are_an_error_or_left_out() -> None:
    pairs = torch.tensor([[12, 5], [99, 7], [10, 98]])
    with pytest.raises(SampleMismatchError, match="first domain lacks 1 of 3"):
        parallel_anchors(FIRST, SECOND, pairs)
    with pytest.raises(SampleMismatchError, match="second domain lacks 1 of 2"):
        parallel_anchors(FIRST, SECOND, pairs[[0, 2]])
    mine, other = parallel_anchors(FIRST, SECOND, pairs, missing="skip")
    assert (mine.tolist(), other.tolist()) == ([2], [1])
    with pytest.raises(SampleMismatchError, match="no pair of samples"):
        parallel_anchors(FIRST, SECOND, pairs[1:], missing="skip")
    with pytest.raises(SampleMismatchError, match="no pair of samples"):
        parallel_anchors(FIRST, SECOND)
    with pytest.raises(SampleMismatchError, match="no pair of samples"):
        parallel_anchors(FIRST[:0], SECOND)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError, match="ids of the second domain must be integers"):
        parallel_anchors(FIRST, SECOND.double())
    with pytest.raises(InputError, match=r"Pairs must be integers \(k, 2\)"):
        parallel_anchors(FIRST, SECOND, torch.zeros(3).long())
    with pytest.raises(InputError, match="'error' or 'skip'"):
        parallel_anchors(FIRST, SECOND, missing="drop")  # type: ignore[arg-type]
