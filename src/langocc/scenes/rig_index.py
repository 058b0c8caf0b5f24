# SPDX-License-Identifier: Apache-2.0
"""The key-frame index of a rig manifest; every field is checked on the way."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from langocc.errors import DataError
from langocc.geometry.rigid import Transform
from langocc.scenes.index import KeyFrameIndex
from langocc.scenes.lazy_frames import LIDAR_COLUMNS
from langocc.scenes.rig_file import Pose, Rig, RigCamera, RigFrame, RigScene, Shot, transform_of


def index_of_rig(path: Path, rig: Rig) -> KeyFrameIndex:
    """The frames of a manifest as columns.

    Args:
        path: Where the manifest lies; files in it count from its folder.
        rig: What it says.

    Raises:
        DataError: the manifest, the field, what was expected and what was found.
    """
    return _Reading(path, rig).index()


@dataclass(frozen=True)
class _Sensor:
    """A file of a frame."""

    filename: str
    taken_us: int
    global_from_ego: Transform


class _Reading:
    """Checks a manifest and puts it into columns."""

    def __init__(self, path: Path, rig: Rig) -> None:
        self.path, self.rig = path, rig
        self.has_lidar = any(frame.lidar for scene in rig.scenes for frame in scene.frames)

    def fault(self, field: str, expected: str, found: object) -> DataError:
        return DataError(f"{self.path}: {field}: expected {expected}, found {found}")

    def index(self) -> KeyFrameIndex:
        """All frames as columns."""
        rig = self.rig
        cameras = self._cameras(rig.cameras)
        names = self._scene_names()
        rows, tokens, times, starts = [], [], [], [0]
        for at, scene in enumerate(rig.scenes):
            self._check_times(scene, f"scenes[{at}]")
            for number, frame in enumerate(scene.frames):
                place = f"scenes[{at}].frames[{number}]"
                default = Pose(matrix=np.eye(4).tolist()) if len(scene.frames) == 1 else None
                rows.append(self._row(frame, place, default))
                tokens.append(self._name(frame.token or f"{scene.name}-{number:06d}", place))
                times.append(frame.timestamp_us)
            starts.append(len(rows))
        if twice := _twice(tokens):
            raise self.fault("token", "a token once", f"{twice!r} twice")
        sizes = [(c.width, c.height) for c in rig.cameras.values()] + [(0, 0)] * self.has_lidar
        sweeps = [bool(self.has_lidar and row[-1].filename) for row in rows]
        return KeyFrameIndex(
            scenes=names,
            logs=[""] * len(names),
            scene_start=np.array(starts, dtype=np.int32),
            channels=[*rig.cameras, *(["LIDAR"] if self.has_lidar else [])],
            has_lidar=self.has_lidar,
            tokens=tokens,
            timestamps_us=np.array(times, dtype=np.int64),
            filenames=[sensor.filename for row in rows for sensor in row],
            lidar_tokens=[f"{t}-lidar" * has for t, has in zip(tokens, sweeps, strict=True)],
            taken_us=np.array([[s.taken_us for s in row] for row in rows], dtype=np.int64),
            sizes=np.array([sizes] * len(rows), dtype=np.int32),
            global_from_ego=np.array([[s.global_from_ego for s in row] for row in rows]),
            calibrations=np.tile(np.arange(len(sizes), dtype=np.int32), (len(rows), 1)),
            ego_from_sensor=np.stack([extrinsics for extrinsics, _ in cameras]),
            intrinsics=np.stack([intrinsics for _, intrinsics in cameras]),
            dropped={},
        )

    def _cameras(self, cameras: Mapping[str, RigCamera]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Extrinsics and intrinsics of all sensors."""
        if not cameras:
            raise self.fault("cameras", "at least one camera", "none")
        pairs = []
        for name, camera in cameras.items():
            place = f"cameras.{self._name(name, 'cameras')}"
            if camera.views and camera.distortion == "none":
                raise self.fault(
                    f"{place}.views", "them for distorted images only", "no distortion"
                )
            if min(camera.width, camera.height) < 1:
                found = f"{camera.width} x {camera.height}"
                raise self.fault(f"{place}.width, height", "pixels > 0", found)
            pin = camera.intrinsics
            numbers = (pin.fx, pin.fy, pin.cx, pin.cy)
            if not np.isfinite(numbers).all() or min(pin.fx, pin.fy) <= 0:
                expected = "finite fx, fy, cx, cy with fx > 0 and fy > 0"
                raise self.fault(f"{place}.intrinsics", expected, numbers)
            matrix = np.array([[pin.fx, 0, pin.cx], [0, pin.fy, pin.cy], [0, 0, 1.0]])
            pairs.append((self._transform(camera.ego_from_cam, f"{place}.ego_from_cam"), matrix))
        if self.has_lidar:
            if self.rig.ego_from_lidar is None:
                raise self.fault(
                    "ego_from_lidar", "the pose of the LiDAR, as frames have one", "none"
                )
            lidar = self._transform(self.rig.ego_from_lidar, "ego_from_lidar")
            pairs.append((lidar, np.zeros((3, 3))))
        return pairs

    def _row(self, frame: RigFrame, place: str, default: Pose | None) -> list[_Sensor]:
        """The files of a frame, sensor by sensor."""
        cameras = set(self.rig.cameras)
        if set(frame.images) != cameras:
            expected = f"one image of each camera ({', '.join(self.rig.cameras)})"
            raise self.fault(f"{place}.images", expected, ", ".join(frame.images) or "none")
        pose = frame.global_from_ego or default
        shots = {f"images.{name}": frame.images[name] for name in self.rig.cameras}
        row = [self._sensor(shot, f"{place}.{f}", frame, pose) for f, shot in shots.items()]
        if not self.has_lidar:
            return row
        if not frame.lidar:
            return [*row, _Sensor("", frame.timestamp_us, row[0].global_from_ego)]
        sweep = self._sensor(frame.lidar, f"{place}.lidar", frame, pose)
        size = (self.path.parent / sweep.filename).stat().st_size
        if size % (4 * LIDAR_COLUMNS):
            expected = f"rows of {LIDAR_COLUMNS} float32 (x, y, z, intensity, ring)"
            raise self.fault(f"{place}.lidar", expected, f"{size} bytes in {sweep.filename}")
        return [*row, sweep]

    def _sensor(
        self, shot: str | Shot, place: str, frame: RigFrame, default: Pose | None
    ) -> _Sensor:
        shot = Shot(shot) if isinstance(shot, str) else shot
        file = self.path.parent / shot.path
        if not file.is_file():
            raise self.fault(place, "a file", f"none at {file}")
        pose = shot.global_from_ego or default
        if pose is None:
            expected = "a vehicle pose, as the scene has several frames"
            raise self.fault(f"{place.split('.images')[0]}.global_from_ego", expected, "none")
        taken_us = frame.timestamp_us if shot.timestamp_us is None else shot.timestamp_us
        if taken_us < 0:
            raise self.fault(f"{place}.timestamp_us", "microseconds >= 0", taken_us)
        transform = self._transform(pose, f"{place}: global_from_ego")
        return _Sensor(shot.path, taken_us, transform)

    def _transform(self, pose: Pose, field: str) -> Transform:
        return transform_of(pose, f"{self.path}: {field}")

    def _scene_names(self) -> list[str]:
        names = [
            self._name(scene.name, f"scenes[{at}].name") for at, scene in enumerate(self.rig.scenes)
        ]
        if not names:
            raise self.fault("scenes", "at least one scene", "none")
        if twice := _twice(names):
            raise self.fault("scenes", "a name once", f"{twice!r} twice")
        return names

    def _check_times(self, scene: RigScene, place: str) -> None:
        times = [frame.timestamp_us for frame in scene.frames]
        if not times:
            raise self.fault(f"{place}.frames", "at least one frame", "none")
        if times[0] < 0:
            raise self.fault(f"{place}.frames[0].timestamp_us", "microseconds >= 0", times[0])
        for at, (before, after) in enumerate(pairwise(times), 1):
            if after <= before:
                field = f"{place}.frames[{at}].timestamp_us"
                raise self.fault(field, f"more than the {before} before it", after)

    def _name(self, name: str, place: str) -> str:
        """Names become names of files."""
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise self.fault(place, "a name of letters, digits and _ . -", repr(name))
        return name


def _twice(names: Sequence[str]) -> str | None:
    seen: set[str] = set()
    return next((name for name in names if name in seen or seen.add(name)), None)
