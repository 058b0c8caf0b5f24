"""Makes a small drive on disk: three cameras, a LiDAR, and a teacher that knows colours."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from langocc.geometry.rigid import (
    invert_rigid,
    rigid,
    rotation_from_quaternion,
    transform_points,
)
from langocc.scenes.frame import Camera, Frame, Lidar

WIDTH, HEIGHT = 160, 90
HORIZON_ROW = 40


class ColourTeacher:
    """Its features are smooth functions of a patch's mean colour; the word "sky" means blue."""

    id = "colour-1"
    channels = 32
    patch = 5

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        self.mix = torch.randn(6, self.channels, generator=generator)
        self.calls = 0

    def dense(self, images):
        self.calls += 1
        small = functional.avg_pool2d(images.float() / 255, self.patch)
        wave = torch.cat([small, (7 * small).sin()], dim=1)
        return torch.einsum("ichw,cd->idhw", wave, self.mix)

    def sample(self, dense, row_col, image_size):
        at = (row_col / torch.tensor(image_size) * 2 - 1).flip(-1)[None, None]
        read = functional.grid_sample(dense[None], at, padding_mode="border", align_corners=False)
        return functional.normalize(read[0, :, 0].T, dim=-1)

    def text(self, prompts: Sequence[str], *, templates=True):
        colours = {"sky": (90, 140, 250), "road": (90, 90, 95), "wall": (150, 80, 60)}
        rows = []
        for prompt in prompts:
            image = torch.tensor(colours[prompt]).view(1, 3, 1, 1).expand(1, 3, 5, 5)
            rows.append(self.dense(image)[0, :, 0, 0])
        return functional.normalize(torch.stack(rows), dim=-1)

    def to(self, device):
        return self


def picture(seed: int) -> np.ndarray:
    """Blue above the horizon, grey below, some brown boxes on it."""
    generator = np.random.default_rng(seed)
    image = np.empty((HEIGHT, WIDTH, 3))
    image[:HORIZON_ROW] = (90, 140, 250)
    image[HORIZON_ROW:] = (90, 90, 95)
    for _ in range(4):
        left, top = generator.integers(0, WIDTH - 30), generator.integers(25, HORIZON_ROW)
        image[top : top + 30, left : left + 25] = (150, 80, 60)
    image += generator.normal(0, 3, image.shape)
    return image.clip(0, 255).astype(np.uint8)


# x forward, y left, z up -> camera axes x right, y down, z forward
EGO_FROM_FORWARD_CAM = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])


def yaw(degrees: float) -> np.ndarray:
    half = np.deg2rad(degrees) / 2
    return rotation_from_quaternion([np.cos(half), 0.0, 0.0, np.sin(half)])


def make_scene(folder, name: str, frames: int, seed: int = 0) -> list[Frame]:
    """A straight drive over flat ground far from the global origin."""
    generator = np.random.default_rng(seed)
    made = []
    for index in range(frames):
        time_us = 1_000_000 + 500_000 * index
        global_from_ego = rigid(yaw(30 + 2.0 * index), [1600.0 + 2 * index, 600.0 + index, 0.0])
        cameras = {}
        for number, angle in enumerate((60.0, 0.0, -60.0)):
            path = folder / f"{name}-{index}-cam{number}.jpg"
            Image.fromarray(picture(seed * 1000 + index * 10 + number)).save(path, quality=92)
            late = rigid(np.eye(3), [0.04 * number, 0.02, 0.0])
            cameras[f"CAM_{number}"] = Camera(
                image_path=path,
                width=WIDTH,
                height=HEIGHT,
                intrinsics=np.array([[120.0 + number, 0, 80], [0, 120.0, 45], [0, 0, 1]]),
                ego_from_cam=rigid(yaw(angle) @ EGO_FROM_FORWARD_CAM, [1.0, 0.1 * number, 1.5]),
                global_from_ego=global_from_ego @ late,
                timestamp_us=time_us + 1000 * number,
            )
        points = generator.uniform((-45, -45, -2.9), (45, 45, 4), size=(4000, 3))
        points[:3] = np.nan
        ahead = np.array([[1.0 + depth, 0.1, 1.45] for depth in (0.3, 0.9, 1.1, 2.0)])
        ego_from_lidar = rigid(yaw(-90), [0.9, 0.0, 1.8])
        points[3:7] = transform_points(invert_rigid(ego_from_lidar), ahead)
        sweep = folder / f"{name}-{index}.pcd.bin"
        rows = np.zeros((len(points), 5), dtype="<f4")
        rows[:, :3] = points
        rows.tofile(sweep)
        lidar = Lidar(
            points_path=sweep,
            columns=5,
            ego_from_lidar=ego_from_lidar,
            global_from_ego=global_from_ego,
            timestamp_us=time_us,
            token=f"{name}-{index}-lidar",
        )
        made.append(Frame(f"{name}-{index}", name, time_us, cameras, global_from_ego, lidar))
    return made
