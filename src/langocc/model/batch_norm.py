# SPDX-License-Identifier: Apache-2.0
"""Batch norms of images and volumes that take shortcut and ReLU along where that is faster."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from langocc.model.activation import ActivatingNorm, added_relu
from langocc.model.fused import runs_triton


class _FusedNorm(ActivatingNorm, _BatchNorm):
    """torch's norm; in training on a GPU, one operation with what stands behind it.

    A norm of another class around the same parameters and buffers is the same to its neighbours.
    """

    def forward(self, input: Float[Tensor, "batch channel *size"]) -> Tensor:
        """`input`, normalised."""
        if not self._is_fused(input):
            return super().forward(input)
        from langocc.model.triton_norm import triton_norm  # Triton is optional

        return triton_norm(self, input, activates=False)

    def activated(
        self, x: Float[Tensor, "batch channel *size"], shortcut: Tensor | None
    ) -> Float[Tensor, "batch channel *size"]:
        """As `activation.activated`."""
        if not self._is_fused(x):
            return added_relu(self(x), shortcut)
        from langocc.model.triton_norm import triton_norm  # Triton is optional

        return triton_norm(self, x, shortcut, activates=True)

    def _is_fused(self, x: Tensor) -> bool:
        if not (self.training and runs_triton(x)):
            return False
        self._check_input_dim(x)
        assert self.affine
        assert self.track_running_stats
        assert self.momentum is not None
        return True


class ImageNorm(_FusedNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d`."""


class VolumeNorm(_FusedNorm, nn.BatchNorm3d):
    """`nn.BatchNorm3d`."""
