# SPDX-License-Identifier: Apache-2.0
"""The projected teacher: each LiDAR point takes the teacher's feature of its pixel.

It has the LiDAR, which the model does not, so it answers for measured points only: nothing hidden,
nothing between the points. For retrieval it is what the teacher itself can tell from the images.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64
from torch import Tensor
from torch.nn import functional

from langocc.errors import DataError
from langocc.evaluate.predictions import Prediction
from langocc.features.sources import project, strictly_inside
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.geometry.rigid import transform_points
from langocc.scenes.frame import Frame
from langocc.scenes.images import read_image
from langocc.scenes.lidar import read_points
from langocc.scenes.occ3d import FREE_ID
from langocc.teachers.teacher import Teacher

FRONT_M = 1.0
"""Points no further than this in front of a camera are not seen by it (formats.md section 4)."""


@dataclass(frozen=True)
class ProjectedPoints:
    """The points of a LiDAR sweep with the teacher's features.

    Attributes:
        points_ego_m: All points of the file, key ego frame, metres.
        features: Unit mean over the cameras that see a point; zeros where none does.
        is_seen: Some camera sees the point. A point hidden behind another one counts as seen.
    """

    points_ego_m: Float64[np.ndarray, "point 3"]
    features: Float32[np.ndarray, "point channel"]
    is_seen: Bool[np.ndarray, " point"]


def project_teacher(frame: Frame, teacher: Teacher, device: str = "cpu") -> ProjectedPoints:
    """Reads the frame's images and points and lets the teacher look.

    Raises:
        DataError: the frame has no LiDAR, or a file is missing or damaged.
    """
    points_ego = lidar_points_ego(frame)
    points_global = transform_points(frame.global_from_ego, points_ego)
    total = torch.zeros(len(points_ego), teacher.channels)
    for camera in frame.cameras.values():
        row_col, depths_m = project(points_global, camera)
        seen = (depths_m > FRONT_M) & strictly_inside(row_col, camera)
        if not seen.any():
            continue
        with torch.inference_mode():
            image = read_image(camera.image_path, (camera.width, camera.height))
            dense = teacher.dense(torch.from_numpy(image).permute(2, 0, 1)[None].to(device))[0]
            pixels = torch.from_numpy(row_col[seen]).float().to(device)
            features = teacher.sample(dense, pixels, (camera.height, camera.width))
        total[torch.from_numpy(seen)] += features.float().cpu()
    features = functional.normalize(total, dim=-1).numpy()
    return ProjectedPoints(points_ego, features, np.asarray(features.any(axis=1)))


def occupancy_from_points(
    points: ProjectedPoints,
    prompt_vectors: Float[Tensor, "prompt channel"],
    class_ids: Sequence[int],
    grid: VoxelGrid = OCC3D_GRID,
) -> Prediction:
    """Voxels that hold seen points, each with the class its points' features sum up to.

    The class is that of the prompt most similar to the sum of the features in the voxel.
    """
    inside = grid.contains(points.points_ego_m) & points.is_seen
    cells = np.floor((points.points_ego_m[inside] - np.asarray(grid.lower_m)) / grid.edges_m)
    flat = np.ravel_multi_index(cells.astype(int).T, grid.shape, mode="clip")
    voxels, owner = np.unique(flat, return_inverse=True)
    features = torch.from_numpy(points.features[inside])
    sums = torch.zeros(len(voxels), features.shape[1]).index_add_(
        0, torch.from_numpy(owner), features
    )
    nearest = (sums @ prompt_vectors.float().T).argmax(dim=1).numpy()
    semantics = np.full(grid.shape, FREE_ID, np.uint8)
    semantics.reshape(-1)[voxels] = np.asarray(class_ids, np.uint8)[nearest]
    return Prediction(semantics)


def lidar_points_ego(frame: Frame) -> Float64[np.ndarray, "point 3"]:
    """All points of the frame's sweep in file order, key ego frame, metres.

    Raises:
        DataError: the frame has no LiDAR, or its file is missing or damaged.
    """
    if frame.lidar is None:
        raise DataError(f"frame {frame.token}: expected a LiDAR sweep, found none")
    points = np.asarray(read_points(frame.lidar)[:, :3], dtype=np.float64)
    return transform_points(frame.lidar.ego_from_lidar, points)
