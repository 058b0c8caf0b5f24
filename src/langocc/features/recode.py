# SPDX-License-Identifier: Apache-2.0
"""Writes a store anew with another codec."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from langocc.errors import DataError
from langocc.features.prepare import RunReport, check_room
from langocc.features.rows import rays_of_rows
from langocc.features.scene_writer import CodecConfig, SceneTargets, write_scene
from langocc.features.store import FeatureStore, create_store
from langocc.features.store_record import StoreRecord
from langocc.features.targets import FrameTargets


def recode_store(
    source: FeatureStore,
    folder: Path,
    codec: CodecConfig,
    on_frame: Callable[[], None] | None = None,
) -> tuple[FeatureStore, RunReport]:
    """Writes every finished scene of a store with another codec; finished ones are skipped.

    Raises:
        ConfigError: the folder holds another store, or the disk has not room enough.
        DataError: the source has no features.
    """
    if source.record.channels == 0:
        raise DataError(f"{source.folder}: holds no features to write with another codec")
    record = replace(
        source.record,
        codec=codec.name,
        components=codec.recorded_components,
    )
    rows = sum(e.rows for scene in source.scenes() for e in source.shard(scene).index.frames)
    check_room(folder, rows * codec.row_bytes(record.channels))
    scenes = {scene: partial(_Decoded, source, scene) for scene in source.scenes()}
    return write_store(folder, record, scenes, codec, on_frame)


def write_store(
    folder: Path,
    record: StoreRecord,
    scenes: Mapping[str, Callable[[], SceneTargets]],
    codec: CodecConfig,
    on_frame: Callable[[], None] | None = None,
) -> tuple[FeatureStore, RunReport]:
    """Writes scenes whose targets are known already; one that fails does not touch the others."""
    store, report = create_store(folder, record), RunReport()
    for scene, open_scene in scenes.items():
        if store.has(scene):
            report.skipped.append(scene)
            continue
        try:
            targets = open_scene()
            path = store.path_of(scene)
            counts = write_scene(targets, path, scene, store.record, codec, on_frame)
            report.add(scene, targets.tokens, counts)
        except DataError as error:
            report.failed[scene] = str(error)
    return store, report


class _Decoded:
    """The rows of a shard as targets."""

    def __init__(self, store: FeatureStore, scene: str) -> None:
        self._shard = store.shard(scene)
        self.tokens: Sequence[str] = list(self._shard.frames)
        self.channels = self._shard.codec.channels

    def at(self, indices: Sequence[int]) -> Iterator[tuple[int, FrameTargets]]:
        for index in indices:
            rows = self._shard.read(self.tokens[index])
            codes = torch.from_numpy(np.ascontiguousarray(rows["code"]))
            rgb = np.ascontiguousarray(rows["rgb"])
            yield index, FrameTargets(rays_of_rows(rows), self._shard.codec.decode(codes), rgb)
