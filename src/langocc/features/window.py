# SPDX-License-Identifier: Apache-2.0
"""The rays a training sample draws: a share of the pooled rays of the frames around the key frame.

Every ray of the window has the same chance. How many rays each frame gives is a draw without
replacement from the pool (multivariate hypergeometric); which ones is a slice of its shuffled rows
from a random start, going on with the first row past the last. So a sample reads 25 short slices.

Source: method.md section 3; design.md, decisions.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64

from langocc.features.rows import Rows
from langocc.features.shard import Shard


def window_indices(key: int, frames: int, horizon: int) -> list[int]:
    """Indices key - horizon .. key + horizon; the key itself where one is outside the scene.

    Example:
        >>> window_indices(1, 3, 2)
        [1, 0, 1, 2, 1]
    """
    wanted = range(key - horizon, key + horizon + 1)
    return [index if 0 <= index < frames else key for index in wanted]


def draw_counts(
    rows: Sequence[int], rays: int, generator: np.random.Generator
) -> Int64[np.ndarray, " frame"]:
    """How many of `rays` each frame gives, drawn from the pool of `rows` without replacement.

    A pool smaller than `rays` is taken whole as often as it fits, then drawn from.
    """
    pool = np.asarray(rows, dtype=np.int64)
    total = int(pool.sum())
    if total == 0:
        return np.zeros(len(pool), dtype=np.int64)
    rest = generator.multivariate_hypergeometric(pool, rays % total, method="marginals")
    return pool * (rays // total) + rest


def draw_rows(
    shard: Shard, tokens: Sequence[str], rays: int, generator: np.random.Generator
) -> tuple[Rows, Int64[np.ndarray, " ray"]]:
    """Rows of a window's frames and which frame of the window each belongs to.

    Fewer than `rays`, namely none, only if no frame of the window has any.

    Raises:
        DataError: the shard is damaged where it is read.
    """
    rows = [shard.rows_of(token) for token in tokens]
    counts = draw_counts(rows, rays, generator)
    parts = []
    for token, available, count in zip(tokens, rows, counts, strict=True):
        if count == 0:
            continue
        part = shard.read(token, int(generator.integers(available)), min(int(count), available))
        parts.append(part if count <= available else np.resize(part, int(count)))
    drawn = np.concatenate(parts) if parts else shard.empty()
    return drawn, np.repeat(np.arange(len(tokens)), counts)
