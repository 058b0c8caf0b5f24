"""A small predictor and a drive of made-up frames, without any file."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from langocc.deploy.arrivals import augmentations_of, cut_pictures
from langocc.features.input_images import normalised
from langocc.features.sample import SampleConfig, camera_rig
from langocc.field import VoxelField
from langocc.geometry.grid import VoxelGrid
from langocc.geometry.rigid import rigid
from langocc.model.config import BackboneConfig, DepthConfig, EncoderConfig, HeadConfig, ModelConfig
from langocc.model.langocc import LangOcc
from langocc.model.quirks import NONE, PUBLISHED
from langocc.predictor import Predictor
from langocc.scenes.frame import Camera, Frame
from langocc.train.config import TrainConfig

EGO_FROM_OPTICAL = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])
IMAGE = (160, 90)
MODEL = ModelConfig(
    input_size=(48, 96),
    history_frames=2,
    grid=VoxelGrid((-10.0, -8.0, -1.0), (10.0, 8.0, 3.0), cell_m=1.0),
    backbone=BackboneConfig(width=16, blocks=(1, 1, 1, 1)),
    neck_channels=64,
    depth=DepthConfig(1.0, 13.0, 1.0, context_channels=8, pyramid_channels=24),
    encoder=EncoderConfig(channels=(16, 32, 64), blocks=(1, 1, 1), out_channels=16),
    head=HeadConfig(feature_channels=64, hidden_channels=64),
)
"""The published shape made small: two earlier frames, one of them only for stereo."""


def predictor(
    quirks: str = "published", base: ModelConfig = MODEL, device: str = "cpu", **changes: object
) -> Predictor:
    """Weights as training starts from, batch norms that have seen something."""
    model = replace(base, quirks=PUBLISHED if quirks == "published" else NONE, **changes)
    sample = SampleConfig(
        input_size=model.input_size[::-1], frames=model.input_frames, augment=None, rays=0
    )
    torch.manual_seed(0)
    network = LangOcc(model)
    for module in network.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.uniform_(-0.2, 0.2)
            module.running_var.uniform_(0.5, 2.0)
    checkpoint = {"file": "made-up", "step": 0, "sha256": ""}
    config = TrainConfig(model=model, sample=sample)
    return Predictor(network.to(device).eval(), config, {}, checkpoint, torch.device(device))


def drive(
    count: int,
    cams: int = 3,
    interval_s: float = 0.5,
    scene: str = "drive",
    image: tuple[int, int] = IMAGE,
) -> list[Frame]:
    """A vehicle that turns and drives on; cameras expose one after another."""
    return [_frame(index, cams, interval_s, scene, image) for index in range(count)]


def _frame(index: int, cams: int, interval_s: float, scene: str, image: tuple[int, int]) -> Frame:
    def pose(time_s: float) -> np.ndarray:
        angle = 0.05 * time_s
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        return rigid(turn, [600 + 6 * time_s, 1600 + 0.3 * time_s, 0.2])

    scale = image[0] / IMAGE[0]
    time_s = 1000 + index * interval_s
    cameras = {}
    for cam in range(cams):
        angle = 1 - 2 * np.pi * cam / cams
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        exposed_s = time_s - 0.01 * cam
        cameras[f"cam{cam}"] = Camera(
            Path(f"nowhere/{index}-{cam}.jpg"),
            *image,
            np.diag([scale, scale, 1])
            @ np.array([[126.0 + cam, 0, 80], [0, 126 + cam, 45], [0, 0, 1]]),
            rigid(turn @ EGO_FROM_OPTICAL, [1.5 * cos, 1.5 * sin, 1.5]),
            pose(exposed_s),
            int(exposed_s * 1e6),
        )
    token = f"{scene}-{index}"
    return Frame(token, scene, int(time_s * 1e6), cameras, pose(time_s + 0.02))


def pictures(frame: Frame) -> dict[str, np.ndarray]:
    """Random pixels, the same for the same frame."""
    generator = np.random.default_rng(zlib.crc32(frame.token.encode()))
    camera = next(iter(frame.cameras.values()))
    shape = (camera.height, camera.width, 3)
    return {name: generator.integers(0, 256, shape, dtype=np.uint8) for name in frame.cameras}


@torch.no_grad()
def whole_pass(made: Predictor, shown: list[Frame]) -> VoxelField:
    """What one stateless forward pass says of a frame and its past, newest first."""
    size = made.config.sample.input_size
    inputs = [cut_pictures(frame, pictures(frame), (), size, "exact").inputs for frame in shown]
    images = normalised(torch.stack(inputs)[None], made.config.sample.swap_rgb).to(made.device)
    rig = camera_rig(shown[0], shown, augmentations_of(shown[0], size), np.eye(3))
    return made.model(images, rig.to(made.device))
