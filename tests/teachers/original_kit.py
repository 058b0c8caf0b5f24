# SPDX-License-Identifier: Apache-2.0
"""A CLIP's weights under the names of the original release."""

import torch

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
