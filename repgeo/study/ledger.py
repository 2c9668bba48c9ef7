"""The files of a study: one per finished step, written whole, read back with suspicion."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from repgeo.errors import CheckpointError, ConfigurationError, StorageError
from repgeo.identity import canonical_json
from repgeo.models.checkpoints import load_state, save_state
from repgeo.models.loaded import Epoch
from repgeo.study.atomic import cannot_write, sweep, write_atomically
from repgeo.study.outcome import Outcome
from repgeo.study.steps import Step

__all__ = ["Ledger"]


class Ledger:
    """A study folder.

    `study.json` (task as resolved, versions, machine kind), `cells/<id>.json` and `<id>.npz`
    (samples, artifacts), `weights/<id>/<epoch>.safetensors`, `prepared/<id>.safetensors`,
    `table.csv`.

    Parameters
    ----------
    folder
        The study folder.
    weights
        Another folder for trained weights, to share them between studies.
    """

    def __init__(self, folder: Path, weights: Path | None = None) -> None:
        self.folder = folder
        self.weights = weights if weights is not None else folder / "weights"
        self.cells = folder / "cells"
        self.prepared = folder / "prepared"
        self._mark: int | None = None

    def open(self, task: str) -> None:
        """Make the folders, sweep leftovers; only under the lock.

        Raises
        ------
        ConfigurationError
            If the folder holds the study of another task.
        StorageError
            If it cannot be written.
        """
        path = self.folder / "study.json"
        if path.is_file():
            other = self.study().get("task")
            if other != task:
                raise ConfigurationError(
                    f"The folder {str(self.folder)!r} holds the study of the task {other!r}, not "
                    f"of {task!r}. Choose another with --out."
                )
        for place in (self.cells, self.prepared, self.weights):
            _make_folder(place)
        sweep(self.folder)

    def study(self) -> dict[str, Any]:
        """What `study.json` says ({} where it is missing or unreadable)."""
        try:
            found = json.loads((self.folder / "study.json").read_bytes())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_study(self, study: Mapping[str, Any]) -> None:
        """Write `study.json`."""
        text = json.dumps(study, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(self.folder / "study.json", text)

    def _place(self, step: Step, status: str) -> str:
        # A training that succeeded belongs to the store of weights, which studies may share; one
        # that did not is this study's own affair. Text, not a Path: it is asked for once per cell.
        if step.kind == "train" and status == "ok":
            return f"{self.weights}/{step.id}/step.json"
        folder = self.prepared if step.kind == "prepare" else self.cells
        return f"{folder}/{step.id}.json"

    def record(self, step: Step, outcome: Outcome) -> None:
        """Write a step's outcome, at once and whole.

        Raises
        ------
        StorageError
            If it cannot be written.
        """
        place = Path(self._place(step, outcome.status))
        if step.kind == "train":
            _make_folder(place.parent)
        write_atomically(place, canonical_json(outcome.to_json()))

    def outcome(self, step: Step) -> Outcome | None:
        """The recorded outcome, or None. A file that is empty, broken or another's is absent."""
        for status in ("ok", "failed") if step.kind == "train" else ("ok",):
            try:
                with FileIO(self._place(step, status)) as stream:
                    found = Outcome.from_json(json.loads(stream.readall()))
            except (OSError, ValueError, TypeError, KeyError):
                continue
            if found.step == step.id and (not found.ok or self._complete(step)):
                return found
        return None

    def _complete(self, step: Step) -> bool:
        if step.kind == "train":
            return (self.weights / step.id / "final.safetensors").is_file()
        if step.kind == "prepare":
            return (self.prepared / f"{step.id}.safetensors").is_file()
        return True

    def forget(self, steps: Iterable[Step]) -> None:
        """Remove the outcomes of steps, so that they run again."""
        for step in steps:
            for status in ("ok", "failed"):
                Path(self._place(step, status)).unlink(missing_ok=True)

    def write_checkpoint(self, step: str, epoch: Epoch, state: Mapping[str, Tensor]) -> None:
        """Store a checkpoint of a training."""
        folder = self.weights / step
        _make_folder(folder)
        path = folder / f"{epoch}.safetensors"
        write_atomically(path, lambda temporary: save_state(dict(state), temporary))

    def checkpoint(self, step: str, epoch: Epoch) -> dict[str, Tensor]:
        """A stored checkpoint.

        Raises
        ------
        CheckpointError
            If there is none.
        """
        path = self.weights / step / f"{epoch}.safetensors"
        if not path.is_file():
            raise CheckpointError(f"There is no checkpoint {str(path)!r}: train the model again.")
        return load_state(path)

    def checkpoints(self, step: str) -> tuple[Epoch, ...]:
        """The kept checkpoints, in the order of training."""
        names = [path.stem for path in (self.weights / step).glob("*.safetensors")]
        numbers = sorted(int(name) for name in names if name.isdigit())
        first = [name for name in ("init",) if name in names]
        last = [name for name in ("final",) if name in names]
        return (*first, *numbers, *last)

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        """Store what a prepare step made, or codes, under `prepared/`."""
        path = self.prepared / f"{name}.safetensors"
        write_atomically(path, lambda temporary: save_state(dict(tensors), temporary))

    def tensors(self, name: str) -> dict[str, Tensor] | None:
        """Tensors stored under `prepared/`, or None."""
        path = self.prepared / f"{name}.safetensors"
        return load_state(path) if path.is_file() else None

    def write_arrays(self, step: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Store samples and artifacts of a cell."""

        def write(temporary: Path) -> None:
            with temporary.open("wb") as stream:
                # Names hold slashes, which are fine inside an archive.
                np.savez_compressed(stream, **dict(arrays))  # type: ignore[arg-type]

        write_atomically(self.cells / f"{step}.npz", write)

    def arrays(self, step: str) -> dict[str, np.ndarray]:
        """Samples and artifacts of a cell ({} where it has none)."""
        path = self.cells / f"{step}.npz"
        if not path.is_file():
            return {}
        with np.load(path, allow_pickle=False) as archive:
            return dict(archive)

    def mark(self, step: str) -> None:
        """Say which step runs in this process, for the case that it does not survive it."""
        path = self.folder / "running.json"
        try:
            if self._mark is None:
                self._mark = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
            # In place, not by a new file each time: it is once per cell. Names have one length.
            os.pwrite(self._mark, json.dumps([step]).encode(), 0)
        except OSError as error:
            raise cannot_write(path, error) from error

    def unmark(self) -> None:
        """The step that ran has ended."""
        if self._mark is not None:
            os.close(self._mark)
            self._mark = None
        (self.folder / "running.json").unlink(missing_ok=True)

    def marked(self) -> str | None:
        """The step that a process which is gone was in (under the lock, any other is gone)."""
        try:
            return str(json.loads((self.folder / "running.json").read_bytes())[0])
        except (OSError, ValueError, LookupError, TypeError):
            return None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"Cannot write to {str(folder)!r}: {error.strerror}.") from None
