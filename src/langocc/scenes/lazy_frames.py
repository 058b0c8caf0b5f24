# SPDX-License-Identifier: Apache-2.0
"""Frames made when asked for, from the rows of a key-frame index."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Bool, Int64

from langocc.scenes.frame import Camera, Frame, Lidar
from langocc.scenes.index import KeyFrameIndex

LIDAR_COLUMNS = 5
"""x, y, z, intensity, ring."""


@dataclass(frozen=True)
class FrameReader:
    """Makes a Frame of a row of the index.

    Attributes:
        nuscenes: Folder the files are in.
        index: The rows.
        is_present: Sweeps that are not there are left out.
    """

    nuscenes: Path
    index: KeyFrameIndex
    is_present: Bool[np.ndarray, "key sensor"]

    def frame(self, key: int, scene: str) -> Frame:
        """Frame of row `key`, which is in `scene`."""
        index = self.index
        cameras = {name: self._camera(key, at) for at, name in enumerate(index.cameras)}
        has_sweep = index.has_lidar and index.lidar_tokens[key] != ""
        return Frame(
            token=index.tokens[key],
            scene=scene,
            timestamp_us=int(index.timestamps_us[key]),
            cameras=cameras,
            global_from_ego=index.global_from_ego[key][-1 if has_sweep else 0],
            lidar=self._lidar(key) if has_sweep and self.is_present[key, -1] else None,
        )

    def _camera(self, key: int, sensor: int) -> Camera:
        index = self.index
        width, height = index.sizes[key, sensor].tolist()
        calibration = index.calibrations[key, sensor]
        return Camera(
            image_path=self._path(key, sensor),
            width=width,
            height=height,
            intrinsics=index.intrinsics[calibration],
            ego_from_cam=index.ego_from_sensor[calibration],
            global_from_ego=index.global_from_ego[key, sensor],
            timestamp_us=int(index.taken_us[key, sensor]),
        )

    def _lidar(self, key: int) -> Lidar:
        index, sensor = self.index, len(self.index.channels) - 1
        return Lidar(
            points_path=self._path(key, sensor),
            columns=LIDAR_COLUMNS,
            ego_from_lidar=index.ego_from_sensor[index.calibrations[key, sensor]],
            global_from_ego=index.global_from_ego[key, sensor],
            timestamp_us=int(index.taken_us[key, sensor]),
            token=index.lidar_tokens[key],
        )

    def _path(self, key: int, sensor: int) -> Path:
        return self.nuscenes / self.index.filenames[key * len(self.index.channels) + sensor]


@dataclass(frozen=True)
class SceneFrames(Sequence[Frame]):
    """Usable frames of one scene, each made when asked for."""

    reader: FrameReader
    name: str
    keys: Int64[np.ndarray, " frame"]

    def __len__(self) -> int:
        """Number of frames."""
        return len(self.keys)

    @overload
    def __getitem__(self, at: int) -> Frame: ...
    @overload
    def __getitem__(self, at: slice) -> "SceneFrames": ...
    def __getitem__(self, at: int | slice) -> "Frame | SceneFrames":
        """A frame, or the frames of a slice."""
        if isinstance(at, slice):
            return SceneFrames(self.reader, self.name, self.keys[at])
        return self.reader.frame(int(self.keys[at]), self.name)


class LazyScenes(Mapping[str, SceneFrames]):
    """Scene name -> its usable frames; scenes without any are left out."""

    def __init__(self, reader: FrameReader, usable: Bool[np.ndarray, " key"]) -> None:
        """The scenes of `reader`, of whose rows only `usable` count."""
        starts = reader.index.scene_start
        keys = np.flatnonzero(usable)
        bounds = np.searchsorted(keys, starts)
        self._frames = {
            name: SceneFrames(reader, name, keys[bounds[at] : bounds[at + 1]])
            for at, name in enumerate(reader.index.scenes)
            if bounds[at] < bounds[at + 1]
        }

    def __getitem__(self, name: str) -> SceneFrames:
        """Frames of a scene."""
        return self._frames[name]

    def __iter__(self) -> Iterator[str]:
        """Names of the scenes."""
        return iter(self._frames)

    def __len__(self) -> int:
        """Number of scenes."""
        return len(self._frames)
