# SPDX-License-Identifier: Apache-2.0
"""Training samples for `torch.utils.data.DataLoader`, the same however many workers load them.

Typical use::

    samples = TrainingSet(dataset, store, SampleConfig(), tokens, seed=0)
    loader = DataLoader(
        samples, batch_size=4, num_workers=8, persistent_workers=True, collate_fn=collate,
        sampler=EpochSampler(len(samples), seed=0, rank=rank, ranks=ranks),
    )
    for epoch in range(18):
        loader.sampler.set_epoch(epoch)
        for batch in loader: ...
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Sampler

from langocc.batch import Batch
from langocc.errors import DataError
from langocc.features.input_images import ImageReader
from langocc.features.pixels import generator_of
from langocc.features.sample import SampleConfig, load_sample
from langocc.features.store import FeatureStore
from langocc.geometry.rays import RayBatch
from langocc.geometry.rig import CameraRig
from langocc.scenes.dataset import Dataset


class TrainingSet(TorchDataset[Batch]):
    """Samples by number. Number `epoch * len(set) + i` is sample i as drawn in that epoch.

    A sample depends on (seed, number) alone: not on the worker, the order, or what came before.
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
        """
        if not tokens:
            raise DataError("training set: no key frames")
        self.dataset, self.store, self.config = dataset, store, config
        self.tokens, self.seed = list(tokens), seed
        self._reader = ImageReader(config.decode, config.cache_bytes)
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

    def __getitem__(self, number: int) -> Batch:
        """A batch of one."""
        token = self.tokens[number % len(self.tokens)]
        generator = generator_of("sample", self.seed, number)
        return load_sample(self.dataset, self.store, token, self.config, generator, self._reader)


class EpochSampler(Sampler[int]):
    """Numbers of one epoch for one rank: a permutation of the set, the same on every rank.

    All ranks get equally many; the permutation's beginning fills up where it does not divide.
    """

    def __init__(
        self, length: int, *, seed: int = 0, rank: int = 0, ranks: int = 1, shuffle: bool = True
    ) -> None:
        """Starts at epoch 0.

        Raises:
            ValueError: nothing to sample, or no such rank.
        """
        if length < 1 or not 0 <= rank < ranks:
            raise ValueError(
                f"sampler: expected length >= 1, 0 <= rank < ranks, got {length}, {rank}, {ranks}"
            )
        self.length, self.seed, self.rank, self.ranks = length, seed, rank, ranks
        self.shuffle = shuffle
        self.epoch = 0
        self.skip = 0

    def set_epoch(self, epoch: int, skip: int = 0) -> None:
        """Chooses the epoch; `skip` leaves out this rank's first samples, to resume within it."""
        self.epoch, self.skip = epoch, skip

    def __len__(self) -> int:
        """Samples of this rank."""
        return -(-self.length // self.ranks) - self.skip

    def __iter__(self) -> Iterator[int]:
        """Numbers for `TrainingSet`."""
        order = np.arange(self.length)
        if self.shuffle:
            order = generator_of("epoch", self.seed, self.epoch).permutation(self.length)
        padded = np.resize(order, -(-self.length // self.ranks) * self.ranks)
        ours = padded[self.rank :: self.ranks][self.skip :]
        return iter((ours + self.epoch * self.length).tolist())


def collate(samples: Sequence[Batch]) -> Batch:
    """One batch of several.

    Raises:
        ValueError: no samples, or some have rays (or a part of them) and others not.
    """
    if not samples:
        raise ValueError("collate: expected at least one sample, got none")
    rays = [sample.rays for sample in samples]
    with_rays = [part for part in rays if part is not None]
    if with_rays and len(with_rays) < len(rays):
        raise ValueError("collate: some samples have rays and others have none")
    return Batch(
        images=torch.cat([sample.images for sample in samples]),
        rig=CameraRig(
            **{
                f.name: torch.cat([getattr(sample.rig, f.name) for sample in samples])
                for f in fields(CameraRig)
            }
        ),
        tokens=tuple(token for sample in samples for token in sample.tokens),
        rays=_collate_rays(with_rays) if with_rays else None,
    )


def _collate_rays(rays: Sequence[RayBatch]) -> RayBatch:
    joined: dict[str, Tensor] = {}
    for name in (f.name for f in fields(RayBatch)):
        parts = [part for ray in rays if (part := getattr(ray, name)) is not None]
        if parts and len(parts) < len(rays):
            raise ValueError(f"collate: some samples have ray {name} and others have none")
        if parts:
            joined[name] = torch.cat(parts)
    return RayBatch(**joined)
