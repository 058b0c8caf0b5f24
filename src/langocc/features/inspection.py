# SPDX-License-Identifier: Apache-2.0
"""What a store holds, and whether every byte of it is still what was written."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from langocc.errors import DataError
from langocc.features.pixels import HIT, SKY
from langocc.features.store import FeatureStore


@dataclass(frozen=True)
class StoreFacts:
    """Counts over the finished shards of a store.

    Attributes:
        scenes: Finished shards.
        frames: Key frames in them.
        rays: Rays in them.
        size_bytes: Their size on disk.
        bare: Key frames without a ray.
        sky_share: Share of sky rays, over the first rows of each frame.
        hit_share: Share of rays that hit something within range for certain.
    """

    scenes: int
    frames: int
    rays: int
    size_bytes: int
    bare: int
    sky_share: float
    hit_share: float


def store_facts(store: FeatureStore, rows: int = 64) -> StoreFacts:
    """Reads the indices, and a few rows of each frame for the shares.

    Raises:
        DataError: a shard is damaged.
    """
    counts, flags = [], []
    scenes = store.scenes()
    for scene in scenes:
        shard = store.shard(scene)
        for token, entry in shard.frames.items():
            counts.append(entry.rows)
            if entry.rows:
                flags.append(shard.read(token, 0, min(rows, entry.rows))["flags"])
    seen = np.concatenate(flags) if flags else np.zeros(1, dtype=np.uint8)
    return StoreFacts(
        scenes=len(scenes),
        frames=len(counts),
        rays=sum(counts),
        size_bytes=sum(store.path_of(scene).stat().st_size for scene in scenes),
        bare=counts.count(0),
        sky_share=float(((seen & SKY) > 0).mean()),
        hit_share=float(((seen & HIT) > 0).mean()),
    )


def sample_features(store: FeatureStore, rows: int) -> Float[Tensor, "ray channel"]:
    """Features of about `rows` rays, as many of each key frame; without sky, whose are not used.

    Raises:
        DataError: a shard is damaged, or the store has no features.
    """
    if store.record.channels == 0:
        raise DataError(f"{store.folder}: holds no features")
    frames = [(s, entry) for s in store.scenes() for entry in store.shard(s).index.frames]
    each = -(-rows // max(len(frames), 1))
    parts = [torch.zeros(0, store.record.channels)]
    for scene, entry in frames:
        shard = store.shard(scene)
        taken = shard.read(entry.token, 0, min(each, entry.rows))
        taken = taken[(taken["flags"] & SKY) == 0]
        parts.append(shard.codec.decode(torch.from_numpy(taken["code"].copy())))
    return torch.cat(parts)


def damaged_scenes(
    store: FeatureStore, on_scene: Callable[[], None] | None = None
) -> dict[str, str]:
    """Scene -> what is wrong with its shard, reading every byte. Empty: all is well."""
    wrong = {}
    for scene in store.scenes():
        try:
            shard = store.shard(scene)
            for token in shard.frames:
                shard.read(token)
        except DataError as error:
            wrong[scene] = str(error)
        if on_scene:
            on_scene()
    return wrong
