# SPDX-License-Identifier: Apache-2.0
"""The info pickles of BEVDet-style code, `bevdetv2-nuscenes_infos_{train,val,test}.pkl`.

They hold what the nuScenes tables hold, so both give the same dataset.

Source: formats.md section 5.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from PIL import Image

from langocc.errors import DataError
from langocc.geometry.rigid import rotation_from_quaternion
from langocc.interop.restricted_pickle import read_data_pickle
from langocc.scenes.dataset import Split
from langocc.scenes.index import KeyFrameIndex
from langocc.scenes.keyframes import NUSCENES_CAMERAS
from langocc.scenes.nuscenes import NuScenes, dataset_of_index
from langocc.scenes.roots import find_root

PUBLISHED_SIZE = 1600, 900
"""Width and height of nuScenes' images, which the infos do not hold."""


def load_infos(
    pickles: Mapping[Split, Path],
    root: Path,
    *,
    work: Path | None = None,
    present_only: bool = True,
) -> NuScenes:
    """The dataset of info pickles.

    Args:
        pickles: Split -> its file; scenes get their splits from here.
        root: Data root, or a nuScenes folder; the tables need not be there. Paths in the pickles
            count from their `samples/` on, whatever stands before.
        work: Folder for what we write; `root/langocc` when None.
        present_only: As in `scenes.nuscenes.load`.

    Raises:
        DataError: a file is missing, damaged, holds more than data (see `read_data_pickle`), or an
            info lacks a field, has a number that is not finite, or comes twice; or no key frame has
            all its images.
    """
    folders = find_root(root, work, need_tables=False)
    infos: list[_Fields] = []
    splits: dict[Split, Sequence[str]] = {}
    version = ""
    for split, path in pickles.items():
        content = read_data_pickle(path)
        if not isinstance(content, dict) or not isinstance(content.get("infos"), list):
            raise DataError(f"{path}: expected {{infos: [...], metadata: {{version: ...}}}}")
        version = _Fields(f"{path}: metadata", content.get("metadata")).text("version")
        found = [_Fields(f"{path}: info {at}", info) for at, info in enumerate(content["infos"])]
        splits[split] = list(dict.fromkeys(info.text("scene_name") for info in found))
        infos += found
    index = _index_of(infos, folders.nuscenes)
    return dataset_of_index(folders, version, index, splits, present_only=present_only)


@dataclass(frozen=True)
class _Fields:
    """A dict of a pickle; reading it names what is missing or wrong."""

    place: str
    values: Any

    def get(self, key: str) -> Any:  # noqa: ANN401  the caller checks
        if not isinstance(self.values, dict) or key not in self.values:
            raise DataError(f"{self.place}: no field {key!r}")
        return self.values[key]

    def part(self, key: str) -> "_Fields":
        return _Fields(f"{self.place}: {key}", self.get(key))

    def text(self, key: str) -> str:
        if not isinstance(value := self.get(key), str):
            raise DataError(f"{self.place}: {key}: expected text, got {value!r}")
        return value

    def time_us(self, key: str) -> int:
        value = self.get(key)
        if not isinstance(value, int | float | np.number) or not np.isfinite(value):
            raise DataError(f"{self.place}: {key}: expected microseconds, got {value!r}")
        return int(value)

    def file(self, key: str) -> str:
        """A path from `samples/` (or `sweeps/`) on."""
        parts = self.text(key).replace("\\", "/").split("/")
        start = [at for at, part in enumerate(parts) if part in ("samples", "sweeps")]
        if not start or ".." in parts[start[-1] :]:
            raise DataError(f"{self.place}: {key}: expected .../samples/..., got {'/'.join(parts)}")
        return "/".join(parts[start[-1] :])

    def numbers(self, key: str, shape: tuple[int, ...]) -> Float64[np.ndarray, "..."]:
        try:
            numbers = np.asarray(self.get(key), dtype=np.float64)
        except (TypeError, ValueError):
            numbers = np.zeros(0)
        if numbers.shape != shape or not np.isfinite(numbers).all():
            raise DataError(
                f"{self.place}: {key}: expected {shape} finite numbers, got {self.get(key)!r}"
            )
        return numbers

    def transform(self, name: str) -> Float64[np.ndarray, "4 4"]:
        """The transform of `name`_translation and `name`_rotation (w, x, y, z)."""
        transform = np.eye(4)
        transform[:3, 3] = self.numbers(f"{name}_translation", (3,))
        try:
            quaternion = self.numbers(f"{name}_rotation", (4,))
            transform[:3, :3] = rotation_from_quaternion(quaternion.tolist())
        except ValueError as error:
            raise DataError(f"{self.place}: {name}_rotation: {error}") from None
        return transform


