# SPDX-License-Identifier: Apache-2.0
"""The files that need all scenes: tables, splits, Occ3D's index, the retrieval benchmark's rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import msgspec
import numpy as np
from jaxtyping import Bool

from langocc.files import replacing
from langocc.scenes.city.folders import CityFolders
from langocc.scenes.city.parts import ScenePart
from langocc.scenes.city.plan import CitySettings
from langocc.scenes.city.retrieval import Row, annotation_file, choose_rows, csv_files, texts_of
from langocc.scenes.city.rig import LIDAR_CHANNEL, cameras
from langocc.scenes.city.tables import (
    PointLabels,
    Sample,
    constant_tables,
    encode_table,
    pose_columns,
)
from langocc.scenes.city.world import Thing
from langocc.scenes.dataset import Split


def assemble(settings: CitySettings, folders: CityFolders) -> None:
    """Writes what needs all scenes from their parts, `splits.json` last.

    Raises:
        OSError: a file cannot be read or written.
    """
    names = [plan.name for plan in settings.scenes()]
    parts = [_read_part(folders, name) for name in names]
    _write_tables(settings, folders, parts)
    _write_occ3d_index(settings, folders, parts)
    _write_retrieval(folders, parts)
    splits = {s: [p.scene[0].name for p in parts if p.split == s] for s in get_args(Split)}
    _write(folders.splits, msgspec.json.format(msgspec.json.encode(splits)))


def _read_part(folders: CityFolders, name: str) -> ScenePart:
    return msgspec.json.decode(folders.part(name).read_bytes(), type=ScenePart)


def _write_tables(settings: CitySettings, folders: CityFolders, parts: Sequence[ScenePart]) -> None:
    """Writes the 13 tables, lidarseg and panoptic."""
    for name, records in constant_tables(cameras(settings.width, settings.height)).items():
        _write(folders.table(name), encode_table(records))
    for name in _SCENE_TABLES:
        records = [record for part in parts for record in getattr(part, name)]
        _write(folders.table(name), encode_table(records))
    swept = [
        d.token for part in parts for d in part.sample_data if f"/{LIDAR_CHANNEL}/" in d.filename
    ]
    for name, path_of in (("lidarseg", folders.lidarseg), ("panoptic", folders.panoptic)):
        records = [PointLabels(t, folders.relative(path_of(t)), t) for t in swept]
        _write(folders.table(name), encode_table(records))
    (folders.nuscenes / "sweeps").mkdir(exist_ok=True)


_SCENE_TABLES = (
    "log",
    "map",
    "scene",
    "sample",
    "ego_pose",
    "sample_data",
    "instance",
    "sample_annotation",
)


def _write_occ3d_index(
    settings: CitySettings, folders: CityFolders, parts: Sequence[ScenePart]
) -> None:
    """Writes `gts/annotations.json`: Occ3D's splits, cameras and label paths of each frame."""
    rig = {camera.channel: camera for camera in cameras(settings.width, settings.height)}
    scene_infos = {}
    for part in parts:
        name = part.scene[0].name
        frames = {sample.token: _frame_info(folders, name, sample) for sample in part.sample}
        for data, pose in zip(part.sample_data, part.ego_pose, strict=True):
            ego_pose = {"translation": pose.translation, "rotation": pose.rotation}
            channel = data.filename.split("/")[1]
            if channel == LIDAR_CHANNEL:
                frames[data.sample_token]["ego_pose"] = ego_pose
                continue
            translation, rotation = pose_columns(rig[channel].ego_from_cam)
            frames[data.sample_token]["camera_sensor"][channel] = {
                "img_path": data.filename,
                "intrinsics": rig[channel].intrinsics.tolist(),
                "extrinsic": {"translation": translation, "rotation": rotation},
                "ego_pose": ego_pose,
            }
        scene_infos[name] = frames
    index = {
        "train_split": [part.scene[0].name for part in parts if part.split == "train"],
        "val_split": [part.scene[0].name for part in parts if part.split == "val"],
        "scene_infos": scene_infos,
    }
    _write(folders.root / "gts" / "annotations.json", msgspec.json.encode(index))


def _frame_info(folders: CityFolders, scene: str, sample: Sample) -> dict[str, Any]:
    """A frame of Occ3D's index, its cameras still to come."""
    label = folders.occupancy(scene, sample.token)
    return {
        "timestamp": sample.timestamp,
        "prev": sample.prev,
        "next": sample.next,
        "gt_path": label.relative_to(folders.root).as_posix(),
        "camera_sensor": {},
    }


def _write_retrieval(folders: CityFolders, parts: Sequence[ScenePart]) -> None:
    """Chooses the rows, writes their point labels, the five lists, and the kind of each text."""
    answers = {p.scene[0].name: _answers(folders, p.scene[0].name) for p in parts}
    kinds = {t: k for scene in answers.values() for texts in scene for t, k in texts.items()}
    rows = choose_rows(
        [
            (sample.token, part.split, {text: kinds[text] for text in texts})
            for part in parts
            for sample, texts in zip(part.sample, part.texts, strict=True)
        ]
    )
    by_sample = {row.sample_token: row for row in rows}
    for name, scene in answers.items():
        with np.load(folders.point_things(name)) as point_things:
            for sample_token in by_sample.keys() & set(point_things.files):
                row = by_sample[sample_token]
                positive = np.array([row.text in texts for texts in scene])
                _write_labels(folders, row, positive[point_things[sample_token]])
    for name, text in csv_files(rows).items():
        _write(folders.retrieval / name, text.encode())
    asked = {text: kinds[text] for text in sorted({row.text for row in rows})}
    _write(folders.retrieval / "kinds.json", msgspec.json.format(msgspec.json.encode(asked)))


def _answers(folders: CityFolders, scene: str) -> list[dict[str, str]]:
    """The texts that each thing of a scene answers to, with their kinds."""
    return [texts_of(thing) for thing in _read_things(folders, scene)]


def _write_labels(folders: CityFolders, row: Row, labels: Bool[np.ndarray, " point"]) -> None:
    path = folders.retrieval / annotation_file(row.sample_token)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, labels.astype(np.uint8))


class _Things(msgspec.Struct):
    things: list[Thing]


def _read_things(folders: CityFolders, scene: str) -> list[Thing]:
    return msgspec.json.decode(folders.things(scene).read_bytes(), type=_Things).things


def _write(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)
