# SPDX-License-Identifier: Apache-2.0
"""MaskCLIP's ViT against the recorded arrays."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from langocc.teachers.convert import split_attention
from langocc.teachers.maskclip import (
    FORMS,
    dense_features,
    embed_patches,
    resize_positions,
    use_published_numerics,
)

RENAMED = [
    (r"^cls_token$", "embeddings.class_embedding"),
    (r"^pos_embed$", "embeddings.position_embedding.weight"),
    (r"^patch_embed\.projection\.", "embeddings.patch_embedding."),
    (r"^ln0\.", "pre_layrnorm."),
    (r"^ln1\.", "post_layernorm."),
    (r"^layers\.", "encoder.layers."),
    (r"\.ln(\d)\.", r".layer_norm\1."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
    (r"\.attn\.attn\.", ".self_attn."),
]


@pytest.fixture(scope="module")
def recorded(parity_dir: Path) -> dict[str, np.ndarray]:
    return dict(np.load(parity_dir / "maskclip_vit.npz"))


@pytest.fixture(scope="module")
def weights(parity_dir: Path, recorded_weight: Callable) -> dict[str, torch.Tensor]:
    keys = json.loads((parity_dir / "maskclip_keys.json").read_text())["r50_as_configured"]
    names = {key for key, _, _ in keys}
    return {
        key.removeprefix("decode_head."): recorded_weight(key, tuple(shape), names)
        for key, shape, _ in keys
        if key.startswith("decode_head.") and "decode_module" not in key
    }


@pytest.fixture(scope="module")
def clip(weights: dict[str, torch.Tensor]) -> CLIPModel:
    model = CLIPModel(CLIPConfig(vision_config={"patch_size": 16}, text_config={"hidden_size": 8}))
    state = {}
    for key, value in weights.items():
        if not key.startswith("clip."):
            continue
        name = key.removeprefix("clip.")
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        if ".in_proj_" in name:
            state.update(split_attention(name, value))
        else:
            state[name] = value.reshape(-1) if name.endswith("class_embedding") else value
    state["embeddings.position_embedding.weight"] = state["embeddings.position_embedding.weight"][0]
    model.vision_model.load_state_dict(state)
    with torch.no_grad():
        model.visual_projection.weight.copy_(weights["proj.weight"][:, :, 0, 0])
    use_published_numerics(model)
    return model.eval()


@pytest.fixture(scope="module")
def image(recorded_weight: Callable) -> torch.Tensor:
    return recorded_weight("", (), set(), image=True)


@pytest.mark.parity
@torch.no_grad()
def test_positions_are_resized_as_published(clip: CLIPModel, recorded: dict) -> None:
    resized = resize_positions(clip.vision_model.embeddings.position_embedding.weight, (8, 14))
    expected = torch.from_numpy(recorded["pos_embed_resized_sub"][0])
    torch.testing.assert_close(resized[::4, ::8], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parity
@torch.no_grad()
def test_dense_features_are_the_published_ones(
    clip: CLIPModel, image: torch.Tensor, recorded: dict, weights: dict
) -> None:
    np.testing.assert_array_equal(image[:, :, ::8, ::8], recorded["image_sub"])
    features = dense_features(clip, image, "published")
    expected = torch.from_numpy(recorded["proj_feat_sub"])
    torch.testing.assert_close(features[:, ::2], expected, rtol=1e-4, atol=1e-5)
    unit = functional.normalize(features, dim=1)
    logits = torch.einsum("ichw,tc->ithw", unit, weights["text_embeddings"])
    expected = torch.from_numpy(recorded["maskclip_logits"])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parity
@torch.no_grad()
def test_the_last_block_is_the_published_one(
    clip: CLIPModel, image: torch.Tensor, recorded: dict
) -> None:
    """Queries and keys as recorded: of patches alone, and (oddly) after the output projection."""
    hidden, grid = embed_patches(clip, image)
    *blocks, last = clip.vision_model.encoder.layers
    for block in blocks:
        hidden = block(hidden, attention_mask=None)
    attention, normed = last.self_attn, last.layer_norm1(hidden)
    for name, projection in (("q", attention.q_proj), ("k", attention.k_proj)):
        found = attention.out_proj(projection(normed))[:, 1:]
        expected = torch.from_numpy(recorded[f"{name}_sub"])
        torch.testing.assert_close(found[:, ::4, ::8], expected, rtol=1e-4, atol=2e-5)
    final = clip.vision_model.post_layernorm
    whole = final(last(hidden, attention_mask=None))[:, 1:].transpose(1, 2).unflatten(2, grid)
    torch.testing.assert_close(
        whole[:, ::4], torch.from_numpy(recorded["x_sub"]), rtol=1e-4, atol=1e-5
    )
    values = final(FORMS["published"](last, hidden, grid))[:, 1:]
    torch.testing.assert_close(
        values.transpose(1, 2).unflatten(2, grid),
        torch.from_numpy(recorded["v"]),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parity
@torch.no_grad()
def test_clips_own_numerics_differ(clip: CLIPModel, image: torch.Tensor, recorded: dict) -> None:
    """The option is needed: without it the recorded features are missed."""
    own = CLIPModel(clip.config).eval()
    own.load_state_dict(clip.state_dict())
    features = dense_features(own, image, "published")[:, ::2]
    assert (features - torch.from_numpy(recorded["proj_feat_sub"])).abs().max() > 1e-2
