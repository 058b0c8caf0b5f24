# SPDX-License-Identifier: Apache-2.0
"""A few steps of a run that come to nothing: what it would take in time and memory."""

import time
from dataclasses import dataclass
from statistics import median

from langocc.train.loop import Training
from langocc.train.memory import peak_bytes


@dataclass(frozen=True)
class Trial:
    """What was measured.

    Attributes:
        steps: Steps that were timed, after one that was not.
        step_s: Median time of a step, waiting for its batch left out.
        sample_s: Time to load one sample in one process.
        peak_bytes: Most memory held: by the GPU's allocator, or resident on a processor.
        first_loss: Loss of the first step.
    """

    steps: int
    step_s: float
    sample_s: float
    peak_bytes: int
    first_loss: float


@dataclass(frozen=True)
class Estimate:
    """What a run would take.

    Attributes:
        step_s: Time of a step with its data.
        hours: Of all steps that are left.
        is_data_bound: The loader takes longer than the step.
    """

    step_s: float
    hours: float
    is_data_bound: bool


def try_out(training: Training, steps: int = 3) -> Trial:
    """Trains a few steps in memory. The training is spent afterwards: its weights have moved.

    Raises:
        DivergedError: a loss term is not finite.
        ShortOfMemoryError: a step needs more memory than there is.
    """
    size = training.config.batch_size // training.processes.count
    fresh = range(len(training.samples) - size, len(training.samples))
    started = time.perf_counter()
    for number in fresh:
        training.samples[number]
    sample_s = (time.perf_counter() - started) / size
    seen = list(training.advance(steps + 1))
    return Trial(
        steps,
        median(p.step_s - p.data_s for p in seen[1:]),
        sample_s,
        peak_bytes(training.device),
        seen[0].terms["total"],
    )


def estimate(trial: Trial, steps: int, samples: int, workers: int) -> Estimate:
    """Time of a run, taking loader workers to keep pace with each other.

    Args:
        trial: What was measured.
        steps: Steps that are left.
        samples: Samples of a step in one process.
        workers: Loader processes beside it; 0: it loads, then trains.

    Example:
        >>> estimate(Trial(3, 0.5, 1.0, 0, 1.0), steps=3600, samples=2, workers=4).hours
        0.5
    """
    data_s = trial.sample_s * samples / max(workers, 1)
    step_s = max(trial.step_s, data_s) if workers else trial.step_s + data_s
    return Estimate(step_s, step_s * steps / 3600, data_s > trial.step_s)
