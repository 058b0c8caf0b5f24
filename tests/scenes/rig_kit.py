"""A tiny rig manifest, and ways to damage it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 32, 18


def rig_content(cameras: int = 2, frames: int = 3, scenes: tuple[str, ...] = ("a", "b")) -> dict:
    """A manifest: cameras in a circle, a vehicle that drives ahead 1 m a frame."""
    names = [f"cam{at}" for at in range(cameras)]
    return {
        "format": 1,
        "cameras": {name: camera_content(360 * at / cameras) for at, name in enumerate(names)},
        "scenes": [
            {
                "name": scene,
                "split": "train" if at == 0 else "val",
                "frames": [
                    {
                        "timestamp_us": 100_000 * number,
                        "global_from_ego": {
                            "translation_m": [number, 0, 0],
                            "rotation_wxyz": [1, 0, 0, 0],
                        },
                        "images": {name: f"{name}.png" for name in names},
                    }
                    for number in range(frames)
                ],
            }
            for at, scene in enumerate(scenes)
        ],
    }


def camera_content(yaw_deg: float) -> dict:
    """A level camera, 1.5 m above the ground."""
    c, s = np.cos(np.deg2rad(yaw_deg)), np.sin(np.deg2rad(yaw_deg))
    matrix = [[s, 0.0, c, 0.5], [-c, 0.0, s, 0.0], [0.0, -1.0, 0.0, 1.5], [0.0, 0.0, 0.0, 1.0]]
    pinhole = {"fx": 16.0, "fy": 16.0, "cx": 16.0, "cy": 9.0}
    pose = {"matrix": matrix}
    return {"width": WIDTH, "height": HEIGHT, "intrinsics": pinhole, "ego_from_cam": pose}


def write_rig(
    folder: Path, content: dict | None = None, damage: Callable[[dict], object] | None = None
) -> Path:
    """Writes the manifest and its images; returns the folder."""
    content = rig_content() if content is None else content
    folder.mkdir(parents=True, exist_ok=True)
    for at, name in enumerate(content["cameras"]):
        pixels = np.full((HEIGHT, WIDTH, 3), 20 * at, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")
    if damage is not None:
        damage(content)
    (folder / "rig.json").write_text(json.dumps(content))
    return folder
