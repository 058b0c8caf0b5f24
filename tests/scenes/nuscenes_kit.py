# SPDX-License-Identifier: Apache-2.0
"""A tiny dataset in nuScenes' schema, and ways to damage it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

CAMERAS = (
    "CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_BACK_RIGHT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_FRONT_LEFT",
)  # fmt: skip
WIDTH, HEIGHT = 32, 18
SWEEP_POINTS = 7

Records = list[dict]


def write_nuscenes(
    root: Path,
    *,
    version: str = "v1.0-mini",
    scenes: tuple[str, ...] = ("scene-0061", "scene-0103"),
    samples: int = 3,
    cameras: tuple[str, ...] = CAMERAS,
    has_lidar: bool = True,
) -> Path:
    """Tables, images and sweeps: key frames 0.5 s apart, and a record between them each."""
    channels = (*cameras, *(("LIDAR_TOP",) if has_lidar else ()), "RADAR_FRONT")
    tables: dict[str, Records] = {name: [] for name in ("log", "scene", "sample", "sample_data")}
    modality = {"C": "camera", "L": "lidar", "R": "radar"}
    tables["sensor"] = [
        {"token": f"s-{c}", "channel": c, "modality": modality[c[0]]} for c in channels
    ]
    tables["calibrated_sensor"] = [
        {
            "token": f"c-{c}",
            "sensor_token": f"s-{c}",
            "translation": [1.5, 0.1 * at, 1.6],
            "rotation": [0.5, -0.5, 0.5, -0.5 - 0.01 * at],
            "camera_intrinsic": [[20.0 + at, 0, 16], [0, 20.0 + at, 9], [0, 0, 1]]
            if c.startswith("CAM")
            else [],
        }
        for at, c in enumerate(channels)
    ]
    tables["ego_pose"] = []
    for scene in scenes:
        tables["log"].append({"token": f"l-{scene}", "logfile": f"n015-{scene}"})
        tables["scene"].append({"token": f"t-{scene}", "name": scene, "log_token": f"l-{scene}"})
        for number in range(samples):
            _add_sample(root, tables, channels, scene, number)
    for name, records in tables.items():
        write_table(root, name, records, version)
    return root


def _add_sample(
    root: Path, tables: dict[str, Records], channels: tuple[str, ...], scene: str, number: int
) -> None:
    sample, time_us = f"{scene}-{number}", 1_000_000_000 + number * 500_000
    # In the reverse order of time: the reader has to sort.
    tables["sample"].insert(0, {"token": sample, "timestamp": time_us, "scene_token": f"t-{scene}"})
    for at, channel in enumerate(channels):
        for is_key in (True, False):
            folder = f"{'samples' if is_key else 'sweeps'}/{channel}"
            suffix = "jpg" if channel.startswith("CAM") else "pcd.bin"
            token = f"d-{sample}-{channel}-{is_key}"
            record = {
                "token": token,
                "sample_token": sample,
                "ego_pose_token": f"e-{token}",
                "calibrated_sensor_token": f"c-{channel}",
                "filename": f"{folder}/{sample}__{channel}.{suffix}",
                "fileformat": suffix[:3],
                "timestamp": time_us + at * 1000 - (0 if is_key else 90_000),
                "is_key_frame": is_key,
                "width": WIDTH if suffix == "jpg" else 0,
                "height": HEIGHT if suffix == "jpg" else 0,
            }
            tables["sample_data"].append(record)
            tables["ego_pose"].insert(
                0,
                {
                    "token": f"e-{token}",
                    "timestamp": record["timestamp"],
                    "translation": [100.0 + number, 200.0 + 0.01 * at, 0.0],
                    "rotation": [0.8, 0.0, 0.0, 0.6 + 0.001 * at],
                },
            )
            if is_key:
                _write_file(root / record["filename"], at + 10 * number)


def _write_file(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    if path.suffix == ".jpg":
        pixels = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path, quality=95)
    else:
        rng.random((SWEEP_POINTS, 5), dtype=np.float32).tofile(path)


def write_table(root: Path, name: str, records: Records, version: str = "v1.0-mini") -> None:
    path = root / version / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records, indent=0))


def edit_table(
    root: Path, name: str, change: Callable[[Records], Records | None], version: str = "v1.0-mini"
) -> Path:
    """Changes the records of a table in place (or returns new ones); returns its path."""
    path = root / version / f"{name}.json"
    records = json.loads(path.read_text())
    write_table(root, name, change(records) or records, version)
    return path
