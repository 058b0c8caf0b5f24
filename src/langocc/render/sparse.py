# SPDX-License-Identifier: Apache-2.0
"""The numbers of `readable` without a feature volume, in vectorised torch on any device.

Only voxels that rays visit go through the feature head, and rays composite hidden rows instead of
samples of a 512-channel volume (method.md section 9).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from langocc.render.readable import Samples
from langocc.render.rows import features_of_rays, gather_rows, unit_rows
from langocc.render.visits import (
    Visits,
    composite_rows,
    merge_visits,
    number_touched,
    point_visits,
)
from langocc.render.volume import Volume, VoxelHead


def sparse_features(
    volume: Volume,
    head: VoxelHead,
    weights: Float[Tensor, "batch ray sample"],
    samples: Samples,
) -> Float[Tensor, "batch ray out"]:
    """Unit feature that each ray sees.

    Args:
        volume: Features to look at.
        head: The language head.
        weights: Share of the ray that each sample stops.
        samples: Where the volume is read.
    """
    visits = merge_visits(weights, samples.points_m, volume.box, volume.cells)
    return visited_features(volume, head, visits).unflatten(0, weights.shape[:2])


def features_at(
    volume: Volume,
    head: VoxelHead,
    points_m: Float[Tensor, "batch point 3"],
    *,
    align_corners: bool,
) -> Float[Tensor, "batch point out"]:
    """Unit feature at each point, interpolated between unit vectors of voxels; 0 outside."""
    visits = point_visits(points_m, volume.box, volume.cells, align_corners)
    return visited_features(volume, head, visits).unflatten(0, points_m.shape[:2])


def visited_features(volume: Volume, head: VoxelHead, visits: Visits) -> Float[Tensor, "ray out"]:
    """Unit feature of every ray (or point) of a sparse matrix of visits; 0 without visits."""
    touched, row = number_touched(visits.voxel, volume.density.numel())
    rows, inverse = unit_rows(gather_rows(volume.features.flatten(0, 3), touched), head)
    both = torch.cat([rows, inverse[:, None]], dim=1)
    seen = composite_rows(both, visits.share, row, visits.begin)
    return features_of_rays(seen[:, :-1].to(rows.dtype), seen[:, -1], head.last)


def sparse_coefficients(
    volume: Volume, head: VoxelHead, samples: Samples
) -> Float[Tensor, "batch x y z 27"]:
    """Harmonic coefficients, after their sigmoid, where samples read them; zero elsewhere.

    Colours are clipped per sample, so nothing composites before the last layer; but this volume
    has 27 channels, not 512.
    """
    with torch.no_grad():
        ones = torch.ones_like(samples.centres_m)
        visited = merge_visits(ones, samples.points_m, volume.box, volume.cells).voxel
        touched, _ = number_touched(visited, volume.density.numel())
    rows = head(gather_rows(volume.features.flatten(0, 3), touched)).sigmoid()
    flat = rows.new_zeros(volume.density.numel(), rows.shape[1]).index_copy(0, touched, rows)
    return flat.view(*volume.density.shape, -1)
