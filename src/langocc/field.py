# SPDX-License-Identifier: Apache-2.0
"""The voxel field: what the network says about the space around the vehicle."""

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.render.config import RenderConfig
from langocc.render.lookup import Box, lookup
from langocc.render.readable import usable_rays
from langocc.render.rendered import RenderedRays
from langocc.render.renderer import features_at, render_rays
from langocc.render.rows import unit_rows
from langocc.render.sampling import draw_uniforms
from langocc.render.volume import Volume, VoxelHead, refuse_unless

__all__ = ["FREE", "OccupiedVoxels", "PointAnswers", "VoxelField", "VoxelHead"]

FREE = -1
"""Class of a voxel that is free space, as `VoxelField.classes` numbers it."""


@dataclass(frozen=True)
class PointAnswers:
    """What a field says at points.

    Attributes:
        density: Extinction, 1/m; 0 outside the grid.
        features: Unit vectors in the teacher's space; 0 outside the grid.
    """

    density: Float[Tensor, "batch point"]
    features: Float[Tensor, "batch point out"]


@dataclass(frozen=True)
class OccupiedVoxels:
    """The occupied voxels of a field, prepared so that a text query is one small matrix product.

    Attributes:
        index: Scene, x, y, z of each voxel.
        rows: Hidden features over the norm of the feature they lead to.
        inverse: One over that norm.
        last: Last layer of the language head.
    """

    index: Int[Tensor, "voxel 4"]
    rows: Float[Tensor, "voxel hidden"]
    inverse: Float[Tensor, " voxel"]
    last: nn.Linear

    @torch.no_grad()
    def query(self, vectors: Float[Tensor, "query out"]) -> Float[Tensor, "query voxel"]:
        """Cosine of each voxel's feature and each vector (any length but zero)."""
        return _cosines(self.rows, self.inverse, functional.normalize(vectors, dim=-1), self.last)


