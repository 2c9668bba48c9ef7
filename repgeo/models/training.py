"""The one training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from repgeo.datasets.dataset import Dataset, Split
from repgeo.datasets.splitting import stratified_split
from repgeo.errors import ConfigurationError, TrainingError
from repgeo.models.cutting import module_device, module_dtype
from repgeo.models.loaded import Epoch
from repgeo.models.randomness import isolated_randomness
from repgeo.models.recipe import Recipe
from repgeo.models.schedule import rate_factor
from repgeo.objectives.objective import Objective

__all__ = ["TrainingHistory", "train", "train_with_restarts"]

State = dict[str, Tensor]
Checkpoint = Callable[[Epoch, State], None]
Progress = Callable[[float], None]


@dataclass(frozen=True)
class TrainingHistory:
    """What happened in a training.

    Attributes
    ----------
    losses
        The mean loss of each pass over the data, while it was trained on; the last pass may be
        partial where the recipe is in steps. Empty for a model that trains itself.
    steps
        The number of updates.
    restart
        Which of the restarts was kept, from 0.
    scores
        What the restarts were compared by; None for one that failed.
    """

    losses: tuple[float, ...] = ()
    steps: int = 0
    restart: int = 0
    scores: tuple[float | None, ...] = ()


def train(
    module: nn.Module,
    recipe: Recipe,
    objective: Objective,
    data: Dataset,
    *,
    generator: torch.Generator,
    progress: Progress | None = None,
    on_checkpoint: Checkpoint | None = None,
) -> TrainingHistory:
    """Train a network, in place, on its device; it is left in evaluation mode.

    All randomness comes from `generator`: the order of the batches directly, and dropout and its
    like by a seed drawn from it, in a global state that is put back. The same network, data and
    generator give the same bits on one kind of CPU with one thread. Where a network has batch
    normalisation, a batch of one sample is left out: it has no spread to normalise by.

    A module that offers `fit(data, generator)` trains itself; the recipe is then not used.

    Parameters
    ----------
    module
        The network.
    recipe, objective
        How and for what (`repgeo.models.recipe.parse_recipe`).
    data
        Its train split is trained on.
    generator
        A CPU generator.
    progress
        Called with the finished fraction.
    on_checkpoint
        Called with "init" and the numbers in `recipe.keep`, and "final" at the end, each with a
        copy of the state.

    Raises
    ------
    TrainingError
        If a loss, a gradient or the final weights are not finite (epoch and step are named), or the
        objective gives no batches, or a loss that is not one number.
    ConfigurationError
        If the network has nothing to train.
    """
    device = module_device(module)
    seed = int(torch.randint(2**62, (), generator=generator))
    report: Progress = progress if progress is not None else lambda fraction: None

    def checkpoint(epoch: Epoch) -> None:
        if on_checkpoint is not None:
            on_checkpoint(epoch, _copy_of_state(module))

    with isolated_randomness(seed, device):
        if "init" in recipe.keep:
            checkpoint("init")
        fit = getattr(module, "fit", None)
        if callable(fit):
            fit(data, generator)
            history = TrainingHistory()
        else:
            loop = _Loop(module, recipe, objective, data, generator)
            history = loop.run(report, checkpoint)
        module.eval()
        _require_finite_weights(module)
        checkpoint("final")
    report(1.0)
    return history


def train_with_restarts(
    make_module: Callable[[int], nn.Module],
    recipe: Recipe,
    objective: Objective,
    data: Dataset,
    *,
    generator: torch.Generator,
    progress: Progress | None = None,
    on_checkpoint: Checkpoint | None = None,
) -> tuple[nn.Module, TrainingHistory]:
    """Train `recipe.restarts` networks and keep the best one, by `recipe.select`.

    Parameters
    ----------
    make_module
        From the number of a restart, 0 to restarts - 1, to a network with its initial weights.
    recipe, objective, data, generator, progress, on_checkpoint
        As for `train`; checkpoints are those of the network that is kept.

    Returns
    -------
    tuple
        The network and its history.

    Raises
    ------
    TrainingError
        If no restart could be finished: the error of the first one.
    ConfigurationError
        As for `train`.
    """
    if recipe.restarts == 1:
        module = make_module(0)
        history = train(
            module,
            recipe,
            objective,
            data,
            generator=generator,
            progress=progress,
            on_checkpoint=on_checkpoint,
        )
        return module, history
    best, scores = _best_attempt(make_module, recipe, objective, data, generator, progress)
    if on_checkpoint is not None:
        for epoch, state in best.checkpoints:
            on_checkpoint(epoch, state)
    return best.module, replace(best.history, restart=best.restart, scores=tuple(scores))


def _best_attempt(
    make_module: Callable[[int], nn.Module],
    recipe: Recipe,
    objective: Objective,
    data: Dataset,
    generator: torch.Generator,
    progress: Progress | None,
) -> tuple[_Attempt, list[float | None]]:
    """The best of several trainings, the first of equals, and the scores of all."""
    seeds = torch.randint(2**62, (recipe.restarts + 1,), generator=generator).tolist()
    fitted, held_out = data, None
    if recipe.select == "validation_loss":
        rest, held_out = stratified_split(data.train, 0.1, seeds[-1])
        fitted = replace(data, train=rest)
    best: _Attempt | None = None
    scores: list[float | None] = []
    first_error: TrainingError | None = None
    for restart in range(recipe.restarts):
        attempt = _Attempt(make_module(restart), restart)
        try:
            attempt.train(recipe, objective, fitted, seeds[restart], progress)
        except TrainingError as error:
            first_error = first_error or error
            scores.append(None)
            continue
        if held_out is None:
            attempt.score = attempt.history.losses[-1] if attempt.history.losses else 0.0
        else:
            aside = replace(data, train=held_out)
            attempt.score = _mean_loss(attempt.module, recipe, objective, aside, seeds[-1])
        scores.append(attempt.score)
        if best is None or attempt.score < best.score:
            best = attempt
    if best is None:
        raise TrainingError(f"None of {recipe.restarts} restarts could be finished: {first_error}")
    return best, scores


@dataclass
class _Attempt:
    """One of several restarts, with its checkpoints held back until it is known to be the best."""

    module: nn.Module
    restart: int
    score: float = math.inf
    history: TrainingHistory = TrainingHistory()

    def __post_init__(self) -> None:
        self.checkpoints: list[tuple[Epoch, State]] = []

    def train(
        self,
        recipe: Recipe,
        objective: Objective,
        data: Dataset,
        seed: int,
        progress: Progress | None,
    ) -> None:
        def report(fraction: float) -> None:
            if progress is not None:
                progress((self.restart + fraction) / recipe.restarts)

        self.history = train(
            self.module,
            recipe,
            objective,
            data,
            generator=torch.Generator().manual_seed(seed),
            progress=report,
            on_checkpoint=lambda epoch, state: self.checkpoints.append((epoch, state)),
        )


class _Loop:
    """Updates until the recipe's epochs or steps are done."""

    def __init__(
        self,
        module: nn.Module,
        recipe: Recipe,
        objective: Objective,
        data: Dataset,
        generator: torch.Generator,
    ) -> None:
        self._module = module
        self._recipe = recipe
        self._objective = objective
        self._generator = generator
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        if not self._parameters:
            raise ConfigurationError(
                f"{type(module).__name__} has no parameters to train: leave out [models.train]."
            )
        device, dtype = module_device(module), module_dtype(module)
        self._data = replace(data, train=data.train.to(device, dtype))
        self._skips_single = any(
            isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()
        )
        own = objective.optimizer(module)
        self._optimizer = own if own is not None else _optimizer(recipe, self._parameters)
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        if recipe.steps is not None:
            self._total = recipe.steps
        else:
            per_epoch = objective.batches_per_epoch(self._data, recipe.batch_size)
            self._total = (recipe.epochs or 1) * per_epoch
        self._step = 0

    def run(self, report: Progress, checkpoint: Callable[[Epoch], None]) -> TrainingHistory:
        recipe = self._recipe
        losses: list[float] = []
        self._module.train()
        while not self._finished(len(losses)):
            total, samples = 0.0, 0
            for batch in self._batches():
                size = len(batch) if isinstance(batch, Split) else 1
                total += self._update(batch, len(losses) + 1) * size
                samples += size
                if recipe.steps is not None:
                    self._after(self._step, report, checkpoint, recipe.steps)
                    if self._step == recipe.steps:
                        break
            if not samples:
                raise TrainingError(
                    f"The objective {self._objective.name!r} gave no batches to train on"
                    + (" (batch normalisation needs two samples)." if self._skips_single else ".")
                )
            losses.append(total / samples)
            if recipe.epochs is not None:
                self._after(len(losses), report, checkpoint, recipe.epochs)
        return TrainingHistory(tuple(losses), self._step)

    def _finished(self, epochs: int) -> bool:
        if self._recipe.steps is not None:
            return self._step >= self._recipe.steps
        return epochs >= (self._recipe.epochs or 0)

    def _batches(self) -> Iterator[Any]:
        batches = self._objective.batches(self._data, self._recipe.batch_size, self._generator)
        for batch in batches:
            if not (self._skips_single and isinstance(batch, Split) and len(batch) == 1):
                yield batch

    def _after(
        self, done: int, report: Progress, checkpoint: Callable[[Epoch], None], last: int
    ) -> None:
        if done in self._recipe.keep:
            checkpoint(done)
        report(done / last)

    def _update(self, batch: Any, epoch: int) -> float:
        factor = rate_factor(self._recipe, self._step, self._total)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor
        objective = self._objective.at(self._step / self._total)
        self._step += 1
        where = f"at epoch {epoch}, step {self._step}"
        self._optimizer.zero_grad(set_to_none=True)
        loss = objective.loss(self._module, batch, self._generator)
        value = self._checked(loss, where)
        loss.backward()  # type: ignore[no-untyped-call]
        # It also gives the norm, one number that is finite only if all gradients are.
        limit = self._recipe.gradient_clip
        norm = nn.utils.clip_grad_norm_(self._parameters, math.inf if limit is None else limit)
        if not math.isfinite(float(norm)):
            raise TrainingError(f"The gradient is not finite {where}. {_REMEDY}")
        self._optimizer.step()
        objective.after_step(self._module)
        return value

    def _checked(self, loss: Any, where: str) -> float:
        name = self._objective.name
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            found = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
            raise TrainingError(f"The loss of {name!r} must be one number, got {found} {where}.")
        value = float(loss.detach())
        if not math.isfinite(value):
            word = "NaN" if math.isnan(value) else "infinite"
            raise TrainingError(f"The loss is {word} {where}. {_REMEDY}")
        if not loss.requires_grad:
            raise TrainingError(f"The loss of {name!r} does not depend on the model's parameters.")
        return value


_REMEDY = "Lower lr, or set gradient_clip."


def _optimizer(recipe: Recipe, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)


def _copy_of_state(module: nn.Module) -> State:
    state = module.state_dict()
    return {
        name: value.detach().clone() for name, value in state.items() if isinstance(value, Tensor)
    }


def _require_finite_weights(module: nn.Module) -> None:
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        if not bool(torch.isfinite(tensor).all()):
            raise TrainingError(f"The trained weights {name!r} are not finite. {_REMEDY}")


@torch.no_grad()
def _mean_loss(
    module: nn.Module, recipe: Recipe, objective: Objective, data: Dataset, seed: int
) -> float:
    """The mean loss on `data.train`, in evaluation mode."""
    moved = replace(data, train=data.train.to(module_device(module), module_dtype(module)))
    generator = torch.Generator().manual_seed(seed)
    total, samples = 0.0, 0
    with isolated_randomness(seed, module_device(module)):
        for batch in objective.batches(moved, recipe.batch_size, generator):
            size = len(batch) if isinstance(batch, Split) else 1
            total += float(objective.loss(module, batch, generator)) * size
            samples += size
    if not samples or not math.isfinite(total):
        return math.inf
    return total / samples
