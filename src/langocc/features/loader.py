# SPDX-License-Identifier: Apache-2.0
"""Training samples for `torch.utils.data.DataLoader`, the same however many workers load them."""

from collections.abc import Sequence
from dataclasses import fields

import torch
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

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
        rig=CameraRig(**_joined([sample.rig for sample in samples])),
        tokens=tuple(token for sample in samples for token in sample.tokens),
        rays=RayBatch(**_joined(with_rays)) if with_rays else None,
    )


def _joined(parts: Sequence[CameraRig] | Sequence[RayBatch]) -> dict[str, Tensor]:
    """Each field's tensors along the batch; fields that are None in all parts are left out."""
    joined = {}
    for name in (f.name for f in fields(parts[0])):
        values = [value for part in parts if (value := getattr(part, name)) is not None]
        if values and len(values) < len(parts):
            raise ValueError(f"collate: some samples have {name} and others have none")
        if values:
            joined[name] = torch.cat(values)
    return joined
