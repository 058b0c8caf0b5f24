"""Checkpoints: what goes in comes out; what is damaged is named."""

import pytest
import torch
from torch import nn

from langocc.errors import DataError
from langocc.train.average import AverageConfig, MovingAverage
from langocc.train.checkpoint import (
    keep_last,
    load_checkpoint,
    newest_checkpoint,
    restore_optimizer,
    save_checkpoint,
)


def _trained():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    average = MovingAverage(model, AverageConfig(first_update=0))
    optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
    for _ in range(3):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().sum().backward()
        optimizer.step()
        average.update(model)
    return model, average, optimizer


def test_round_trip(tmp_path):
    model, average, optimizer = _trained()
    path = tmp_path / "step-00000003.safetensors"
    save_checkpoint(path, model, average, optimizer, {"step": 3, "config": {"a": 1}})
    loaded = load_checkpoint(path)
    assert loaded.metadata["step"] == 3
    assert loaded.metadata["updates"] == 3
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.model[name], tensor)
        assert torch.equal(loaded.average[name], average.state[name])
    other = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    other.load_state_dict(loaded.model)
    second = torch.optim.AdamW(other.parameters(), 1e-2)
    restore_optimizer(other, second, loaded.optimizer)
    features = torch.randn(8, 4)
    for net, step in ((model, optimizer), (other, second)):
        step.zero_grad()
        net(features).square().sum().backward()
        step.step()
    for ours, theirs in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_bit_flip_is_found(tmp_path):
    path = tmp_path / "step-000001.safetensors"
    save_checkpoint(path, *_trained(), {"step": 1})
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"step-000001\.safetensors.*checksum"):
        load_checkpoint(path)


def test_truncated_file_is_named(tmp_path):
    path = tmp_path / "step-000001.safetensors"
    save_checkpoint(path, *_trained(), {"step": 1})
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"step-000001\.safetensors"):
        load_checkpoint(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no such checkpoint"):
        load_checkpoint(tmp_path / "none.safetensors")


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "step-000001.safetensors"
    save_checkpoint(path, *_trained(), {"step": 1})
    before = path.read_bytes()

    def full_disk(tensors, target, metadata):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("langocc.train.checkpoint.save_file", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, *_trained(), {"step": 2})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_newest_and_keep_last(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    for step in (5, 40, 300):
        (tmp_path / f"step-{step:08d}.safetensors").touch()
    (tmp_path / ".step-000999.safetensors.1.part").touch()
    assert newest_checkpoint(tmp_path).name == "step-00000300.safetensors"
    keep_last(tmp_path, 2)
    assert sorted(p.name for p in tmp_path.glob("step*")) == [
        "step-00000040.safetensors",
        "step-00000300.safetensors",
    ]
