# SPDX-License-Identifier: Apache-2.0
"""Samples, weights and the sparse matrix of rays x voxels, one kernel each."""

from dataclasses import dataclass
from typing import Any

import torch
import triton
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from langocc.render import ray_kernels
from langocc.render.config import RenderConfig
from langocc.render.lookup import Box

Context = Any  # autograd contexts carry whatever `forward` puts on them

PLACE = {"num_warps": 1}
WEIGH = {"num_warps": 8}
WEIGH_BACKWARD = {"num_warps": 4}
"""Warps that work on a ray, by kernel: the fastest on an H200 (docs/performance.md)."""


@dataclass(frozen=True)
class RaySpace:
    """Rays and the space they run through, as the kernels take them.

    Attributes:
        origins: Metres; scenes of the batch one after another.
        directions: Unit vectors.
        rays: Rays of each scene.
        cells: Voxels along x, y, z.
        box: What they fill.
        config: Range and number of samples.
    """

    origins: Float[Tensor, "ray 3"]
    directions: Float[Tensor, "ray 3"]
    rays: int
    cells: tuple[int, int, int]
    box: Box
    config: RenderConfig

    @property
    def arguments(self) -> tuple[int | float, ...]:
        """Rays of a scene, range, the map from metres to voxel indices, voxels.

        Ranges and maps are floats, whatever they were given as: Triton compiles by type.
        """
        lower, upper = self.box.lower_m, self.box.upper_m
        scale = [(n - 1) / (b - a) for n, a, b in zip(self.cells, lower, upper, strict=True)]
        metres = map(float, (self.config.near_m, self.config.far_m, *lower, *scale))
        return (max(self.rays, 1), *metres, *self.cells)


@dataclass(frozen=True)
class SparseRays:
    """What every ray takes from every voxel; a ray uses the first 8 * runs of its slots.

    Attributes:
        share: Weight of a voxel in a ray; differentiable.
        voxel: Flat voxel index over [batch, x, y, z]; -1: outside the grid, or named by the run
            before.
        runs: Runs of each ray.
        visits: How many slots name each voxel.
    """

    share: Float[Tensor, "ray slot"]
    voxel: Int[Tensor, "ray slot"]
    runs: Int[Tensor, " ray"]
    visits: Int[Tensor, " voxel"]


@torch.no_grad()
def place(
    density: Float[Tensor, "batch x y z"],
    space: RaySpace,
    uniforms: Float[Tensor, "ray inner"],
) -> tuple[Float[Tensor, "ray sample"], Int[Tensor, "ray sample"]]:
    """Sample positions in metres, and the cell that each lies in (-1: away from the grid).

    Equal to `readable.place_samples`.
    """
    samples, proposals = space.config.samples, space.config.proposals
    rays = space.origins.shape[0]
    centres = density.new_empty(rays, samples)
    cells = torch.empty(rays, samples, dtype=torch.int32, device=density.device)
    if rays:
        ray_kernels.place_kernel[(rays,)](
            density.contiguous(), space.origins, space.directions, uniforms.contiguous(),
            centres, cells, *space.arguments,
            PROPOSALS=proposals, SAMPLES=samples,
            PROPOSAL_BLOCK=triton.next_power_of_2(proposals),
            SAMPLE_BLOCK=triton.next_power_of_2(samples), **PLACE,
        )  # fmt: skip
    return centres, cells


class _Weigh(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Context, density: Tensor, space: RaySpace, centres: Tensor, cells: Tensor
    ) -> tuple[Tensor, ...]:
        (rays, samples), device = centres.shape, density.device
        sigma, weights = torch.empty_like(centres), torch.empty_like(centres)
        share = density.new_zeros(rays, samples * 8)
        voxel = torch.empty(rays, samples * 8, dtype=torch.int32, device=device)
        runs = torch.empty(rays, dtype=torch.int32, device=device)
        visits = torch.zeros(density.numel(), dtype=torch.int32, device=device)
        if rays:
            ray_kernels.weigh_kernel[(rays,)](
                density.contiguous(), space.origins, space.directions, centres, cells,
                sigma, weights, share, voxel, runs, visits, *space.arguments,
                SAMPLES=samples, SAMPLE_BLOCK=triton.next_power_of_2(samples), **WEIGH,
            )  # fmt: skip
        ctx.space, ctx.shape = space, density.shape
        ctx.save_for_backward(sigma, centres, cells)
        ctx.mark_non_differentiable(sigma, voxel, runs, visits)
        return weights, share, sigma, voxel, runs, visits

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Context, d_weights: Tensor, d_share: Tensor, *_: Tensor
    ) -> tuple[Tensor | None, ...]:
        sigma, centres, cells = ctx.saved_tensors
        space: RaySpace = ctx.space
        d_density = torch.zeros(ctx.shape, dtype=torch.float32, device=sigma.device)
        rays, samples = centres.shape
        if rays:
            ray_kernels.weigh_backward_kernel[(rays,)](
                sigma, space.origins, space.directions, centres, cells,
                d_weights.contiguous(), d_share.contiguous(), d_density, *space.arguments,
                SAMPLES=samples, SAMPLE_BLOCK=triton.next_power_of_2(samples), **WEIGH_BACKWARD,
            )  # fmt: skip
        return d_density, None, None, None


def weigh(
    density: Float[Tensor, "batch x y z"],
    space: RaySpace,
    centres_m: Float[Tensor, "ray sample"],
    cells: Int[Tensor, "ray sample"],
) -> tuple[Float[Tensor, "ray sample"], Float[Tensor, "ray sample"], SparseRays]:
    """Weights and densities of samples, and the merged visits of every ray.

    Weights and shares are differentiable in the density. Equal to `compositing.ray_weights` of
    looked-up densities, and, voxel by voxel, to `visits.merge_visits`.
    """
    weights, share, sigma, voxel, runs, visits = _Weigh.apply(density, space, centres_m, cells)  # type: ignore[misc]
    return weights, sigma, SparseRays(share, voxel, runs, visits)