class _Calibrations:
    """Distinct pairs of extrinsics and intrinsics, numbered."""

    def __init__(self) -> None:
        self.rows: dict[bytes, int] = {}
        self.pairs: list[tuple[np.ndarray, np.ndarray]] = []

    def row(self, ego_from_sensor: np.ndarray, intrinsics: np.ndarray) -> int:
        key = ego_from_sensor.tobytes() + intrinsics.tobytes()
        if key not in self.rows:
            self.rows[key] = len(self.pairs)
            self.pairs.append((ego_from_sensor, intrinsics))
        return self.rows[key]


def _index_of(infos: Sequence[_Fields], nuscenes: Path) -> KeyFrameIndex:
    ordered = sorted(infos, key=lambda info: info.time_us("timestamp"))
    scenes = list(dict.fromkeys(info.text("scene_name") for info in ordered))
    number = {scene: at for at, scene in enumerate(scenes)}
    ordered.sort(key=lambda info: number[info.text("scene_name")])  # stable: by time within
    if not ordered:
        raise DataError("the info pickles hold no infos")
    cameras = _cameras(ordered[0])
    sizes = [_image_size(nuscenes / ordered[0].part("cams").part(c).file("data_path"))
             for c in cameras]  # fmt: skip
    calibrations = _Calibrations()
    rows = [_row(info, cameras, calibrations) for info in ordered]
    tokens = [info.text("token") for info in ordered]
    if len(set(tokens)) < len(tokens):
        twice = next(token for at, token in enumerate(tokens) if token in tokens[:at])
        raise DataError(f"the info pickles hold the token {twice!r} twice")
    scene_of = np.array([number[info.text("scene_name")] for info in ordered])
    return KeyFrameIndex(
        scenes=scenes,
        logs=[""] * len(scenes),
        scene_start=np.searchsorted(scene_of, np.arange(len(scenes) + 1)).astype(np.int32),
        channels=[*cameras, "LIDAR_TOP"],
        has_lidar=True,
        tokens=tokens,
        timestamps_us=np.array([info.time_us("timestamp") for info in ordered], dtype=np.int64),
        filenames=[sensor.filename for row in rows for sensor in row],
        lidar_tokens=[info.text("lidar_idx") for info in ordered],
        taken_us=np.array([[sensor.taken_us for sensor in row] for row in rows], dtype=np.int64),
        sizes=np.array([[*sizes, (0, 0)]] * len(rows), dtype=np.int32),
        global_from_ego=np.array([[sensor.global_from_ego for sensor in row] for row in rows]),
        calibrations=np.array([[s.calibration for s in row] for row in rows], dtype=np.int32),
        ego_from_sensor=np.stack([extrinsics for extrinsics, _ in calibrations.pairs]),
        intrinsics=np.stack([intrinsics for _, intrinsics in calibrations.pairs]),
        dropped={},
    )


@dataclass(frozen=True)
class _Sensor:
    """One image or sweep of an info."""

    filename: str
    taken_us: int
    global_from_ego: np.ndarray
    calibration: int


def _row(info: _Fields, cameras: Sequence[str], calibrations: _Calibrations) -> list[_Sensor]:
    sensors = []
    for name in cameras:
        cam = info.part("cams").part(name)
        intrinsics = cam.numbers("cam_intrinsic", (3, 3))
        if min(intrinsics[0, 0], intrinsics[1, 1]) <= 0:
            raise DataError(f"{cam.place}: cam_intrinsic: expected focal lengths > 0")
        calibration = calibrations.row(cam.transform("sensor2ego"), intrinsics)
        pose = cam.transform("ego2global")
        sensors.append(_Sensor(cam.file("data_path"), cam.time_us("timestamp"), pose, calibration))
    calibration = calibrations.row(info.transform("lidar2ego"), np.zeros((3, 3)))
    pose, time_us = info.transform("ego2global"), info.time_us("timestamp")
    return [*sensors, _Sensor(info.file("lidar_path"), time_us, pose, calibration)]


def _cameras(info: _Fields) -> list[str]:
    cams = info.get("cams")
    if not isinstance(cams, dict) or not cams:
        raise DataError(f"{info.place}: cams: expected at least one camera")
    return list(NUSCENES_CAMERAS) if set(cams) == set(NUSCENES_CAMERAS) else list(cams)


def _image_size(path: Path) -> tuple[int, int]:
    """Width and height; nuScenes' own where the image is not there. Decoding checks each again."""
    try:
        with Image.open(path) as image:
            return image.size
    except OSError:
        return PUBLISHED_SIZE
