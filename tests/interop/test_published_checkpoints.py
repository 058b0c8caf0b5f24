"""Published checkpoints: every entry accounted for, there and back to the bit."""

import json
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from langocc.cli.convert import Convert
from langocc.errors import ConfigError, DataError
from langocc.interop.checkpoints import read_torch_file
from langocc.interop.checkpoints_published import from_published, published_name, to_published
from langocc.model.config import HeadConfig
from langocc.model.langocc import LangOcc
from langocc.presets import MODELS, PRESETS, TINY, TINY_MODEL
from langocc.train.checkpoint import load_checkpoint

SMALL_MODEL = replace(TINY_MODEL, head=HeadConfig(64, 64))
SMALL = replace(TINY, model=SMALL_MODEL)
REDUCED_HEAD = HeadConfig(64, 64, embedding_channels=16, reduced_from=32)


@pytest.fixture(params=["full", "reduced", "rgb"])
def preset(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A published preset's name, standing for a small network of that kind."""
    kinds = {
        "full": SMALL_MODEL,
        "reduced": replace(SMALL_MODEL, head=REDUCED_HEAD),
        "rgb": replace(SMALL_MODEL, variant="rgb"),
    }
    monkeypatch.setitem(PRESETS, request.param, replace(TINY, model=kinds[request.param]))
    return request.param


def _random_state(preset: str) -> OrderedDict[str, Tensor]:
    model = LangOcc(PRESETS[preset].model)
    state = to_published(model.state_dict(), model.config.variant)
    return OrderedDict(
        (name, torch.randn(t.shape) if t.is_floating_point() else torch.randint(0, 99, t.shape))
        for name, t in state.items()
    )


def _published(preset: str, integer_steps: bool) -> tuple[dict, dict]:
    """A training checkpoint with an optimizer, and its file of averaged weights."""
    state = _random_state(preset)
    buffers = ("running_mean", "running_var", "num_batches_tracked")
    parameters = [name for name in state if not name.endswith(buffers)]
    moments = {
        number: {
            "step": 1758 if integer_steps else torch.tensor(1758.0),
            "exp_avg": torch.randn(state[name].shape),
            "exp_avg_sq": torch.rand(state[name].shape),
        }
        for number, name in enumerate(parameters)
        if name != "reducer.U"
    }
    group = {"lr": 1e-4, "betas": (0.9, 0.999), "params": list(range(len(parameters)))}
    training = {
        "meta": {"epoch": 1, "iter": 1758, "config": "...", "best": np.float64(0.5)},
        "state_dict": state,
        "optimizer": {"state": moments, "param_groups": [group]},
    }
    return training, {"epoch": 1, "state_dict": _random_state(preset), "updates": 12318}


def _assert_same(ours: Any, theirs: Any, place: str = "") -> None:
    if isinstance(theirs, Tensor):
        assert isinstance(ours, Tensor), place
        assert ours.dtype == theirs.dtype, place
        assert torch.equal(ours, theirs), place
    elif isinstance(theirs, dict):
        assert isinstance(ours, dict), place
        assert list(ours) == list(theirs), place
        for name in theirs:
            _assert_same(ours[name], theirs[name], f"{place}.{name}")
    elif isinstance(theirs, list | tuple):
        assert len(ours) == len(theirs), place
        for mine, other in zip(ours, theirs, strict=True):
            _assert_same(mine, other, place)
    else:
        assert type(ours) is type(theirs) or np.isscalar(theirs), place
        assert ours == theirs, place


@pytest.mark.parametrize("integer_steps", [True, False])
def test_there_and_back_gives_the_same_bits(
    preset: str, integer_steps: bool, tmp_path: Path
) -> None:
    training, averaged = _published(preset, integer_steps)
    torch.save(training, tmp_path / "epoch_1.pth")
    torch.save(averaged, tmp_path / "epoch_1_ema.pth")
    ours = tmp_path / "ours.safetensors"
    Convert(tmp_path / "epoch_1.pth", ours, average=tmp_path / "epoch_1_ema.pth").run()
    Convert(ours, tmp_path / "back.pth", average=tmp_path / "back_ema.pth").run()
    _assert_same(torch.load(tmp_path / "back.pth", weights_only=True), training)
    _assert_same(torch.load(tmp_path / "back_ema.pth", weights_only=True), averaged)


def test_the_averaged_file_alone(preset: str, tmp_path: Path) -> None:
    _, averaged = _published(preset, False)
    torch.save(averaged, tmp_path / "ema.pth")
    Convert(tmp_path / "ema.pth", tmp_path / "ours.safetensors").run()
    checkpoint = load_checkpoint(tmp_path / "ours.safetensors")
    assert checkpoint.metadata["updates"] == 12318
    assert not checkpoint.optimizer
    for name, tensor in checkpoint.average.items():
        assert torch.equal(tensor, checkpoint.model[name])


def test_converted_weights_are_the_networks(preset: str, tmp_path: Path) -> None:
    """A 3D kernel's axes turn from [z, y, x] to [x, y, z]; everything else stays."""
    state = _random_state(preset)
    config = PRESETS[preset].model
    like = LangOcc(config).state_dict()
    ours = from_published(state, like, config.variant, "test")
    for name, tensor in ours.items():
        theirs = state[published_name(name, config.variant)]
        if tensor.dim() == 5:
            assert torch.equal(tensor, theirs.permute(0, 1, 4, 3, 2)), name
        else:
            assert torch.equal(tensor, theirs)


@pytest.mark.parametrize("preset_name", ["full", "reduced", "rgb"])
def test_names_and_order_are_the_published_ones(preset_name: str, parity_dir: Path) -> None:
    keys = json.loads((parity_dir / "keys.json").read_text())
    model = LangOcc(MODELS[preset_name])
    variant = model.config.variant
    state = to_published(model.state_dict(), variant)
    found = [[n, list(t.shape), str(t.dtype).split(".")[1]] for n, t in state.items()]
    assert found == keys[preset_name]
    parameters = [
        [published_name(name, variant), p.numel(), p.requires_grad]
        for name, p in model.named_parameters()
    ]
    assert parameters == keys[f"{preset_name}_parameters"]


def test_a_checkpoint_of_another_preset_lists_ten_differences(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(PRESETS, "rgb", replace(SMALL, model=replace(SMALL_MODEL, variant="rgb")))
    monkeypatch.setitem(PRESETS, "full", SMALL)
    torch.save({"state_dict": _random_state("rgb")}, tmp_path / "rgb.pth")
    with pytest.raises(DataError) as raised:
        Convert(tmp_path / "rgb.pth", tmp_path / "out.safetensors", preset="full").run()
    assert isinstance(raised.value, ValueError)
    lines = str(raised.value).splitlines()
    assert "rgb.pth: 16 entries differ" in lines[0]
    assert len(lines) == 11
    assert "missing language_decoder.layers.0.weight (64, 64) float32" in lines[1]
    assert not (tmp_path / "out.safetensors").exists()


def test_a_shape_and_a_leftover_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(PRESETS, "full", SMALL)
    state = _random_state("full")
    state["final_conv.conv.bias"] = torch.zeros(7)
    state["bbox_head.weight"] = torch.zeros(3)
    torch.save({"state_dict": state}, tmp_path / "odd.pth")
    with pytest.raises(DataError) as raised:
        Convert(tmp_path / "odd.pth", tmp_path / "out.safetensors").run()
    assert "unexpected bbox_head.weight (3,)" in str(raised.value)
    assert "final_conv.conv.bias: expected (64,) float32, found (7,) float32" in str(raised.value)


def test_an_optimizer_of_another_network_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(PRESETS, "full", SMALL)
    training, _ = _published("full", False)
    training["optimizer"]["param_groups"][0]["params"].append(9999)
    torch.save(training, tmp_path / "odd.pth")
    with pytest.raises(DataError, match=r"optimizer: expected .* parameters, found"):
        Convert(tmp_path / "odd.pth", tmp_path / "out.safetensors").run()


class _RunsCode:
    def __reduce__(self) -> tuple:
        return (print, ("this must never be printed",))


def test_files_that_would_run_code_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": {}, "meta": _RunsCode()}, tmp_path / "evil.pth")
    with pytest.raises(DataError, match=r"evil\.pth: refused"):
        read_torch_file(tmp_path / "evil.pth")
    assert "never" not in capsys.readouterr().out


def test_damaged_and_missing_files_are_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1000)}}, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:-300])
    (tmp_path / "text.pth").write_text("<html>404</html>")
    for name in ("cut.pth", "text.pth", "none.pth"):
        with pytest.raises(DataError, match=name):
            read_torch_file(tmp_path / name)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected \.pth to \.safetensors"):
        Convert(tmp_path / "a.pth", tmp_path / "b.pth").run()