@dataclass(frozen=True)
class VoxelField:
    """Density and features of a batch of scenes on one grid, in the (augmented) key ego frame.

    Attributes:
        grid: The box and its cells.
        density: Extinction per voxel, 1/m: the density head after its sigmoid, so below 1 unless
            the model scales it.
        features: Output of the final convolution, input of `head`.
        head: Language head (raw output: an embedding) or rgb head (raw output: 27 coefficients
            before the sigmoid). None: a field that knows density alone.
        variant: What `head` speaks.
        values_on_faces: Rays read the outermost values on the faces of the box (*quirk*). Else:
            every value at the centre of its cell, where labels and lifting have it.
    """

    grid: VoxelGrid
    density: Float[Tensor, "batch x y z"]
    features: Float[Tensor, "batch x y z feature"]
    head: VoxelHead | None = None
    variant: Literal["language", "rgb"] = "language"
    values_on_faces: bool = True

    @property
    def volume(self) -> Volume:
        """What the renderer sees of the field: values from face to face of a box."""
        box = Box(self.grid.lower_m, self.grid.upper_m)
        if not self.values_on_faces:
            box = _box_of_centres(self.grid)
        return Volume(self.density, self.features, self.head, self.variant, box)

    def render(
        self,
        rays: RayBatch,
        config: RenderConfig | None = None,
        uniforms: Float[Tensor, "batch ray inner"] | None = None,
        generator: torch.Generator | None = None,
    ) -> RenderedRays:
        """What rays see. Differentiable in density, features and head, not in the rays.

        A ray without direction, or with coordinates that are not finite, sees nothing; so does one
        that misses the grid: opacity 0, feature 0, depth `far_m`.

        Args:
            rays: Origins in metres and unit directions, in the field's frame.
            config: Sampling; None: as published.
            uniforms: Jitter of the inner proposal edges, numbers in [0, 1); None: drawn.
            generator: Draws the jitter; on the field's device.

        Raises:
            ValueError: density that is not finite, or another number of scenes in rays and field.
        """
        config = RenderConfig() if config is None else config
        batch, count, _ = rays.origins.shape
        if batch != self.density.shape[0]:
            raise ValueError(f"rays: expected {self.density.shape[0]} scenes, got {batch}")
        if uniforms is None:
            uniforms = draw_uniforms(batch, count, config, self.density.device, generator)
        origins, directions = usable_rays(rays.origins, rays.directions)
        return render_rays(self.volume, origins, directions, uniforms, config)

    def at(
        self,
        points_m: Float[Tensor, "batch point 3"],
        align_corners: bool | None = None,
        chunk_points: int = 65536,
    ) -> PointAnswers:
        """Density and unit features at points, trilinear between voxels.

        Features are interpolated between the unit vectors of voxels, as rendering does. Only the
        voxels around the points go through the head.

        Args:
            points_m: In the field's frame, metres.
            align_corners: True puts the outermost values onto the faces of the box, as published
                rendering does; False every value at the centre of its cell, as the published
                retrieval does (*quirk*: they differ). None: as this field's rays.
            chunk_points: Points of a scene worked on at a time.

        Raises:
            ValueError: the field does not speak language, or its density is not finite.

        Source: method.md sections 4 and 8.
        """
        self._language_head()
        self._check_finite()
        box = Box(self.grid.lower_m, self.grid.upper_m)
        volume = replace(self.volume, box=box)
        on_faces = self.values_on_faces if align_corners is None else align_corners
        density = lookup(self.density[..., None], points_m, box, on_faces)[..., 0]
        chunks = [
            features_at(volume, part, align_corners=on_faces)
            for part in points_m.split(chunk_points, dim=1)
        ]
        return PointAnswers(density, torch.cat(chunks, dim=1))

    @torch.no_grad()
    def query(
        self, vectors: Float[Tensor, "query out"], chunk_voxels: int = 65536
    ) -> Float[Tensor, "batch query x y z"]:
        """Cosine of every voxel's feature and each vector (any length but zero).

        Raises:
            ValueError: the field does not speak language.

        Source: method.md section 9.
        """
        head = self._language_head()
        unit = functional.normalize(vectors, dim=-1)
        chunks = [
            _cosines(*unit_rows(features, head), unit, head.last)
            for features in self.features.flatten(0, 3).split(chunk_voxels)
        ]
        cosines = torch.cat(chunks, dim=1).view(len(vectors), *self.density.shape)
        return cosines.transpose(0, 1)

    @torch.no_grad()
    def classes(
        self,
        vectors: Float[Tensor, "class out"],
        threshold: float = 0.1,
        chunk_voxels: int = 65536,
    ) -> Int[Tensor, "batch x y z"]:
        """Index of the best vector for every occupied voxel, `FREE` elsewhere.

        The norm of a voxel's feature does not change its best vector, so it is never formed.
        Scaling a vector weighs its class; the mean of vectors scores by mean similarity.

        Args:
            vectors: One per class.
            threshold: Density from which a voxel is occupied, 1/m.
            chunk_voxels: Voxels worked on at a time.

        Raises:
            ValueError: the field does not speak language, or its density is not finite.

        Source: method.md sections 8 and 9.
        """
        head = self._language_head()
        self._check_finite()
        occupied = (self.density >= threshold).flatten().nonzero()[:, 0]
        weight, bias = _fold(vectors, head.last)
        features = self.features.flatten(0, 3)
        best = torch.full((self.density.numel(),), FREE, device=self.density.device)
        for part in occupied.split(chunk_voxels):
            hidden = head.hidden(features[part])
            logits = hidden @ weight.T.to(hidden.dtype) + bias.to(hidden.dtype)
            best[part] = logits.argmax(-1)
        return best.view(self.density.shape)

    @torch.no_grad()
    def occupied(self, threshold: float = 0.1, chunk_voxels: int = 65536) -> OccupiedVoxels:
        """Prepares the voxels of density >= `threshold` (1/m) for many text queries.

        Raises:
            ValueError: the field does not speak language, or its density is not finite.
        """
        head = self._language_head()
        self._check_finite()
        is_occupied = self.density >= threshold
        features = self.features[is_occupied]
        parts = [unit_rows(part, head) for part in features.split(chunk_voxels)]
        rows, inverse = (torch.cat(column) for column in zip(*parts, strict=True))
        return OccupiedVoxels(is_occupied.nonzero(), rows, inverse, head.last)

    def _language_head(self) -> VoxelHead:
        if self.head is None or self.variant != "language":
            raise ValueError(
                f"field: expected a language head, got variant {self.variant!r} "
                f"with{'out a' if self.head is None else ' its'} head"
            )
        return self.head

    def _check_finite(self) -> None:
        refuse_unless(bool(self.density.isfinite().all()))


def _box_of_centres(grid: VoxelGrid) -> Box:
    """The box whose faces the outermost cell centres lie on.

    An axis of one cell has no distance between values: it is read alike everywhere, as with values
    on the faces.
    """
    edges = zip(grid.shape, grid.edges_m, strict=True)
    margins = [edge_m / 2 if cells > 1 else 0.0 for cells, edge_m in edges]
    lower_x, lower_y, lower_z = (e + m for e, m in zip(grid.lower_m, margins, strict=True))
    upper_x, upper_y, upper_z = (e - m for e, m in zip(grid.upper_m, margins, strict=True))
    return Box((lower_x, lower_y, lower_z), (upper_x, upper_y, upper_z))


def _fold(
    vectors: Float[Tensor, "query out"], last: nn.Linear
) -> tuple[Float[Tensor, "query hidden"], Float[Tensor, " query"]]:
    """Queries folded into the last layer: E (W h + b) = (E W) h + E b."""
    vectors = vectors.to(last.weight)
    bias = vectors.new_zeros(len(vectors)) if last.bias is None else vectors @ last.bias
    return vectors @ last.weight, bias


def _cosines(
    rows: Float[Tensor, "voxel hidden"],
    inverse: Float[Tensor, " voxel"],
    unit_vectors: Float[Tensor, "query out"],
    last: nn.Linear,
) -> Float[Tensor, "query voxel"]:
    """Cosines of unit vectors and the features that scaled hidden rows lead to."""
    weight, bias = _fold(unit_vectors, last)
    return (weight.to(rows.dtype) @ rows.T).to(inverse) + bias[:, None] * inverse
