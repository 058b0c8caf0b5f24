# SPDX-License-Identifier: Apache-2.0
"""The published settings and two smaller ones, as values."""

from dataclasses import replace
from typing import Literal

from langocc.features.sample import SampleConfig
from langocc.geometry.grid import VoxelGrid
from langocc.model.config import (
    BackboneConfig,
    DepthConfig,
    EncoderConfig,
    HeadConfig,
    ModelConfig,
)
from langocc.model.quirks import NONE, PUBLISHED
from langocc.render.config import RenderConfig
from langocc.train.average import AverageConfig
from langocc.train.config import TrainConfig
from langocc.train.schedule import ScheduleConfig

FULL_MODEL = ModelConfig()
"""Features in the teacher's own 512 dimensions."""

REDUCED_MODEL = ModelConfig(head=HeadConfig(embedding_channels=128, reduced_from=512))
"""Features in 128 dimensions, by a reducer that is trained on the vocabulary."""

RGB_MODEL = ModelConfig(variant="rgb")
"""Colours instead of features: geometry alone."""

TINY_MODEL = ModelConfig(
    input_size=(144, 384),
    history_frames=1,
    grid=VoxelGrid(cell_m=0.8, cell_height_m=0.4),
    backbone=BackboneConfig(width=16, blocks=(1, 1, 1, 1)),
    neck_channels=64,
    depth=DepthConfig(step_m=1.0, context_channels=16, pyramid_channels=24),
    encoder=EncoderConfig(channels=(16, 32, 64), blocks=(1, 1, 1), out_channels=16),
    head=HeadConfig(feature_channels=64, hidden_channels=64, occupied_density=0.2),
)
"""The same network made small, for two processor cores. Cells are as high as the labels': higher
ones would hold the road and the air above it in one."""

SMALL_MODEL = replace(
    TINY_MODEL,
    input_size=(192, 512),
    history_frames=2,
    grid=VoxelGrid(),
    backbone=BackboneConfig(width=24, blocks=(2, 2, 2, 2)),
    neck_channels=96,
    depth=DepthConfig(step_m=0.5, context_channels=16, pyramid_channels=32),
    encoder=EncoderConfig(channels=(16, 32, 64), blocks=(1, 1, 2), out_channels=16),
)
"""Cells as small as the labels', and motion: 3.8 million parameters, 7.7 MB in half precision."""

MODELS = {
    "full": FULL_MODEL,
    "reduced": REDUCED_MODEL,
    "rgb": RGB_MODEL,
    "tiny": TINY_MODEL,
    "small": SMALL_MODEL,
}
"""Every network preset by name."""

Quirk = Literal["published", "none"]


def with_quirks(config: TrainConfig, quirks: Quirk) -> TrainConfig:
    """The configuration with all of the published code's oddities on, or all off."""
    is_published = quirks == "published"
    return replace(
        config,
        model=replace(config.model, quirks=PUBLISHED if is_published else NONE),
        sample=replace(
            config.sample,
            intrinsics="key" if is_published else "own",
            swap_rgb=is_published,
        ),
    )


def with_ranges(config: TrainConfig) -> TrainConfig:
    """The configuration taught by the ranges that a LiDAR measured, too.

    The field is also asked directly where rays end (`train.surfaces`), and starts opaque, at 0.5 of
    at most 5 per metre: what starts thin is seen through, and learns its surfaces late. Voxels are
    occupied from 3 per metre on; after a few hundred samples, 1.5 is better.
    """
    head = replace(config.model.head, density_scale=5.0, density_bias=-2.2, occupied_density=3.0)
    loss = replace(
        config.loss,
        opacity_weight=0.3,
        distortion_weight=0.01,
        sparsity_weight=0.03,
        surface_weight=0.3,
        surface_feature_weight=0.3,
        surface_end="point",
    )
    return replace(
        config,
        model=replace(config.model, head=head),
        sample=replace(config.sample, ranges=True),
        loss=loss,
    )


FULL = with_quirks(TrainConfig(model=FULL_MODEL), "published")
"""The published recipe of the full model."""

REDUCED = replace(FULL, model=REDUCED_MODEL, sample=replace(FULL.sample, rays=14336))
"""The published recipe of the reduced model."""

RGB = replace(
    FULL,
    model=RGB_MODEL,
    sample=replace(FULL.sample, features=False, colours=True),
)
"""The published recipe of the colour model: geometry alone."""

TINY = with_quirks(
    TrainConfig(
        model=TINY_MODEL,
        sample=SampleConfig(input_size=(384, 144), frames=2, rays=3072, cache_bytes=2_000_000_000),
        render=RenderConfig(proposals=32, samples=48),
        schedule=ScheduleConfig(base_lr=2e-3, warmup_iterations=50, decay_start=0.6),
        average=AverageConfig(first_update=0),
        batch_size=1,
        steps=600,
    ),
    "none",
)
"""Trains in minutes on two processor cores."""

SMALL = with_quirks(
    replace(
        TINY,
        model=SMALL_MODEL,
        sample=replace(TINY.sample, input_size=(512, 192), frames=3, rays=6144),
        render=RenderConfig(proposals=50, samples=64),
        schedule=replace(TINY.schedule, base_lr=1e-3, warmup_iterations=200),
        batch_size=4,
        steps=3000,
    ),
    "none",
)
"""For one GPU; what it trains answers on two processor cores in seconds."""

BEST = with_ranges(
    with_quirks(
        replace(
            FULL,
            schedule=ScheduleConfig(base_lr=5e-4, warmup_iterations=100),
            average=AverageConfig(first_update=0),
            batch_size=4,
        ),
        "none",
    )
)
"""The full network as it has found most of the city's voxels (IoU, mIoU and RayIoU, not retrieval:
docs/results.md): without quirks, faster, and taught by a LiDAR's ranges, too."""

PRESETS = {
    "full": FULL,
    "reduced": REDUCED,
    "rgb": RGB,
    "tiny": TINY,
    "small": SMALL,
    "best": BEST,
}
"""Every training preset by name."""
