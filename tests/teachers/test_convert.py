# SPDX-License-Identifier: Apache-2.0
"""CLIP weights under the original release's names."""

from pathlib import Path

import pytest
import torch

from conftest import tiny_clip
from langocc.errors import DataError
from langocc.teachers.convert import clip_from_openai
from langocc.teachers.load import load_teacher

NAMES = [
    ("vision_model.embeddings.class_embedding", "visual.class_embedding"),
    ("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding"),
    ("vision_model.embeddings.patch_embedding", "visual.conv1"),
    ("vision_model.pre_layrnorm", "visual.ln_pre"),
    ("vision_model.post_layernorm", "visual.ln_post"),
    ("vision_model.encoder.layers", "visual.transformer.resblocks"),
    ("text_model.embeddings.position_embedding.weight", "positional_embedding"),
    ("text_model.embeddings.token_embedding", "token_embedding"),
    ("text_model.final_layer_norm", "ln_final"),
    ("text_model.encoder.layers", "transformer.resblocks"),
    ("layer_norm1", "ln_1"),
    ("layer_norm2", "ln_2"),
    ("mlp.fc1", "mlp.c_fc"),
    ("mlp.fc2", "mlp.c_proj"),
    ("self_attn.out_proj", "attn.out_proj"),
]


def original_names(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    original: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        for ours, theirs in NAMES:
            key = key.replace(ours, theirs)
        if ".self_attn.q_proj." in key:
            prefix, leaf = key.split(".self_attn.q_proj.")
            parts = [value]
            for part in "kv":
                name = next(
                    k
                    for k, v in state.items()
                    if k.endswith(f"{part}_proj.{leaf}")
                    and _block(k) == (prefix.split(".")[0] == "visual", prefix[-1])
                )
                parts.append(state[name])
            original[f"{prefix}.attn.in_proj_{leaf}"] = torch.cat(parts)
        elif key in ("visual_projection.weight", "text_projection.weight"):
            name = {
                "visual_projection.weight": "visual.proj",
                "text_projection.weight": "text_projection",
            }
            original[name[key]] = value.T
        elif ".self_attn." not in key:
            original[key] = value
    return original


def _block(key: str) -> tuple[bool, str]:
    return key.startswith("vision_model"), key.split(".layers.")[1][0]


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
    with pytest.raises(DataError, match=r"the first: extra \(left over\)"):
        clip_from_openai({**original, "extra": torch.zeros(1)})
    del original["visual.ln_pre.weight"]
    with pytest.raises(DataError, match=r"pre_layrnorm\.weight \(missing\)"):
        clip_from_openai(original)
    with pytest.raises(DataError, match="ViT image tower"):
        clip_from_openai({"visual.layer1.0.conv1.weight": torch.zeros(1)})


def test_code_in_a_file_is_not_run(tmp_path: Path, clip_folder: Path) -> None:
    path = tmp_path / "bad.pt"
    torch.save({"state_dict": Path("x")}, path)
    with pytest.raises(DataError, match=r"bad\.pt: not a readable checkpoint"):
        load_teacher(str(path), text=str(clip_folder))
