# SPDX-License-Identifier: Apache-2.0
"""CLIP weights under the original release's names."""

from pathlib import Path

import pytest
import torch
from clip_kit import tiny_clip
from original_kit import original_names

from langocc.errors import DataError
from langocc.teachers.convert import clip_from_openai
from langocc.teachers.load import load_teacher


@pytest.fixture
def original() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    model = tiny_clip()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return original_names(model.state_dict())


def test_round_trip_gives_the_same_weights(original: dict[str, torch.Tensor]) -> None:
    extra = {"input_resolution": torch.tensor(32), "context_length": torch.tensor(20)}
    model = clip_from_openai({**original, **extra})
    assert model.config.vision_config.patch_size == 8
    assert model.config.vision_config.image_size == 32
    again = original_names(model.state_dict())
    assert again.keys() == original.keys()
    for key, value in original.items():
        torch.testing.assert_close(again[key], value)


def test_a_checkpoint_file_is_a_teacher(
    original: dict[str, torch.Tensor], tmp_path: Path, clip_folder: Path
) -> None:
    path = tmp_path / "original.pt"
    torch.save({"state_dict": original}, path)
    teacher = load_teacher(str(path), text=str(clip_folder))
    assert teacher.channels == 24
    assert teacher.id.startswith("original-")
    assert teacher.dense(torch.zeros(1, 3, 16, 16, dtype=torch.uint8)).shape == (1, 24, 2, 2)


def test_missing_and_left_over_names_are_refused(original: dict[str, torch.Tensor]) -> None:
    with pytest.raises(DataError, match="extra has no place in this network"):
        clip_from_openai({**original, "extra": torch.zeros(1)})
    del original["visual.ln_pre.weight"]
    with pytest.raises(DataError, match=r"pre_layrnorm\.weight is missing"):
        clip_from_openai(original)
    original["visual.ln_pre.weight"] = torch.zeros(3)
    with pytest.raises(DataError, match=r"pre_layrnorm\.weight: expected shape .*found \(3,\)"):
        clip_from_openai(original)
    nothing_known = {key: value for key, value in original.items() if "visual." in key}
    with pytest.raises(DataError, match="positional_embedding is missing"):
        clip_from_openai(nothing_known)
    with pytest.raises(DataError, match="ViT image tower"):
        clip_from_openai({"visual.layer1.0.conv1.weight": torch.zeros(1)})


def test_code_in_a_file_is_not_run(tmp_path: Path, clip_folder: Path) -> None:
    path = tmp_path / "bad.pt"
    torch.save({"state_dict": Path("x")}, path)
    with pytest.raises(DataError, match=r"bad\.pt: not a readable checkpoint"):
        load_teacher(str(path), text=str(clip_folder))
