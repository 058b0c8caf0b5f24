# SPDX-License-Identifier: Apache-2.0
"""The training loop: from a configuration and a source of batches to checkpoints."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader

from langocc.batch import Batch
from langocc.errors import ConfigError
from langocc.features.loader import collate
from langocc.features.packed import PackedBatch
from langocc.interop.checkpoints_published import require_same
from langocc.provenance import software
from langocc.train.average import MovingAverage
from langocc.train.checkpoint import (
    keep_last,
    load_checkpoint,
    newest_checkpoint,
    restore_optimizer,
    save_checkpoint,
)
from langocc.train.config import TrainConfig, config_as_dict
from langocc.train.faults import (
    DivergedError,
    ShortOfMemoryError,
    is_short_of_memory,
)
from langocc.train.initial import initial_model
from langocc.train.memory import knobs, peak_bytes
from langocc.train.order import batch_numbers, steps_per_epoch
from langocc.train.processes import Processes
from langocc.train.run_folder import RunFolder
from langocc.train.schedule import learning_rate
from langocc.train.step import TrainStep
from langocc.train.stopping import postponed_signals

__all__ = ["DivergedError", "Progress", "Samples", "ShortOfMemoryError", "Training"]


@dataclass(frozen=True)
class Progress:
    """What a person watching wants to know after a step.

    Attributes:
        step: Steps done.
        steps: Steps of the whole run.
        terms: Loss terms by name, `total` first; means over all processes.
        lr: Learning rate of the step.
        data_s: Seconds spent waiting for the batch.
        step_s: Seconds of the step, waiting included.
        gradient_norm: Norm of the gradient before clipping.
        seen: Share of rays, sky aside, that see anything: all others have no part in the loss.
        samples: Samples of the step, over all processes.
        memory_bytes: Most memory this process has held so far.
    """

    step: int
    steps: int
    terms: dict[str, float]
    lr: float
    data_s: float
    step_s: float
    gradient_norm: float = 0.0
    seen: float = 1.0
    samples: int = 1
    memory_bytes: int = 0


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
        processes: Processes | None = None,
    ) -> None:
        """Builds the model with the weights that the seed gives.

        Args:
            config: The run's configuration.
            run: Where it lives.
            samples: What to train on.
            device: Where to train.
            facts: What every report must carry: teacher id, ray source, initialisation, data.
            processes: All that train together; each has its own device. None: this one alone.

        Raises:
            ConfigError: a batch that cannot be split, or a file that a loss needs does not fit.
            DataError: a file of weights, of the reducer or of the vocabulary cannot be used.
        """
        processes = processes or Processes()
        if config.batch_size % processes.count:
            raise ConfigError(
                f"batch-size: expected a multiple of the {processes.count} processes, found "
                f"{config.batch_size}"
            )
        torch.manual_seed(config.seed)
        self.config = config
        self.run = run
        self.device = device
        self.facts = facts
        self.samples = samples
        self.processes = processes
        model, self.initialised = initial_model(config, facts.get("teacher"))
        self.model = model.to(device)
        self.average = MovingAverage(self.model, config.average)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            trained, lr=config.schedule.base_lr, weight_decay=config.weight_decay
        )
        self._train_step = TrainStep(
            config, self.model, self.optimizer, processes, run.checkpoints, facts, device
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
            DataError: the newest checkpoint is damaged, or of another network; lists the first ten
                differences.
        """
        newest = self.processes.of_first(newest_checkpoint(self.run.checkpoints))
        if newest is None:
            return False
        checkpoint = load_checkpoint(newest)
        require_same(checkpoint.model, self.model.state_dict(), str(newest))
        self.model.load_state_dict(checkpoint.model)
        self.average.load(checkpoint.average, checkpoint.metadata["updates"])
        restore_optimizer(self.model, self.optimizer, checkpoint.optimizer)
        self.step = checkpoint.metadata["step"]
        if self.processes.is_first:
            self.run.forget_after(self.step)
        return True

    def save(self) -> None:
        """Writes a checkpoint of the present step and deletes the oldest; the first process."""
        if not self.processes.is_first:
            return
        metadata = {
            "step": self.step,
            "config": config_as_dict(self.config),
            "facts": self.facts,
            "software": software() | {"processes": str(self.processes.count)},
        }
        path = self.run.checkpoint_path(self.step)
        save_checkpoint(path, self.model, self.average, self.optimizer, metadata)
        keep_last(self.run.checkpoints, self.config.keep_checkpoints)

    def fit(self, watch: Callable[[Progress], None]) -> None:
        """Trains to the last step; on Ctrl-C or SIGTERM saves what it has and stops.

        Args:
            watch: Called after every step, in every process.

        Raises:
            DivergedError: a loss term is not finite.
            ShortOfMemoryError: a step needs more memory than there is.
            KeyboardInterrupt: a signal came; a checkpoint of the last whole step is written.
        """
        self.processes.copy_first_(list(self.model.state_dict().values()))
        with postponed_signals() as is_asked:
            for progress in self.advance(self.steps - self.step):
                self._log(progress)
                watch(progress)
                is_stopping = self.processes.any(is_asked())
                is_last = self.step == self.steps
                if is_last or is_stopping or self.step % self.config.checkpoint_steps == 0:
                    self.save()
                if is_stopping:
                    raise KeyboardInterrupt

    def advance(self, steps: int) -> Iterator[Progress]:
        """Trains so many steps, and writes nothing: that is left to `fit`.

        Raises:
            DivergedError: a loss term is not finite.
            ShortOfMemoryError: a step needs more memory than there is.
        """
        self.model.train()
        started = time.perf_counter()
        for batch in self._loader(steps):
            data_s = time.perf_counter() - started
            terms = self._guarded_step(batch)
            norm, seen = terms.pop("gradient"), terms.pop("seen")
            yield Progress(
                step=self.step,
                steps=self.steps,
                terms=terms,
                lr=self.optimizer.param_groups[0]["lr"],
                data_s=data_s,
                step_s=time.perf_counter() - started,
                gradient_norm=norm,
                seen=seen,
                samples=self.config.batch_size,
                memory_bytes=peak_bytes(self.device),
            )
            started = time.perf_counter()

    def _loader(self, steps: int) -> DataLoader[Batch | PackedBatch]:
        config = self.config
        every = (
            batch_numbers(len(self.samples), config.batch_size, config.seed, step)
            for step in range(self.step, self.step + steps)
        )
        numbers = [self.processes.share(batch) for batch in every]
        return DataLoader(
            self.samples,  # pyright: ignore[reportArgumentType]  (any map will do)
            batch_sampler=numbers,
            collate_fn=collate,
            num_workers=config.workers,
            prefetch_factor=2 if config.workers else None,
            pin_memory=self.device.type == "cuda",
        )

    def _guarded_step(self, batch: Batch | PackedBatch) -> dict[str, float]:
        """A step whose errors say on which frames they came, and what would free memory."""
        try:
            self._set_learning_rate()
            terms = self._train_step(batch.to(self.device), self.step)
            self.average.update(self.model)
            self.step += 1
            return terms
        except (RuntimeError, MemoryError, ValueError) as error:
            if not is_short_of_memory(error):
                error.add_note(f"step {self.step}, frames {', '.join(batch.tokens)}")
                raise
            peak, cams = peak_bytes(self.device), batch.images.shape[2]
            ways = knobs(self.config, self.model, len(batch.tokens), cams, peak)
            raise ShortOfMemoryError(
                f"step {self.step}: out of memory on {self.device}; {peak / 2**30:.1f} GiB held at "
                f"most, for {len(batch.tokens)} samples. " + "; ".join(map(str, ways))
            ) from error

    def _set_learning_rate(self) -> None:
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

    def _log(self, progress: Progress) -> None:
        if not self.processes.is_first:
            return
        if progress.step % self.config.log_steps == 0 or progress.step == progress.steps:
            times = {"data_s": round(progress.data_s, 4), "step_s": round(progress.step_s, 4)}
            record = {"step": progress.step, "lr": progress.lr, **progress.terms}
            seen = {"seen": round(progress.seen, 4)}
            record |= {"gradient_norm": round(progress.gradient_norm, 6), **seen, **times}
            self.run.log(record)
