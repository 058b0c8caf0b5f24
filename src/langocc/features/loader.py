# SPDX-License-Identifier: Apache-2.0
"""Training samples for `torch.utils.data.DataLoader`, the same however many workers load them."""

from collections.abc import Sequence

import torch
from torch.utils.data import Dataset as TorchDataset

from langocc.batch import Batch
from langocc.errors import DataError
from langocc.features.input_images import ImageReader
from langocc.features.lidar_depth import lidar_of
from langocc.features.packed import PackedBatch, collate_packed, joined_depth, joined_fields
from langocc.features.pixels import generator_of
from langocc.features.rays import SceneGeometry
from langocc.features.sample import SampleConfig, pack_sample
from langocc.features.store import FeatureStore
from langocc.geometry.rays import RayBatch
from langocc.geometry.rig import CameraRig
from langocc.scenes.dataset import Dataset


class TrainingSet(TorchDataset[PackedBatch]):
    """Samples by number. Number `epoch * len(set) + i` is sample i as drawn in that epoch.

    A sample depends on (seed, number) alone: not on the worker, the order, or what came before.
    It is still packed: `sample.to(device)` makes the `Batch` there.
    """

    def __init__(
        self,
        dataset: Dataset,
        store: FeatureStore | None,
        config: SampleConfig,
        tokens: Sequence[str],
        seed: int = 0,
    ) -> None:
        """Takes the key frames to train on.

        Raises:
            DataError: no tokens, or a scene of theirs has no shard in the store.
            ConfigError: LiDAR depth is asked for, and the first frame has no LiDAR.
        """
        if not tokens:
            raise DataError("training set: no key frames")
        if config.lidar_depth:
            lidar_of(dataset.frame(tokens[0]))
        self.dataset, self.store, self.config = dataset, store, config
        self.tokens, self.seed = list(tokens), seed
        self._reader = ImageReader(config.decode, config.cache_bytes)
        self._geometries: dict[str, SceneGeometry] = {}
        if store is not None and config.rays:
            needed = {dataset.position(token)[0] for token in tokens}
            missing = sorted(scene for scene in needed if not store.has(scene))
            if missing:
                raise DataError(
                    f"{store.folder}: {len(missing)} of {len(needed)} scenes have no shard, the "
                    f"first is {missing[0]}; run `langocc extract` to the end"
                )

    def __len__(self) -> int:
        """Key frames."""
        return len(self.tokens)

    def __getitem__(self, number: int) -> PackedBatch:
        """A batch of one."""
        return pack_sample(
            self.dataset,
            self.store,
            self.tokens[number % len(self.tokens)],
            self.config,
            generator_of("sample", self.seed, number),
            self._reader,
            self._geometries,
        )


def collate(samples: Sequence[Batch] | Sequence[PackedBatch]) -> Batch | PackedBatch:
    """One batch of several, packed if they are.

    Raises:
        ValueError: no samples, or some have rays (or a part of them) and others not.
    """
    ready = [sample for sample in samples if isinstance(sample, Batch)]
    if not ready:
        return collate_packed([s for s in samples if isinstance(s, PackedBatch)])
    rays = [sample.rays for sample in ready if sample.rays is not None]
    if rays and len(rays) < len(ready):
        raise ValueError("collate: some samples have rays and others have none")
    return Batch(
        images=torch.cat([sample.images for sample in ready]),
        rig=CameraRig(**joined_fields([sample.rig for sample in ready])),
        tokens=tuple(token for sample in ready for token in sample.tokens),
        rays=RayBatch(**joined_fields(rays)) if rays else None,
        lidar_depth_m=joined_depth([sample.lidar_depth_m for sample in ready]),
    )
