"""Datasets: named arrays with sample ids, train and test splits, and a content digest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from repgeo.lazy import lazy_exports

if TYPE_CHECKING:
    from repgeo.datasets.dataset import Dataset, Split
    from repgeo.datasets.splitting import stratified_choice, stratified_split

__all__ = ["Dataset", "Split", "stratified_choice", "stratified_split"]

__getattr__, __dir__ = lazy_exports(
    __name__,
    {
        "Dataset": "repgeo.datasets.dataset",
        "Split": "repgeo.datasets.dataset",
        "stratified_choice": "repgeo.datasets.splitting",
        "stratified_split": "repgeo.datasets.splitting",
    },
)
