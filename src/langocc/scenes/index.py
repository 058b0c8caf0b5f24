# SPDX-License-Identifier: Apache-2.0
"""The key frames of a nuScenes version as columns, kept in a file of their own."""

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Float64, Int32, Int64

from langocc.errors import DataError
from langocc.files import replacing
from langocc.scenes.tables import TABLES

FORMAT = 1
"""Raise it whenever the columns or their meaning change; older files are then built again."""

Fingerprint = dict[str, tuple[int, int]]
"""Table -> its size in bytes and its time of change in nanoseconds."""


@dataclass(frozen=True)
class KeyFrameIndex:
    """Key frames in order of scene (as in the scene table) and time.

    Axis `sensor` runs over `channels`: the cameras in the network's order, then the LiDAR if any.

    Attributes:
        scenes: Scene names.
        logs: Log file of each scene.
        scene_start: First key frame of each scene, and the number of all: one longer than `scenes`.
        channels: Sensor channels.
        has_lidar: The last channel is a LiDAR.
        tokens: Sample tokens.
        timestamps_us: Sample times, microseconds.
        filenames: Key-major, sensor-minor: file relative to the nuScenes folder; "" = no record.
        lidar_tokens: Token of each LiDAR record; "" = none.
        taken_us: Time of each image or sweep, microseconds.
        sizes: Width and height of each image, pixels; 0 for the LiDAR.
        global_from_ego: Vehicle pose at that time, metres.
        calibrations: Row of the two arrays below.
        ego_from_sensor: Extrinsics of each calibration, metres.
        intrinsics: Pinhole matrix of each calibration, pixels; zeros if not a camera.
        dropped: What is wrong -> tokens of the samples that are therefore not in the index.
    """

    scenes: list[str]
    logs: list[str]
    scene_start: Int32[np.ndarray, " scenes_and_one"]
    channels: list[str]
    has_lidar: bool
    tokens: list[str]
    timestamps_us: Int64[np.ndarray, " key"]
    filenames: list[str]
    lidar_tokens: list[str]
    taken_us: Int64[np.ndarray, "key sensor"]
    sizes: Int32[np.ndarray, "key sensor 2"]
    global_from_ego: Float64[np.ndarray, "key sensor 4 4"]
    calibrations: Int32[np.ndarray, "key sensor"]
    ego_from_sensor: Float64[np.ndarray, "calibration 4 4"]
    intrinsics: Float64[np.ndarray, "calibration 3 3"]
    dropped: dict[str, list[str]]

    @property
    def cameras(self) -> list[str]:
        """Camera channels, in the network's order."""
        return self.channels[:-1] if self.has_lidar else self.channels


@dataclass(frozen=True)
class _IndexFile:
    """What the index file holds."""

    format: int
    tables: Fingerprint
    index: KeyFrameIndex


def fingerprint(tables: Path) -> Fingerprint:
    """Size and time of change of each table: when these are the same, so is the index.

    Raises:
        DataError: a table is missing.
    """
    found: Fingerprint = {}
    for name in TABLES:
        path = tables / f"{name}.json"
        if not path.is_file():
            raise DataError(f"{path}: the table is missing; it comes with nuScenes' metadata")
        state = path.stat()
        found[name] = (state.st_size, state.st_mtime_ns)
    return found


def read_index(path: Path, tables: Fingerprint) -> KeyFrameIndex | None:
    """The index in a file, or None: no file, another format, damaged, or of other tables."""
    try:
        stored = _decoder.decode(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, msgspec.MsgspecError):
        return None
    return stored.index if (stored.format, stored.tables) == (FORMAT, tables) else None


def write_index(path: Path, tables: Fingerprint, index: KeyFrameIndex) -> None:
    """Keeps the index in a file, whole or not at all.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    content = _encoder.encode(_IndexFile(FORMAT, tables, index))
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def _plain(value: object) -> tuple[str, tuple[int, ...], bytes]:
    if not isinstance(value, np.ndarray):
        raise NotImplementedError(type(value))
    return value.dtype.str, value.shape, value.tobytes()


def _array(kind: type, value: list) -> np.ndarray:
    """Array of its plain form; msgspec then checks dtype and number of axes against the column."""
    dtype, shape, content = value
    return np.frombuffer(content, dtype=dtype).reshape(shape).copy()  # frombuffer is read-only


_encoder = msgspec.msgpack.Encoder(enc_hook=_plain)
_decoder = msgspec.msgpack.Decoder(_IndexFile, dec_hook=_array)
