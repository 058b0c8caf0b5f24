# SPDX-License-Identifier: Apache-2.0
"""CLIP weights in other people's names, as a `transformers` CLIP."""

import re
from collections.abc import Iterable, Mapping

from torch import Tensor
from transformers import CLIPConfig, CLIPModel

from langocc.errors import DataError
from langocc.teachers.checkpoint import require_same_entries

_RENAMED = [
    (r"^visual\.class_embedding$", "vision_model.embeddings.class_embedding"),
    (r"^visual\.positional_embedding$", "vision_model.embeddings.position_embedding.weight"),
    (r"^visual\.conv1\.", "vision_model.embeddings.patch_embedding."),
    (r"^visual\.ln_pre\.", "vision_model.pre_layrnorm."),
    (r"^visual\.ln_post\.", "vision_model.post_layernorm."),
    (r"^visual\.transformer\.resblocks\.", "vision_model.encoder.layers."),
    (r"^positional_embedding$", "text_model.embeddings.position_embedding.weight"),
    (r"^token_embedding\.", "text_model.embeddings.token_embedding."),
    (r"^ln_final\.", "text_model.final_layer_norm."),
    (r"^transformer\.resblocks\.", "text_model.encoder.layers."),
    (r"\.ln_1\.", ".layer_norm1."),
    (r"\.ln_2\.", ".layer_norm2."),
    (r"\.mlp\.c_fc\.", ".mlp.fc1."),
    (r"\.mlp\.c_proj\.", ".mlp.fc2."),
    (r"\.attn\.out_proj\.", ".self_attn.out_proj."),
]
_PROJECTIONS = {
    "visual.proj": "visual_projection.weight",
    "text_projection": "text_projection.weight",
}
_NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size"}
"""Numbers that the original release stores among its weights."""


def clip_from_openai(state: Mapping[str, Tensor], source: str = "state") -> CLIPModel:
    """A CLIP from a state dictionary with the names of the original release (ViT only).

    Sizes are read off the tensors, so any ViT of that layout loads. Float32.

    Raises:
        DataError: names or shapes differ, of which it lists the first ten, or the image tower is no
            ViT.
    """
    if "visual.conv1.weight" not in state or "visual.class_embedding" not in state:
        raise DataError(
            f"{source}: expected a CLIP with a ViT image tower in the original release's names"
        )
    try:
        config = _config(state)
    except KeyError as error:
        raise DataError(
            f"{source}: {error.args[0]} is missing, from which sizes are read"
        ) from None
    model = CLIPModel(config)
    renamed = dict(_rename(state))
    require_same_entries(renamed, model.state_dict(), source)
    model.load_state_dict(renamed)
    return model.eval()


def split_attention(key: str, value: Tensor) -> Iterable[tuple[str, Tensor]]:
    """A joint query-key-value projection `<prefix>.in_proj_<leaf>` as three projections."""
    prefix, leaf = key.rsplit(".in_proj_", 1)
    for name, part in zip("qkv", value.chunk(3), strict=True):
        yield f"{prefix}.{name}_proj.{leaf}", part


def _rename(state: Mapping[str, Tensor]) -> Iterable[tuple[str, Tensor]]:
    for name, value in state.items():
        if name in _NOT_WEIGHTS:
            continue
        value = value.float()
        if name in _PROJECTIONS:
            yield _PROJECTIONS[name], value.T.contiguous()
            continue
        key = name
        for pattern, replacement in _RENAMED:
            key = re.sub(pattern, replacement, key)
        if ".attn.in_proj_" in key:
            yield from split_attention(key.replace(".attn.", ".self_attn."), value)
        else:
            yield key, value


def _config(state: Mapping[str, Tensor]) -> CLIPConfig:
    vision_width, _, patch, _ = state["visual.conv1.weight"].shape
    side = round((len(state["visual.positional_embedding"]) - 1) ** 0.5)
    context, text_width = state["positional_embedding"].shape
    vocabulary = len(state["token_embedding.weight"])
    return CLIPConfig(
        projection_dim=state["text_projection"].shape[1],
        vision_config={
            **_tower(state, "visual.transformer.", vision_width),
            "image_size": side * patch,
            "patch_size": patch,
        },
        text_config={
            **_tower(state, "transformer.", text_width),
            "vocab_size": vocabulary,
            "max_position_embeddings": context,
            "bos_token_id": vocabulary - 2,
            "eos_token_id": vocabulary - 1,
            "pad_token_id": vocabulary - 1,
        },
    )


def _tower(state: Mapping[str, Tensor], prefix: str, width: int) -> dict[str, int]:
    blocks = {m[1] for name in state if (m := re.match(rf"{prefix}resblocks\.(\d+)\.", name))}
    return {
        "hidden_size": width,
        "num_hidden_layers": len(blocks),
        "num_attention_heads": max(1, width // 64),
        "intermediate_size": len(state[f"{prefix}resblocks.0.mlp.c_fc.bias"]),
        "projection_dim": state["text_projection"].shape[1],
    }
