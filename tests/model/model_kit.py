"""A small network and a rig that stands like nuScenes', for tests."""

import math

import numpy as np
import torch
from torch import Tensor

from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rig import CameraRig
from langocc.geometry.rigid import rigid
from langocc.model.config import (
    BackboneConfig,
    DepthConfig,
    EncoderConfig,
    HeadConfig,
    ModelConfig,
)
from langocc.model.quirks import PUBLISHED

EGO_FROM_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
"""Optical axes (x right, y down, z ahead) in a frame that looks ahead."""
SMALL = ModelConfig(
    input_size=(48, 96),
    history_frames=2,
    stereo=True,
    grid=VoxelGrid((-10.0, -8.0, -1.0), (10.0, 8.0, 3.0), cell_m=1.0),
    backbone=BackboneConfig(width=16, blocks=(1, 1, 1, 1)),
    neck_channels=64,
    depth=DepthConfig(1.0, 13.0, 1.0, context_channels=8, pyramid_channels=24),
    encoder=EncoderConfig(channels=(16, 32, 64), blocks=(1, 1, 1), out_channels=16),
    head=HeadConfig(feature_channels=64, hidden_channels=64),
    quirks=PUBLISHED,
)
"""The full network made small, on a small box: a forward pass takes some milliseconds."""


def ring_rig(config: ModelConfig, batch: int = 1, cams: int = 6, speed_m: float = 2.0) -> CameraRig:
    """Cameras all round; the vehicle drives `speed_m` a frame, far from the world's origin."""
    height, width = config.input_size
    shape = (batch, config.input_frames, cams)
    scale = width / 1600
    intrinsics = torch.tensor([[1260.0, 0, 800], [0, 1260, 450], [0, 0, 1]]).double()
    bottom = torch.tensor([[scale, 0, 0], [0, scale, height - 900 * scale], [0, 0, 1]]).double()
    extrinsics = []
    for cam in range(cams):
        angle = 1 - 2 * math.pi * cam / cams
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        extrinsics.append(rigid(turn @ EGO_FROM_OPTICAL, [1.5 * cos, 1.5 * sin, 1.5]))
    poses = torch.eye(4).double().repeat(*shape, 1, 1)
    for frame in range(config.input_frames):
        poses[:, frame, :, :3, 3] = torch.tensor([600.0 - speed_m * frame, 1600.0, 0.0]).double()
    return CameraRig(
        intrinsics=intrinsics.expand(*shape, 3, 3).clone(),
        ego_from_cam=torch.from_numpy(np.stack(extrinsics)).expand(*shape, 4, 4).clone(),
        global_from_ego=poses,
        input_from_image=bottom.expand(batch, cams, 3, 3).clone(),
        augmented_from_ego=torch.eye(3).double().expand(batch, 3, 3).clone(),
    )


def random_images(config: ModelConfig, batch: int = 1, cams: int = 6, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, config.input_frames, cams, 3, *config.input_size)
    return torch.randn(shape, generator=generator)
