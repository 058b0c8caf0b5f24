# SPDX-License-Identifier: Apache-2.0
"""Ray sources: which pixels of a frame become rays.

`lidar_pixels` is the published protocol; `grid` and `random` need no LiDAR. Without a LiDAR nobody
measures how far a pixel's surface is. Three cases, each with its own answer:

* sky: the teacher's own answer to "sky" marks the row when features are extracted; its opacity can
  be supervised to zero (method.md section 10);
* certain hit: a ray that would meet flat ground (the plane z = 0 of the ego frame) within half the
  range meets that ground, or something before it, even on a slope of a few percent: flag HIT;
* anything else may end beyond the range: such rays carry features, but their opacity must not be
  supervised, and the loader can weigh their feature loss down.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Float64

from langocc.errors import ConfigError, DataError
from langocc.features.ego_mask import EgoMasks, no_masks
from langocc.features.pixels import HIT, SKY_ONLY, PixelRays, generator_of, joined, unmeasured
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.geometry.rigid import invert_rigid, transform_points
from langocc.scenes.frame import Camera, Frame
from langocc.scenes.lidar import read_points

Source = Literal["lidar_pixels", "grid", "random"]


@dataclass(frozen=True)
class RayConfig:
    """How rays are chosen. Recorded with every store.

    Source: method.md section 3.
    """

    source: Source = "lidar_pixels"
    """`lidar_pixels`: where LiDAR points fall (published); `grid`, `random`: no LiDAR anywhere."""
    rays_per_frame: int = 18_000
    """Rays of a frame over all its cameras (`grid`, `random`)."""
    sky_rays: int = 0
    """`lidar_pixels`: random pixels per frame, added where the teacher calls them sky."""
    near_m: float = 0.05
    """Smallest LiDAR depth of a ray, metres."""
    far_m: float = 40.0
    """LiDAR depth from which on a ray is dropped, metres; the range of `grid` and `random`."""
    front_m: float = 1.0
    """LiDAR points no further than this in front of a camera are not its own, metres."""
    seed: int = 0
    """Changes every random choice: pixels, and the order of a frame's rows."""
    grid: VoxelGrid = field(default=OCC3D_GRID)
    """Rays of LiDAR points outside this box are dropped."""

    def __post_init__(self) -> None:
        """Refuses ranges and counts that cannot be."""
        if not 0 <= self.near_m < self.far_m:
            raise ConfigError(
                f"rays: expected 0 <= near-m < far-m, found {self.near_m} and {self.far_m} m"
            )
        if self.rays_per_frame < 1 or self.sky_rays < 0:
            raise ConfigError(
                "rays: expected rays-per-frame >= 1 and sky-rays >= 0, found "
                f"{self.rays_per_frame} and {self.sky_rays}"
            )

    def record(self) -> dict[str, object]:
        """The values as JSON types, for the store's index."""
        return asdict(self)


def choose_rays(frame: Frame, config: RayConfig, masks: EgoMasks | None = None) -> PixelRays:
    """The rays of a frame in the store's order: shuffled, so that any slice is a random sample.

    The result depends on the frame, the configuration and the masks alone.

    Raises:
        DataError: `lidar_pixels` without a LiDAR, or its file is damaged.
    """
    generator = generator_of(config.seed, config.source, frame.token)
    masks = masks or no_masks()
    rays = SOURCES[config.source](frame, config, generator)
    if config.source == "lidar_pixels" and config.sky_rays:
        sky = random_pixels(frame, replace(config, rays_per_frame=config.sky_rays), generator)
        sky = replace(sky, flags=np.full(len(sky), SKY_ONLY, dtype=np.uint8))
        rays = joined([rays, sky])
    rays = rays.take(masks.is_world(rays, list(frame.cameras)))
    return rays.take(generator.permutation(len(rays)))


def lidar_pixels(frame: Frame, config: RayConfig, generator: np.random.Generator) -> PixelRays:
    """Every LiDAR point in the grid's box, in every camera that it falls into.

    Raises:
        DataError: the frame has no LiDAR.
    """
    del generator  # every point is taken
    if frame.lidar is None:
        raise DataError(
            f"frame {frame.token}: ray source lidar_pixels needs a LiDAR sweep and there is none; "
            "use the source grid or random"
        )
    lidar = frame.lidar
    points = np.asarray(read_points(lidar)[:, :3], dtype=np.float64)
    points_ego = transform_points(lidar.ego_from_lidar, points)
    points_ego = points_ego[config.grid.contains(points_ego)]
    points_global = transform_points(lidar.global_from_ego, points_ego)
    parts = []
    for index, camera in enumerate(frame.cameras.values()):
        row_col, depths_m = project(points_global, camera)
        kept = (depths_m > config.front_m) & strictly_inside(row_col, camera)
        kept &= (depths_m >= config.near_m) & (depths_m < config.far_m)
        rays = unmeasured(row_col[kept], index, HIT)
        parts.append(replace(rays, depths_m=depths_m[kept].astype(np.float32)))
    return joined(parts)


