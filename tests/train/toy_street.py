"""A toy street to train on, and a network small enough for it."""

import json

import torch

from langocc.batch import Batch
from langocc.features.sample import SampleConfig
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rays import RayBatch
from langocc.geometry.rig import CameraRig
from langocc.model.config import (
    BackboneConfig,
    DepthConfig,
    EncoderConfig,
    HeadConfig,
    ModelConfig,
)
from langocc.render.config import RenderConfig
from langocc.train.average import AverageConfig
from langocc.train.config import TrainConfig
from langocc.train.loop import Training
from langocc.train.run_folder import RunFolder
from langocc.train.schedule import ScheduleConfig

CONFIG = TrainConfig(
    model=ModelConfig(
        input_size=(32, 64),
        history_frames=0,
        stereo=False,
        grid=VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), 1.0),
        backbone=BackboneConfig(width=4, blocks=(1, 1, 1, 1)),
        neck_channels=8,
        depth=DepthConfig(step_m=4.0, context_channels=4, pyramid_channels=4, dropout=0.5),
        encoder=EncoderConfig(channels=(4, 8, 8), blocks=(1, 1, 1), out_channels=4),
        head=HeadConfig(feature_channels=8, hidden_channels=8, embedding_channels=6),
    ),
    sample=SampleConfig(input_size=(64, 32), frames=1, rays=64),
    render=RenderConfig(far_m=12.0, proposals=8, samples=12),
    schedule=ScheduleConfig(base_lr=3e-3, warmup_iterations=2),
    average=AverageConfig(first_update=0),
    batch_size=2,
    steps=8,
    checkpoint_steps=3,
    log_steps=1,
)
"""Small, but with every stage but stereo, and with dropout and jitter drawing random numbers."""


class ToyStreet:
    """Two cameras that look forward and back; what is ahead looks one way, behind another."""

    def __init__(self, poison: int | None = None):
        self.poison = poison

    def __len__(self):
        return 6

    def __getitem__(self, number: int) -> Batch:
        generator = torch.Generator().manual_seed(number)
        images = torch.randn(1, 1, 2, 3, 32, 64, generator=generator)
        directions = torch.randn(1, 64, 3, generator=generator)
        directions = torch.nn.functional.normalize(directions, dim=-1)
        ahead = directions[..., :1] > 0
        features = torch.where(ahead, torch.eye(6)[0], torch.eye(6)[1])
        if number == self.poison:
            features = features * torch.nan
        rays = RayBatch(torch.zeros_like(directions), directions, features)
        return Batch(images, toy_rig(), (f"frame-{number}",), rays)


def toy_rig() -> CameraRig:
    intrinsics = torch.tensor([[32.0, 0, 32], [0, 32, 16], [0, 0, 1]]).double()
    ahead = torch.tensor([[0.0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 1], [0, 0, 0, 1]]).double()
    back = torch.diag(torch.tensor([-1.0, -1, 1, 1])).double() @ ahead
    return CameraRig(
        intrinsics=intrinsics.expand(1, 1, 2, 3, 3),
        ego_from_cam=torch.stack([ahead, back])[None, None],
        global_from_ego=torch.eye(4).double().expand(1, 1, 2, 4, 4),
        input_from_image=torch.eye(3).double().expand(1, 2, 3, 3),
        augmented_from_ego=torch.eye(3).double()[None],
        global_from_key=torch.eye(4).double()[None],
    )


def new_training(folder, config=CONFIG, processes=None, device="cpu", **kwargs) -> Training:
    return Training(
        config,
        RunFolder(folder),
        samples=ToyStreet(**kwargs),
        device=torch.device(device),
        facts={"teacher": "toy"},
        processes=processes,
    )


def losses_of(folder) -> list[float]:
    return [json.loads(line)["total"] for line in (folder / "metrics.jsonl").open()]
