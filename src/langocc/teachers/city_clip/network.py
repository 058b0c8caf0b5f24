# SPDX-License-Identifier: Apache-2.0
"""The city's CLIP as a network: sizes, features of crops, regions and captions, files."""

from pathlib import Path

import torch
from jaxtyping import Float, Int64
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from transformers import CLIPConfig, CLIPModel

from langocc.files import replacing
from langocc.teachers.maskclip import dense_features, embed_patches

PATCH_PX = 8
CONTEXT = 64
"""Tokens of a text at most."""
VOCABULARY = 1536


def city_config() -> CLIPConfig:
    """Sizes of the city's CLIP: 3.3 M parameters, and 512 channels as in CLIP ViT-B/16.

    A 400 x 225 image is 50 x 28 patches, and five blocks (four attentions when read densely) keep
    six of them below half a second on two cores.
    """
    return CLIPConfig(
        projection_dim=512,
        vision_config={
            "hidden_size": 192,
            "intermediate_size": 768,
            "num_hidden_layers": 5,
            "num_attention_heads": 3,
            "image_size": 16 * PATCH_PX,
            "patch_size": PATCH_PX,
            "hidden_act": "gelu",
            "projection_dim": 512,
        },
        text_config={
            "hidden_size": 128,
            "intermediate_size": 512,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": CONTEXT,
            "hidden_act": "gelu",
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
            "projection_dim": 512,
        },
    )


def crop_features(
    model: CLIPModel, pixels: Float[Tensor, "crop 3 height width"]
) -> Float[Tensor, "crop channel"]:
    """Unit features of whole crops, from the class token; any size in multiples of the patch."""
    hidden, _ = embed_patches(model, pixels)
    for block in model.vision_model.encoder.layers:
        hidden = block(hidden, attention_mask=None)
    pooled = model.vision_model.post_layernorm(hidden[:, 0])
    return functional.normalize(model.visual_projection(pooled).float(), dim=-1)


def region_features(
    model: CLIPModel,
    pixels: Float[Tensor, "view 3 height width"],
    boxes: Float[Tensor, "view region 4"],
) -> Float[Tensor, "view region channel"]:
    """Unit features of boxes, from the dense map of the whole view: the mean of 3 x 3 places.

    Boxes are left, top, right, bottom as fractions of the view.
    """
    dense = dense_features(model, pixels).float()
    low, high = boxes[..., None, None, :2], boxes[..., None, None, 2:]
    steps = torch.tensor([0.25, 0.5, 0.75], device=boxes.device)
    places = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    grid = ((low + (high - low) * places) * 2 - 1).flatten(2, 3)
    read = functional.grid_sample(dense, grid, padding_mode="border", align_corners=False)
    return functional.normalize(read.mean(-1).transpose(1, 2), dim=-1)


def text_features(
    model: CLIPModel, tokens: Int64[Tensor, "text token"]
) -> Float[Tensor, "text channel"]:
    """Unit features of token rows that are padded with the end mark."""
    pooled = model.text_model(input_ids=tokens).pooler_output
    return functional.normalize(model.text_projection(pooled).float(), dim=-1)


def save_clip(model: CLIPModel, folder: Path) -> None:
    """Writes `config.json` and float16 `model.safetensors`, each whole or not at all."""
    state = {
        key: value.detach().to("cpu", torch.float16).contiguous()
        for key, value in model.state_dict().items()
    }
    with replacing(folder / "model.safetensors") as path:
        save_file(state, path, metadata={"format": "pt"})
    config = type(model.config)(**{**model.config.to_dict(), "dtype": "float16"})
    config.architectures = ["CLIPModel"]
    with replacing(folder / "config.json") as path:
        path.write_text(config.to_json_string())
