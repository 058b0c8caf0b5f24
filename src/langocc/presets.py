# SPDX-License-Identifier: Apache-2.0
"""The published settings and a small one, as values."""

from langocc.geometry.grid import VoxelGrid
from langocc.model.config import (
    BackboneConfig,
    DepthConfig,
    EncoderConfig,
    HeadConfig,
    ModelConfig,
)

FULL_MODEL = ModelConfig()
"""Features in the teacher's own 512 dimensions."""

REDUCED_MODEL = ModelConfig(head=HeadConfig(embedding_channels=128, reduced_from=512))
"""Features in 128 dimensions, by a reducer that is trained on the vocabulary."""

RGB_MODEL = ModelConfig(variant="rgb")
"""Colours instead of features: geometry alone."""

TINY_MODEL = ModelConfig(
    input_size=(96, 256),
    grid=VoxelGrid(cell_m=0.8),
    backbone=BackboneConfig(width=16, blocks=(1, 1, 1, 1)),
    neck_channels=64,
    depth=DepthConfig(step_m=1.0, context_channels=16, pyramid_channels=24),
    encoder=EncoderConfig(channels=(16, 32, 64), blocks=(1, 1, 1), out_channels=16),
    head=HeadConfig(feature_channels=64, hidden_channels=64),
)
"""The same network made small: a training step on two processor cores takes half a second."""

MODELS = {
    "full": FULL_MODEL,
    "reduced": REDUCED_MODEL,
    "rgb": RGB_MODEL,
    "tiny": TINY_MODEL,
}
"""Every network preset by name."""
