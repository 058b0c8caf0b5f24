"""How a run starts or goes on: files that belong to another network or teacher are refused."""

from dataclasses import replace

import pytest
import torch
from toy_street import CONFIG, new_training

from langocc.errors import ConfigError, DataError
from langocc.teachers.reducer import Reducer, save_reducer

REDUCED = replace(
    CONFIG, model=replace(CONFIG.model, head=replace(CONFIG.model.head, reduced_from=12))
)


def test_a_checkpoint_of_another_preset_is_refused_with_ten_differences(tmp_path):
    """A run folder that holds the checkpoints of a colour model, taken up as a language model."""
    rgb = new_training(tmp_path, replace(CONFIG, model=replace(CONFIG.model, variant="rgb")))
    rgb.save()
    wider = replace(CONFIG.model.head, hidden_channels=16)
    other = new_training(tmp_path, replace(CONFIG, model=replace(CONFIG.model, head=wider)))
    before = {name: tensor.clone() for name, tensor in other.model.state_dict().items()}
    with pytest.raises(DataError) as raised:
        other.resume()
    first, *listed = str(raised.value).splitlines()
    assert "step-00000000.safetensors" in first
    assert "entries differ from the network's" in first
    assert len(listed) == 10
    assert any("expected (16, 8) float32, found (8, 8) float32" in line for line in listed)
    for name, tensor in other.model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_a_reducer_of_another_teacher_or_size_is_refused(tmp_path):
    path = tmp_path / "reducer.safetensors"
    config = replace(REDUCED, reducer=path)
    save_reducer(Reducer(12, 6), path, teacher="other-clip-1234")
    with pytest.raises(ConfigError, match=r"made for toy, found other-clip-1234's"):
        new_training(tmp_path, config)
    save_reducer(Reducer(12, 5), path, teacher="toy")
    with pytest.raises(ConfigError, match=r"expected a reducer of \(12, 6\), found \(12, 5\)"):
        new_training(tmp_path, config)
    save_reducer(Reducer(12, 6), path, teacher="toy")
    assert new_training(tmp_path, config).model.reducer is not None
    with pytest.raises(ConfigError, match="langocc reduce"):
        new_training(tmp_path, REDUCED)


def test_what_a_file_of_initial_weights_gave_is_told(tmp_path):
    path = tmp_path / "resnet.pth"
    state = new_training(tmp_path).model.backbone.state_dict()
    torch.save(state | {"fc.weight": torch.zeros(3)}, path)
    training = new_training(tmp_path, replace(CONFIG, initial="resnet", initial_weights=path))
    assert training.initialised is not None
    told = training.initialised.summary()
    assert f"taken: {len(state)} (backbone.bn1.bias, " in told
    assert "not used: 1 (fc.weight)" in told
    assert "not in it: " in told
    assert new_training(tmp_path).initialised is None
