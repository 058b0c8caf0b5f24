# SPDX-License-Identifier: Apache-2.0
"""A tiny CLIP of random weights."""

import torch
from transformers import CLIPConfig, CLIPModel


def tiny_clip(projection: int = 24, patch: int = 8) -> CLIPModel:
    torch.manual_seed(0)
    tower = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}
    config = CLIPConfig(
        projection_dim=projection,
        text_config={
            **tower,
            "num_attention_heads": 2,
            "vocab_size": 400,
            "max_position_embeddings": 20,
            "bos_token_id": 0,
            "eos_token_id": 1,
            "pad_token_id": 1,
        },
        vision_config={**tower, "num_attention_heads": 2, "image_size": 32, "patch_size": patch},
    )
    return CLIPModel(config).eval()
