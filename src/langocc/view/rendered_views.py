# SPDX-License-Identifier: Apache-2.0
"""Whole camera views rendered from a field, beside what the teacher sees there."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from langocc.features.rays import cast_pixels, scene_geometry
from langocc.field import VoxelField
from langocc.geometry.rays import RayBatch
from langocc.render.config import RenderConfig
from langocc.scenes.frame import Frame
from langocc.scenes.images import read_image
from langocc.teachers.teacher import Teacher

CHUNK_RAYS = 20_000
"""Rays rendered at a time (method.md section 8b)."""


@dataclass(frozen=True)
class RenderedView:
    """What a field shows from a camera's place, and what the teacher says of its image.

    Attributes:
        features: Rendered unit features; zero where nothing stops the ray.
        teacher: The teacher's features of the same pixels.
        depth_m: Mean distance at which rays stop, metres.
        opacity: Share of each ray that the field stops.
    """

    features: Float[np.ndarray, "height width channel"]
    teacher: Float[np.ndarray, "height width channel"]
    depth_m: Float[np.ndarray, "height width"]
    opacity: Float[np.ndarray, "height width"]


@torch.no_grad()
def render_view(
    field: VoxelField,
    frame: Frame,
    camera_name: str,
    teacher: Teacher,
    config: RenderConfig,
    rows: int = 56,
) -> RenderedView:
    """Renders a camera's view at a reduced size.

    Args:
        field: Of one scene, in the frame's key ego frame.
        frame: The key frame.
        camera_name: Which camera.
        teacher: On the CPU.
        config: How rays are sampled.
        rows: Height of the view, pixels; its width follows.

    Raises:
        DataError: the image is missing or damaged.
    """
    camera = frame.cameras[camera_name]
    columns = round(rows * camera.width / camera.height)
    row, column = np.meshgrid(
        (np.arange(rows) + 0.5) / rows * camera.height,
        (np.arange(columns) + 0.5) / columns * camera.width,
        indexing="ij",
    )
    row_col = np.stack([row.ravel(), column.ravel()], axis=-1)
    rays = view_rays(frame, camera_name, row_col)
    rendered = field.render(
        rays.to(field.density.device),
        RenderConfig(
            near_m=config.near_m,
            far_m=config.far_m,
            proposals=config.proposals,
            samples=config.samples,
            jitter=False,
            chunk_rays=CHUNK_RAYS,
        ),
    )
    image = torch.from_numpy(read_image(camera.image_path, (camera.width, camera.height)))
    dense = teacher.dense(image.permute(2, 0, 1)[None])[0]
    size = (camera.height, camera.width)
    seen = teacher.sample(dense, torch.from_numpy(row_col).float(), size)
    features = torch.zeros(rows * columns, 1) if rendered.features is None else rendered.features
    shape = (rows, columns)
    return RenderedView(
        features.cpu().numpy().reshape(*shape, -1),
        seen.float().numpy().reshape(*shape, -1),
        rendered.depth_m.cpu().numpy().reshape(shape),
        rendered.opacity.cpu().numpy().reshape(shape),
    )


def view_rays(frame: Frame, camera_name: str, row_col: Float[np.ndarray, "ray 2"]) -> RayBatch:
    """Rays of pixels of a camera in the key ego frame, as a batch of one."""
    geometry = scene_geometry([frame])
    zeros = np.zeros(len(row_col), dtype=np.int64)
    cameras = zeros + list(frame.cameras).index(camera_name)
    key_from_cam = geometry.ego_from_global[0] @ geometry.global_from_cam
    origins, directions = cast_pixels(row_col, zeros, cameras, key_from_cam, geometry.intrinsics)
    return RayBatch(
        torch.from_numpy(origins).float()[None], torch.from_numpy(directions).float()[None]
    )
