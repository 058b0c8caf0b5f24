# SPDX-License-Identifier: Apache-2.0
"""Direct questions to the field along rays: matter where a ray ends, none before.

Rendering tells a voxel what to be only through all that lies before it on a ray; a direct question
reaches it whatever stands in between. The idea is QueryOcc's (2026).

A voxel that any ray of the scene ends in is not free for the others, as in LiDAR labels: rays that
graze a road pass the very voxels that neighbouring rays end in.
"""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from langocc.field import VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render.lookup import lookup, voxel_coordinates
from langocc.render.objective import LossConfig, SurfaceAnswers
from langocc.render.rendered import RenderedRays
from langocc.render.renderer import features_at
from langocc.render.volume import Volume

MARGIN_CELLS = 1.5
"""Nothing is asked so near before the end: the surface's own cell may reach there."""
SURE_OPACITY = 0.9
"""Of a rendered ray: below it nobody knows where it ends."""


def surface_answers(
    field: VoxelField,
    rays: RayBatch,
    rendered: RenderedRays,
    uniforms: Float[Tensor, "batch ray point"],
    config: LossConfig,
) -> SurfaceAnswers:
    """What the field says at the ends of rays and at random points before them.

    A point before an end reads eight voxels; those of them that rays end in count as empty there,
    the others as they are: the air just above a road still clears the layer over it.

    Args:
        field: The field.
        rays: With `range_m` where ranges are measured.
        rendered: The same rays rendered, for their far end and for rendered ranges.
        uniforms: Place the points before an end, numbers in [0, 1), one point to each equal part.
        config: Says where rays end, and what is asked.

    Raises:
        ValueError: ranges are to be measured and the rays have none.
    """
    range_m, is_end = _ends(rays, rendered, config)
    ends = rays.origins + range_m[..., None] * rays.directions
    is_end = is_end & _is_inside(ends, field.grid)
    is_sky = torch.zeros_like(is_end) if rays.is_sky is None else rays.is_sky
    pitch_m = field.grid.cell_m  # rays run more level than steep, so the height counts less
    until_m = torch.where(is_sky, rendered.far_m, range_m - MARGIN_CELLS * pitch_m)
    parts = torch.arange(uniforms.shape[-1], device=uniforms.device)
    passed_m = until_m.clamp(min=0)[..., None] * (parts + uniforms) / uniforms.shape[-1]
    points = rays.origins[:, :, None] + passed_m[..., None] * rays.directions[:, :, None]
    volume = field.volume
    voxels = _nearest_voxels(ends, volume)
    counts = is_end if rays.weights is None else is_end & (rays.weights > 0)  # not what moved away
    elsewhere = field.density.masked_fill(_hit_voxels(voxels, counts, volume.cells), 0.0)
    features = None
    if config.surface_feature_weight:
        if field.head is None:
            raise ValueError("field: the loss surface-feature needs a language head, got none")
        features = features_at(volume, ends)
    return SurfaceAnswers(
        density=_end_density(volume, ends, voxels, config),
        is_end=is_end,
        free_density=lookup(elsewhere[..., None], points, volume.box)[..., 0],
        is_free=is_sky | (is_end & (until_m > 0)),
        features=features,
        pitch_m=pitch_m,
    )


def _ends(
    rays: RayBatch, rendered: RenderedRays, config: LossConfig
) -> tuple[Float[Tensor, "batch ray"], Bool[Tensor, "batch ray"]]:
    if config.surface_range == "rendered":
        return rendered.depth_m.detach(), rendered.opacity.detach() > SURE_OPACITY
    if rays.range_m is None:
        raise ValueError("rays.range_m: the surface loss needs measured ranges, got None")
    return rays.range_m, rays.range_m > 0


def _is_inside(
    points_m: Float[Tensor, "batch ray 3"], grid: VoxelGrid
) -> Bool[Tensor, "batch ray"]:
    lower, upper = points_m.new_tensor(grid.lower_m), points_m.new_tensor(grid.upper_m)
    return ((points_m >= lower) & (points_m < upper)).all(-1)


def _nearest_voxels(
    points_m: Float[Tensor, "batch ray 3"], volume: Volume
) -> Int[Tensor, "batch ray"]:
    """Flat index of the voxel whose value is nearest to each point; of outer points, any."""
    last = [count - 1 for count in volume.cells]
    coordinates = voxel_coordinates(points_m, volume.box, volume.cells).round()
    x, y, z = (
        axis.long().clamp(0, end) for axis, end in zip(coordinates.unbind(-1), last, strict=True)
    )
    return (x * volume.cells[1] + y) * volume.cells[2] + z


def _hit_voxels(
    voxels: Int[Tensor, "batch ray"], is_end: Bool[Tensor, "batch ray"], cells: tuple[int, int, int]
) -> Bool[Tensor, "batch x y z"]:
    """Voxels that a ray of their scene ends in."""
    count = math.prod(cells)
    # Rays without an end write to one voxel too many: choosing them would make the host wait.
    is_hit = torch.zeros(len(voxels), count + 1, dtype=torch.bool, device=voxels.device)
    is_hit.scatter_(1, voxels.where(is_end, count), True)
    return is_hit[:, :count].unflatten(1, cells)


def _end_density(
    volume: Volume,
    ends_m: Float[Tensor, "batch ray 3"],
    voxels: Int[Tensor, "batch ray"],
    config: LossConfig,
) -> Float[Tensor, "batch ray"]:
    if config.surface_end == "voxel" and config.surface_range == "measured":
        return volume.density.flatten(1).gather(1, voxels)
    return lookup(volume.density[..., None], ends_m, volume.box)[..., 0]
