# SPDX-License-Identifier: Apache-2.0
"""Which samples a step trains on: a function of seed and step, so that a resumed run continues."""

import numpy as np


def steps_per_epoch(samples: int, batch_size: int) -> int:
    """Steps in which every sample is seen once; the last, short batch is filled up."""
    return -(-samples // batch_size)


def batch_numbers(samples: int, batch_size: int, seed: int, step: int) -> list[int]:
    """Numbers (for `TrainingSet`) of the samples of a 0-based step, over all processes.

    Each epoch is a new permutation; what is missing from the last batch of an epoch is taken from
    the permutation's beginning.

    Example:
        >>> sorted(batch_numbers(4, 2, 0, 0) + batch_numbers(4, 2, 0, 1))
        [0, 1, 2, 3]
        >>> sorted(batch_numbers(4, 2, 0, 2) + batch_numbers(4, 2, 0, 3))
        [4, 5, 6, 7]
    """
    epoch, position = divmod(step, steps_per_epoch(samples, batch_size))
    order = np.random.default_rng([seed, epoch]).permutation(samples)
    chosen = np.arange(position * batch_size, (position + 1) * batch_size) % samples
    return (order[chosen] + epoch * samples).tolist()
