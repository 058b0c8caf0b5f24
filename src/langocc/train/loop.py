# SPDX-License-Identifier: Apache-2.0
"""The training loop: from a configuration and a source of batches to checkpoints."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn
from torch.utils.data import DataLoader

from langocc.batch import Batch
from langocc.errors import ConfigError, LangOccError
from langocc.features.loader import collate
from langocc.features.packed import PackedBatch
from langocc.geometry.rays import RayBatch
from langocc.interop.initialise import initialise_from_detector, initialise_from_resnet
from langocc.model.langocc import LangOcc
from langocc.provenance import software
from langocc.render.objective import Objective, objective
from langocc.teachers.reducer import load_reducer
from langocc.train.average import MovingAverage
from langocc.train.checkpoint import (
    keep_last,
    load_checkpoint,
    newest_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from langocc.train.config import TrainConfig, config_as_dict
from langocc.train.order import batch_numbers, steps_per_epoch
from langocc.train.run_folder import RunFolder
from langocc.train.schedule import learning_rate


class DivergedError(LangOccError):
    """A loss term is no longer a number. The last good checkpoint is kept."""


@dataclass(frozen=True)
class Progress:
    """What a person watching wants to know after a step.

    Attributes:
        step: Steps done.
        steps: Steps of the whole run.
        terms: Loss terms by name, `total` first.
        lr: Learning rate of the step.
        data_s: Seconds spent waiting for the batch.
        step_s: Seconds of the step, waiting included.
    """

    step: int
    steps: int
    terms: dict[str, float]
    lr: float
    data_s: float
    step_s: float


@runtime_checkable
class Samples(Protocol):
    """What a run trains on; `features.loader.TrainingSet` is one.

    Number `epoch * len(samples) + i` is sample i as drawn in that epoch: a batch of one that
    depends on the number alone, so that a resumed run sees the same.
    """

    def __len__(self) -> int:
        """Samples of an epoch."""
        ...

    def __getitem__(self, number: int) -> Batch | PackedBatch:
        """One sample, perhaps still packed."""
        ...


class Training:
    """A run: model, average, optimiser and step, made new or taken up where it stopped."""

    def __init__(
        self,
        config: TrainConfig,
        run: RunFolder,
        *,
        samples: Samples,
        device: torch.device,
        facts: Mapping[str, Any],
    ) -> None:
        """Builds the model with the weights that the seed gives.

        Args:
            config: The run's configuration.
            run: Where it lives.
            samples: What to train on.
            device: Where to train.
            facts: What every report must carry: teacher id, ray source, initialisation, data.
        """
        torch.manual_seed(config.seed)
        self.config = config
        self.run = run
        self.device = device
        self.facts = facts
        self.samples = samples
        self.model = _initial_model(config).to(device)
        self.average = MovingAverage(self.model, config.average)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=config.schedule.base_lr, weight_decay=config.weight_decay
        )
        self.step = 0

    @property
    def steps(self) -> int:
        """Steps of the whole run."""
        per_epoch = steps_per_epoch(len(self.samples), self.config.batch_size)
        return self.config.steps or self.config.epochs * per_epoch

    def resume(self) -> bool:
        """Takes up the newest checkpoint of the run; False if there is none.

        Raises:
            DataError: the newest checkpoint is damaged.
        """
        newest = newest_checkpoint(self.run.checkpoints)
        if newest is None:
            return False
        checkpoint = load_checkpoint(newest)
        self.model.load_state_dict(checkpoint.model)
        self.average.load(checkpoint.average, checkpoint.metadata["updates"])
        restore_optimizer(self.model, self.optimizer, checkpoint.optimizer)
        self.step = checkpoint.metadata["step"]
        self.run.forget_after(self.step)
        return True

    def save(self) -> None:
        """Writes a checkpoint of the present step and deletes the oldest."""
        metadata = {
            "step": self.step,
            "config": config_as_dict(self.config),
            "facts": self.facts,
            "software": software(),
        }
        path = self.run.checkpoint_path(self.step)
        save_checkpoint(path, self.model, self.average, self.optimizer, metadata)
        keep_last(self.run.checkpoints, self.config.keep_checkpoints)

    def fit(self, watch: Callable[[Progress], None]) -> None:
        """Trains to the last step; on Ctrl-C or SIGTERM saves what it has and stops.

        Args:
            watch: Called after every step.

        Raises:
            DivergedError: a loss term is not finite.
            KeyboardInterrupt: a signal came; a checkpoint of the last whole step is written.
        """
        self.model.train()
        with _postponed_signals() as is_stopping:
            started = time.perf_counter()
            for batch in self._loader():
                data_s = time.perf_counter() - started
                terms = self._train_step(batch.to(self.device))
                lr = self.optimizer.param_groups[0]["lr"]
                progress = Progress(
                    self.step, self.steps, terms, lr, data_s, time.perf_counter() - started
                )
                self._log(progress)
                watch(progress)
                is_last = self.step == self.steps
                if is_last or is_stopping() or self.step % self.config.checkpoint_steps == 0:
                    self.save()
                if is_stopping():
                    raise KeyboardInterrupt
                started = time.perf_counter()

    def _loader(self) -> DataLoader[Batch | PackedBatch]:
        config = self.config
        numbers = [
            batch_numbers(len(self.samples), config.batch_size, config.seed, step)
            for step in range(self.step, self.steps)
        ]
        return DataLoader(
            self.samples,  # pyright: ignore[reportArgumentType]  (any map will do)
            batch_sampler=numbers,
            collate_fn=collate,
            num_workers=config.workers,
            prefetch_factor=2 if config.workers else None,
        )

    def _train_step(self, batch: Batch) -> dict[str, float]:
        # Dropout and jitter depend on the step alone: a resumed run draws the same.
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)
        lr = self._set_learning_rate()
        if batch.rays is None:
            raise ValueError("batch.rays: expected rays to train on, got None")
        rays = self._targets(batch.rays)
        field = self.model(batch.images, batch.rig)
        rendered = field.render(rays, self.config.render)
        losses = objective(rendered, rays, field.density, self.config.loss)
        terms = _finite_terms(losses, batch.tokens, self.step)
        self.optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        if not math.isfinite(norm):
            raise DivergedError(
                f"step {self.step}: the gradient is not finite (frames {', '.join(batch.tokens)}); "
                f"the last checkpoint in {self.run.checkpoints} is kept. A learning rate below "
                f"{lr:.1e} may help"
            )
        self.optimizer.step()
        self.average.update(self.model)
        self.step += 1
        return terms

    def _targets(self, rays: RayBatch) -> RayBatch:
        """Rays with their features in the model's space; reduced ones rounded as published."""
        if self.model.reducer is None or rays.features is None:
            return rays
        reduced = self.model.reducer.reduce(rays.features).half().float()
        return replace(rays, features=reduced)

    def _set_learning_rate(self) -> float:
        config = self.config
        if config.steps is None:
            epochs = config.epochs
            epoch = self.step // steps_per_epoch(len(self.samples), config.batch_size)
        else:  # counted in steps: the decay steps 18 times, as in the paper
            epochs = 18
            epoch = self.step * epochs // config.steps
        lr = learning_rate(config.schedule, self.step, epoch=epoch, epochs=epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        return lr

    def _log(self, progress: Progress) -> None:
        if progress.step % self.config.log_steps == 0 or progress.step == progress.steps:
            times = {"data_s": round(progress.data_s, 4), "step_s": round(progress.step_s, 4)}
            record = {"step": progress.step, "lr": progress.lr, **progress.terms, **times}
            self.run.log(record)


def _initial_model(config: TrainConfig) -> LangOcc:
    """The model before training.

    Raises:
        DataError: a file of initial weights or of the reducer cannot be used.
        ConfigError: targets are to be reduced and there is no reducer.
    """
    model = LangOcc(config.model)
    if config.initial_weights is not None:
        initialise = {"resnet": initialise_from_resnet, "detector": initialise_from_detector}
        initialise[config.initial](model, config.initial_weights)
    if model.reducer is not None:
        if config.reducer is None:
            raise ConfigError(
                "reducer: this preset reduces its targets; `langocc reduce` makes one"
            )
        reducer, _ = load_reducer(config.reducer)
        if reducer.U.shape != model.reducer.U.shape:
            raise ConfigError(
                f"{config.reducer}: expected a reducer of {tuple(model.reducer.U.shape)}, found "
                f"{tuple(reducer.U.shape)}"
            )
        model.reducer.load_state_dict(reducer.state_dict())
    return model


def _finite_terms(losses: Objective, tokens: tuple[str, ...], step: int) -> dict[str, float]:
    terms = {
        entry.name: getattr(losses, entry.name).detach()
        for entry in fields(losses)
        if getattr(losses, entry.name) is not None
    }
    # One transfer for all terms: each would wait for the device.
    values = dict(zip(terms, torch.stack(list(terms.values())).tolist(), strict=True))
    for name, value in values.items():
        if not math.isfinite(value):
            raise DivergedError(
                f"step {step}: the loss term {name!r} is {value} (frames {', '.join(tokens)}); "
                "the last checkpoint is kept"
            )
    return values


@contextmanager
def _postponed_signals() -> Iterator[Callable[[], bool]]:
    """Turns SIGINT and SIGTERM into a question asked between two steps."""
    received = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield received.is_set
        return
    handled = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: received.set()) for number in handled}
    try:
        yield received.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
