"""The whole way on a toy: it learns, resumes to the bit, and stops with a name when it diverges."""

import json
import signal
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from langocc.batch import Batch
from langocc.errors import ConfigError
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
from langocc.presets import PRESETS
from langocc.render.config import RenderConfig
from langocc.train.average import AverageConfig
from langocc.train.checkpoint import load_checkpoint, newest_checkpoint
from langocc.train.config import TrainConfig, config_as_dict, config_from_dict, read_config
from langocc.train.loop import DivergedError, Training
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


def new_training(folder, config=CONFIG, **kwargs) -> Training:
    return Training(
        config,
        RunFolder(folder),
        samples=ToyStreet(**kwargs),
        device=torch.device("cpu"),
        facts={"teacher": "toy"},
    )


def losses_of(folder) -> list[float]:
    return [json.loads(line)["total"] for line in (folder / "metrics.jsonl").open()]


def test_it_learns(tmp_path):
    config = replace(CONFIG, steps=60, checkpoint_steps=100)
    new_training(tmp_path, config).fit(lambda _: None)
    losses = losses_of(tmp_path)
    assert np.mean(losses[-6:]) < 0.6 * np.mean(losses[:6])


def test_a_killed_run_continues_to_the_bit(tmp_path):
    new_training(tmp_path / "whole").fit(lambda _: None)

    class KilledError(Exception):
        pass

    def kill(progress):
        if progress.step == 5:  # two steps after the checkpoint of step 3
            raise KilledError

    with pytest.raises(KilledError):
        new_training(tmp_path / "killed").fit(kill)
    second = new_training(tmp_path / "killed")
    assert second.resume()
    assert second.step == 3
    second.fit(lambda _: None)
    assert losses_of(tmp_path / "killed") == losses_of(tmp_path / "whole")
    files = [
        tmp_path / name / "checkpoints" / "step-00000008.safetensors"
        for name in ("whole", "killed")
    ]
    whole, killed = (load_checkpoint(file) for file in files)
    assert whole.metadata["sha256"] == killed.metadata["sha256"]


def test_a_signal_saves_the_last_whole_step(tmp_path):
    training = new_training(tmp_path)

    def interrupt(progress):
        if progress.step == 4:
            signal.raise_signal(signal.SIGTERM)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        training.fit(interrupt)
    # The signal comes after step 4 is logged; its checkpoint is written before the loop ends.
    assert newest_checkpoint(training.run.checkpoints).name == "step-00000004.safetensors"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_loss_that_is_no_number_names_term_and_frame(tmp_path):
    training = new_training(tmp_path, poison=2)
    with pytest.raises(DivergedError, match=r"'(total|feature)' is nan.*frame-2"):
        training.fit(lambda _: None)
    for path in training.run.checkpoints.glob("*.safetensors"):
        assert all(t.isfinite().all() for t in load_checkpoint(path).model.values())


def test_settings_round_trip():
    assert config_from_dict(config_as_dict(CONFIG), "memory") == CONFIG


def test_a_typo_in_a_settings_file_is_named(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("loss: {opacity_wait: 0.1}\n")
    with pytest.raises(ConfigError, match=r"settings\.yaml.*loss\.opacity_wait"):
        read_config(path, CONFIG)


def test_a_settings_file_lies_over_the_preset(tmp_path):
    path = tmp_path / "settings.yaml"
    path.write_text("loss: {opacity_weight: 0.1}\nsteps: 5\n")
    config = read_config(path, CONFIG)
    assert config == replace(CONFIG, steps=5, loss=replace(CONFIG.loss, opacity_weight=0.1))


@pytest.mark.parametrize("name", ["full", "reduced", "rgb", "tiny"])
def test_presets_survive_json(name):
    preset = PRESETS[name]
    text = json.dumps(config_as_dict(preset))
    assert config_from_dict(json.loads(text), "memory") == preset