def grid_pixels(frame: Frame, config: RayConfig, generator: np.random.Generator) -> PixelRays:
    """A regular grid in each image, its cells square and its corner moved at random."""
    parts = []
    cameras = list(frame.cameras.values())
    pitch = np.sqrt(sum(c.width * c.height for c in cameras) / config.rays_per_frame)
    for index, camera in enumerate(cameras):
        start = generator.uniform(0.0, pitch, size=2)
        rows = np.arange(start[0], camera.height - 1, pitch)
        columns = np.arange(start[1], camera.width - 1, pitch)
        row_col = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
        parts.append(_flagged(row_col, index, camera, frame, config))
    return joined(parts)


def random_pixels(frame: Frame, config: RayConfig, generator: np.random.Generator) -> PixelRays:
    """Uniformly random pixels, as many per camera as its share of all pixels."""
    parts = []
    cameras = list(frame.cameras.values())
    areas = np.array([c.width * c.height for c in cameras], dtype=np.float64)
    ends = np.round(np.cumsum(areas) / areas.sum() * config.rays_per_frame).astype(int)
    for index, (camera, count) in enumerate(zip(cameras, np.diff(ends, prepend=0), strict=True)):
        row_col = generator.uniform(0.0, 1.0, size=(count, 2))
        row_col *= np.array([camera.height - 1, camera.width - 1])
        parts.append(_flagged(row_col, index, camera, frame, config))
    return joined(parts)


SOURCES: dict[Source, Callable[[Frame, RayConfig, np.random.Generator], PixelRays]] = {
    "lidar_pixels": lidar_pixels,
    "grid": grid_pixels,
    "random": random_pixels,
}


def project(
    points_global: Float64[np.ndarray, "point 3"], camera: Camera
) -> tuple[Float64[np.ndarray, "point 2"], Float64[np.ndarray, " point"]]:
    """Pixels (row, col) and camera z (metres) of global points; NaN pixels behind the camera."""
    cam_from_global = invert_rigid(camera.global_from_ego @ camera.ego_from_cam)
    points = transform_points(cam_from_global, points_global)
    depths_m = points[:, 2]
    uvw = points @ camera.intrinsics.T
    with np.errstate(divide="ignore", invalid="ignore"):
        row_col = np.where(depths_m[:, None] > 0, uvw[:, 1::-1] / uvw[:, 2:], np.nan)
    return row_col, depths_m


def strictly_inside(
    row_col: Float64[np.ndarray, "point 2"], camera: Camera
) -> Bool[np.ndarray, " point"]:
    """Pixels in the open rectangle (0, height - 1) x (0, width - 1). NaN is outside."""
    last = np.array([camera.height - 1, camera.width - 1])
    return np.all((row_col > 0) & (row_col < last), axis=-1)


def _flagged(
    row_col: Float64[np.ndarray, "ray 2"], index: int, camera: Camera, frame: Frame, cfg: RayConfig
) -> PixelRays:
    """Rays of one camera; HIT where flat ground within half the range and the box stops them."""
    key_from_cam = (
        invert_rigid(frame.global_from_ego) @ camera.global_from_ego @ camera.ego_from_cam
    )
    uv1 = np.concatenate([row_col[:, ::-1], np.ones((len(row_col), 1))], axis=1)
    directions = uv1 @ (key_from_cam[:3, :3] @ np.linalg.inv(camera.intrinsics)).T
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    origin = key_from_cam[:3, 3]
    with np.errstate(divide="ignore"):
        range_m = np.where(directions[:, 2] < 0, -origin[2] / directions[:, 2], np.inf)
    sure = (range_m > 0) & (range_m < cfg.far_m / 2)
    ground = origin + np.where(sure, range_m, 0.0)[:, None] * directions
    ground[:, 2] = max(0.0, cfg.grid.lower_m[2])  # exactly on the plane, whatever the rounding
    sure &= cfg.grid.contains(ground)
    pixels: Float32[np.ndarray, "ray 2"] = row_col.astype(np.float32)
    return unmeasured(pixels, index, np.where(sure, HIT, 0))
