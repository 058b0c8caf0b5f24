# SPDX-License-Identifier: Apache-2.0
"""A field whose answers are prepared for every voxel: a grid and texts cost next to nothing."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from langocc.deploy.answers import Asked, fused_answers
from langocc.deploy.texts import OneText, cosines, folded_queries
from langocc.field import FREE, OccupiedVoxels, VoxelField
from langocc.render.volume import VoxelHead


@dataclass(frozen=True)
class Prepared:
    """What the language head says of every voxel of a scene, as far as no text is needed.

    Attributes:
        hidden: Input of the head's last layer.
        inverse: One over the norm of the feature that `hidden` leads to.
        vectors: Class vectors that were asked for.
        best: Index of the best of them, whether the voxel is free or not.
        text: Answers one text quickly, where it can: of these very tensors.
    """

    hidden: Float[Tensor, "voxel hidden"]
    inverse: Float[Tensor, " voxel"]
    vectors: Float[Tensor, "class out"]
    best: Int[Tensor, " voxel"]
    text: OneText | None = None


@dataclass(frozen=True)
class PreparedField(VoxelField):
    """A field of one scene with its answers. Its tensors are the engine's own: see `Fast`."""

    prepared: Prepared | None = None

    @torch.no_grad()
    def query(
        self, vectors: Float[Tensor, "query out"], chunk_voxels: int = 65536
    ) -> Float[Tensor, "1 query x y z"]:
        """As `VoxelField.query`; nothing is worked on in chunks."""
        if self.prepared is None:
            return super().query(vectors, chunk_voxels)
        said, text = self.prepared, self.prepared.text
        if text is not None and text.answers(vectors, said.hidden, said.inverse):
            found = text(vectors)
        else:
            found = cosines(vectors, said.hidden, said.inverse, self._language_head().last)
        return found.reshape(1, len(vectors), *self.density.shape[1:])

    @torch.no_grad()
    def classes(
        self,
        vectors: Float[Tensor, "class out"],
        threshold: float = 0.1,
        chunk_voxels: int = 65536,
    ) -> Int[Tensor, "1 x y z"]:
        """As `VoxelField.classes`, at once for the class vectors that are prepared."""
        if self.prepared is None or not _are_same(vectors, self.prepared.vectors):
            return super().classes(vectors, threshold, chunk_voxels)
        best = self.prepared.best.view(self.density.shape)
        return best.masked_fill(self.density < threshold, FREE)

    @torch.no_grad()
    def occupied(self, threshold: float = 0.1, chunk_voxels: int = 65536) -> OccupiedVoxels:
        """As `VoxelField.occupied`, from what is prepared."""
        if self.prepared is None:
            return super().occupied(threshold, chunk_voxels)
        is_occupied = self.density >= threshold
        voxels = is_occupied.flatten().nonzero()[:, 0]
        inverse = self.prepared.inverse[voxels]
        rows = (self.prepared.hidden[voxels] * inverse[:, None]).to(self.prepared.hidden.dtype)
        return OccupiedVoxels(is_occupied.nonzero(), rows, inverse, self._language_head().last)


class Answering(nn.Module):
    """Prepares a language head's answers, as `answers` explains."""

    root: Tensor
    root_bias: Tensor
    rest: Tensor
    class_weight: Tensor
    class_bias: Tensor
    vectors: Tensor

    def __init__(self, head: VoxelHead, vectors: Float[Tensor, "class out"]) -> None:
        """Folds the class vectors into the head's last layer."""
        super().__init__()
        weight, bias = head.last.weight.double(), head.last.bias.double()
        q, r = torch.linalg.qr(weight)
        aligned = q.T @ bias
        vectors = vectors.to(head.last.weight)
        class_weight, class_bias = folded_queries(vectors, head.last)
        narrow = next(head.parameters()).dtype
        buffers = {
            "root": r.to(narrow),
            "root_bias": aligned.float(),
            "rest": (bias.square().sum() - aligned.square().sum()).clamp(min=0).float(),
            "class_weight": class_weight.to(narrow),
            "class_bias": class_bias.float(),
            "vectors": vectors.float(),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value.detach())
        self.head = head

    @torch.no_grad()
    def forward(
        self, rows: Float[Tensor, "voxel feature"]
    ) -> tuple[Float[Tensor, "voxel hidden"], Float[Tensor, " voxel"], Int[Tensor, " voxel"]]:
        """Hidden features, one over the norms, best classes."""
        hidden = self.head.hidden(rows)
        weights = self.root.to(hidden.dtype), self.class_weight.to(hidden.dtype)
        asked = Asked(weights[0], self.root_bias, self.rest, weights[1], self.class_bias)
        return hidden, *fused_answers(hidden, asked)


def _are_same(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.shape == other.shape and torch.equal(one.to(other), other))
