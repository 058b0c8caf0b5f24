# SPDX-License-Identifier: Apache-2.0
"""What a camera's pixels see in metres: rendered depth, and its error where the LiDAR measured.

All depths are distances along the pixel's ray.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageDraw

from langocc.features.rays import cast_pixels, scene_geometry
from langocc.features.sources import project, strictly_inside
from langocc.field import VoxelField
from langocc.geometry.rays import RayBatch
from langocc.geometry.rigid import transform_points
from langocc.render.config import RenderConfig
from langocc.scenes.frame import Camera, Frame
from langocc.scenes.lidar import read_points
from langocc.view.colours import heat_colours
from langocc.view.pictures import photograph
from langocc.view.sheets import heat_legend, sheet, stacked

FRONT = "CAM_FRONT"
WORST_ERROR = 0.5
"""Relative error from which a point has the darkest colour."""


@dataclass(frozen=True)
class LidarCheck:
    """Rendered depth at the LiDAR points that a camera sees within the field.

    Attributes:
        row_col: Pixels of the points.
        lidar_m: Measured, metres, > 0.
        rendered_m: Rendered, metres.
    """

    row_col: Float[np.ndarray, "point 2"]
    lidar_m: Float[np.ndarray, " point"]
    rendered_m: Float[np.ndarray, " point"]

    @property
    def relative(self) -> Float[np.ndarray, " point"]:
        """Absolute error over the measured depth."""
        return np.abs(self.rendered_m - self.lidar_m) / self.lidar_m

    def __str__(self) -> str:
        """Medians in words."""
        if not len(self.lidar_m):
            return "no LiDAR point to compare with"
        absolute = np.median(np.abs(self.rendered_m - self.lidar_m))
        return (
            f"median error {absolute:.2f} m, {100 * np.median(self.relative):.1f} % "
            f"of the depth, over {len(self.lidar_m)} LiDAR points"
        )


def front_camera(frame: Frame) -> str:
    """Name of the camera that looks ahead; the first if none is called so."""
    return FRONT if FRONT in frame.cameras else next(iter(frame.cameras))


def depth_map(
    field: VoxelField, frame: Frame, name: str, config: RenderConfig, width: int = 200
) -> Float[np.ndarray, "height width"]:
    """Rendered depth of a regular grid of pixels, metres; the far end where nothing stops a ray."""
    row_col = pixel_grid(frame.cameras[name], width)
    rendered_m = _rendered(field, frame, name, row_col.reshape(-1, 2), config)
    return rendered_m.reshape(row_col.shape[:2])


def pixel_grid(camera: Camera, width: int) -> Float[np.ndarray, "height width 2"]:
    """Pixels (row, col) of a camera that a picture of `width` columns shows, evenly spaced."""
    height = max(round(width * camera.height / camera.width), 1)
    rows = (np.arange(height) + 0.5) * camera.height / height - 0.5
    columns = (np.arange(width) + 0.5) * camera.width / width - 0.5
    return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)


def pixel_rays(
    frame: Frame, name: str, row_col: Float[np.ndarray, "pixel 2"], device: torch.device
) -> RayBatch:
    """Rays of pixels (row, col) of a camera, in the frame's own ego frame."""
    geometry = scene_geometry([frame])
    camera = np.full(len(row_col), list(frame.cameras).index(name))
    ends = cast_pixels(
        row_col,
        np.zeros(len(row_col), np.int64),
        camera,
        geometry.key_from_cam(0, [0]),
        geometry.unprojected_by(0, [0], "own"),
    )
    return RayBatch(*(torch.from_numpy(a).float()[None].to(device) for a in ends))


def check_depth(field: VoxelField, frame: Frame, name: str, config: RenderConfig) -> LidarCheck:
    """Compares rendered depth with the LiDAR's.

    Points count that lie in the field's box and, as seen by the camera, in its image and range.

    Raises:
        DataError: the LiDAR file is missing or damaged.
        ValueError: the frame has no LiDAR.
    """
    if frame.lidar is None:
        raise ValueError(f"frame {frame.token}: expected a LiDAR sweep, found none")
    camera, lidar = frame.cameras[name], frame.lidar
    points = np.asarray(read_points(lidar)[:, :3], dtype=np.float64)
    points = transform_points(lidar.ego_from_lidar, points)
    points = transform_points(lidar.global_from_ego, points[field.grid.contains(points)])
    row_col, depths_m = project(points, camera)
    eye = (camera.global_from_ego @ camera.ego_from_cam)[:3, 3]
    lidar_m = np.linalg.norm(points - eye, axis=1)
    kept = strictly_inside(row_col, camera) & (depths_m > 1.0) & (lidar_m < config.far_m)
    rendered_m = _rendered(field, frame, name, row_col[kept], config)
    return LidarCheck(row_col[kept], lidar_m[kept], rendered_m)


def depth_picture(
    frame: Frame,
    name: str,
    depth_m: Float[np.ndarray, "height width"],
    check: LidarCheck | None,
    far_m: float,
    width: int = 720,
) -> Image.Image:
    """Rendered depth beside the photograph with the LiDAR points coloured by their error.

    Raises:
        DataError: the image is missing or damaged.
    """
    picture = photograph(frame.cameras[name], width)
    near_is_dark = Image.fromarray(heat_colours(1 - depth_m / far_m))
    depth = near_is_dark.resize(picture.size, Image.Resampling.NEAREST)
    scale = heat_legend(f"{far_m:.0f} m", "0 m", width)
    tiles = {"Rendered depth": stacked([depth, scale])}
    if check is None:
        tiles["Photograph"] = picture
    else:
        _draw_errors(picture, check, width / frame.cameras[name].width)
        worst = f"{100 * WORST_ERROR:.0f} % or more"
        tiles[str(check)] = stacked([picture, heat_legend("exact", worst, width)])
    return sheet(tiles, 2)


def _draw_errors(picture: Image.Image, check: LidarCheck, scale: float) -> None:
    """Dots at the LiDAR points, the far ones first."""
    pen = ImageDraw.Draw(picture)
    colours = heat_colours(check.relative / WORST_ERROR)
    for index in np.argsort(-check.lidar_m):
        row, column = check.row_col[index] * scale
        pen.ellipse((column - 2, row - 2, column + 2, row + 2), fill=tuple(colours[index].tolist()))


@torch.no_grad()
def _rendered(
    field: VoxelField,
    frame: Frame,
    name: str,
    row_col: Float[np.ndarray, "pixel 2"],
    config: RenderConfig,
) -> Float[np.ndarray, " pixel"]:
    """Depth of pixels of a camera, without jitter, so that it is the same every time."""
    if not len(row_col):
        return np.zeros(0, np.float32)
    rays = pixel_rays(frame, name, row_col, field.density.device)
    steady = replace(config, jitter=False, chunk_rays=8192)
    blind = replace(field, head=None)  # depth needs no features
    return blind.render(rays, steady).depth_m[0].cpu().numpy()
