"""Several probes on several models at hand, in this process, without files."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from repgeo.datasets.dataset import Dataset
from repgeo.errors import ConfigurationError, InputError, UnsupportedError
from repgeo.identity import digest
from repgeo.models.cutting import as_module
from repgeo.models.loaded import LoadedModel, frozen_view
from repgeo.probes.probe import Probe
from repgeo.probes.rows import probe_columns, rows, to_frame
from repgeo.probes.standalone import (
    Preparations,
    dataset_from_arrays,
    dtype_name,
    measure_loaded,
)
from repgeo.probes.subject import MemoryCodes
from repgeo.version import __version__

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["evaluate"]


def evaluate(
    models: Any,
    probes: Probe | Iterable[Probe],
    data: Any,
    *,
    seeds: Sequence[int] = (0,),
    train: Any = None,
) -> pd.DataFrame:
    """Run probes on models in this process; a failure becomes a row, as in a study.

    Parameters
    ----------
    models
        A module or callable, or a dict label -> module. Measured in eval mode with frozen
        parameters, and put back as they were.
    probes
        One probe or several; pair probes run on all ordered pairs.
    data
        `(x, y)`, `x`, or a `repgeo.datasets.Dataset`.
    seeds
        Task seeds: anchors, probe points.
    train
        `(x, y)` to fit on, where `data` is not a Dataset. Without it, probes that fit get a
        stratified 70/30 split of `data` (`attrs["split"]` says so).

    Returns
    -------
    DataFrame
        The columns of a study's table.

    Raises
    ------
    InputError, DatasetError
        If the arguments themselves cannot be used.

    Examples
    --------
    >>> import torch
    >>> from repgeo.probes import Accuracy
    >>> x, y = torch.eye(2), torch.tensor([0, 0])
    >>> evaluate({"same": torch.nn.Identity()}, Accuracy(), (x, y))["value"].tolist()
    [0.5]
    """
    named = models if isinstance(models, Mapping) else {"model": models}
    chosen = [probes] if isinstance(probes, Probe) else list(probes)
    for probe in chosen:
        if not isinstance(probe, Probe):
            raise InputError(
                f"probes are instances such as Accuracy(), got {type(probe).__name__}: {probe!r}."
            )
    if not named or not chosen:
        raise InputError("evaluate needs at least one model and one probe.")
    modules = {label: as_module(model) for label, model in named.items()}
    fits = any(probe.fits for probe in chosen)
    records: list[dict[str, Any]] = []
    with ExitStack() as stack:
        for module in dict.fromkeys(modules.values()):
            stack.enter_context(frozen_view(module))
        loaded = [LoadedModel(module, label) for label, module in modules.items()]
        for seed in seeds:
            dataset, split = _dataset(data, train, fits, seed)
            codes = MemoryCodes()
            for probe in chosen:
                made: Preparations = {}
                for group in itertools.product(loaded, repeat=probe.arity):
                    records += _measure(probe, list(group), dataset, seed, codes, made)
    frame = to_frame(records)
    frame.attrs["split"] = split
    return frame


def _dataset(data: Any, train: Any, fits: bool, seed: int) -> tuple[Dataset, str]:
    if isinstance(data, Dataset):
        if train is not None:
            raise ConfigurationError("A Dataset has its own train split: leave out `train`.")
        return data, "the dataset's own"
    if isinstance(data, tuple) and len(data) != 2:
        raise InputError(f"data is (x, y), x, or a Dataset; got a tuple of {len(data)}.")
    x, y = data if isinstance(data, tuple) else (data, None)
    return dataset_from_arrays(x, y, train=train, fits=fits, seed=seed)


def _measure(
    probe: Probe,
    group: list[LoadedModel],
    data: Dataset,
    seed: int,
    codes: MemoryCodes,
    made: Preparations,
) -> Iterator[dict[str, Any]]:
    shared = {
        "dataset": data.name,
        "model": group[0].label,
        "model_b": group[1].label if len(group) > 1 else "",
        "seed": seed,
        "dtype": dtype_name(group[0]),
        "cell": digest([probe.name, probe.parameters(), [m.label for m in group], seed]),
        "version": __version__,
        **probe_columns(probe),
    }
    try:
        measured = measure_loaded(probe, group, data, seed, codes, made)
    except Exception as error:  # noqa: BLE001 - any failure is a row
        status = "unsupported" if isinstance(error, UnsupportedError) else "failed"
        text = " ".join(str(error).split())
        yield {**shared, "status": status, "error_type": type(error).__name__, "error": text}
    else:
        yield from rows(shared, measured.values)
