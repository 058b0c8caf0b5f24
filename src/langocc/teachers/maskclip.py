# SPDX-License-Identifier: Apache-2.0
"""MaskCLIP: dense text-aligned features out of any CLIP, by taking its last attention apart.

Source: method.md section 6 (MaskCLIP, ECCV 2022); section 4 of SCLIP (ECCV 2024) and section 3 of
NACLIP (WACV 2025) for the two forms that keep an attention.
"""

from collections.abc import Callable, Sequence
from typing import Literal, cast

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPModel, PreTrainedTokenizerBase
from transformers.models.clip.modeling_clip import CLIPMLP, CLIPEncoderLayer

from langocc.teachers.attention import neighbour_attention, self_correlation_attention
from langocc.teachers.clip_text import ClipText
from langocc.teachers.kept import kept
from langocc.teachers.sampling import sample_patches

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Mean of RGB in [0, 1] that every OpenAI-style CLIP subtracts."""
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""Standard deviation of RGB in [0, 1] that every OpenAI-style CLIP divides by."""

Form = Literal["published", "pure", "sclip", "naclip"]
"""What stands for the last block: `published` = values alone, residual and feed-forward kept;
`pure` = values alone; `sclip` = query-query + key-key attention in the full block; `naclip` =
key-key attention with a Gaussian of distance, no residual, no feed-forward."""


class MaskClip:
    """A frozen CLIP as a `Teacher`.

    Attributes:
        id: Stable name of weights, preprocessing and form.
        channels: Size of the shared space.
        model: The `transformers` model, in evaluation mode.
    """

    def __init__(
        self,
        model: CLIPModel,
        tokenizer: PreTrainedTokenizerBase,
        id: str,
        form: Form = "published",
        image_height_px: int | None = None,
    ) -> None:
        """Wraps a CLIP.

        Args:
            model: Any CLIP of `transformers`.
            tokenizer: Its tokenizer.
            id: Stable name, stored with every feature.
            form: What stands for the last block's attention.
            image_height_px: Images are resized to this height, keeping their shape; None keeps
                their size. Either way both sides go to the nearest multiple of the patch.
        """
        self.model = model.eval().requires_grad_(False)
        self.texts = ClipText(model, tokenizer)
        self.id = id
        self.form: Form = form
        self.image_height_px = image_height_px
        self.channels = model.visual_projection.out_features

    @torch.no_grad()
    def dense(
        self, images: UInt8[Tensor, "image 3 height width"]
    ) -> Float[Tensor, "image channel map_height map_width"]:
        """Features of every patch, not normalised; in the model's own precision."""
        weight = self.model.visual_projection.weight
        size = self.network_size(images.shape[-2], images.shape[-1])
        images = images.to(weight.device, non_blocking=True)
        pixels = normalise_images(images, size, weight.dtype)
        return dense_features(self.model, pixels, self.form)

    def sample(
        self,
        dense: Float[Tensor, "channel map_height map_width"],
        row_col: Float[Tensor, "pixel 2"],
        image_size: tuple[int, int],
    ) -> Float[Tensor, "pixel channel"]:
        """Unit features of pixels: bilinear in the patch grid, then normalised."""
        return sample_patches(dense, row_col, image_size)

    def text(
        self, prompts: Sequence[str], *, templates: bool = True
    ) -> Float[Tensor, "prompt channel"]:
        """Unit vectors of prompts, float32."""
        return self.texts.embed(prompts, templates=templates)

    def to(self, device: torch.device | str) -> "MaskClip":
        """Moves the model in place and returns itself."""
        nn.Module.to(self.model, device)
        return self

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width the network sees for an image: multiples of the patch, at least one."""
        scale = 1.0 if self.image_height_px is None else self.image_height_px / height
        patch = int(self.model.vision_model.embeddings.patch_embedding.kernel_size[0])
        rows, cols = (max(1, round(side * scale / patch)) for side in (height, width))
        return rows * patch, cols * patch


def normalise_images(
    images: UInt8[Tensor, "image 3 height width"], size: tuple[int, int], dtype: torch.dtype
) -> Float[Tensor, "image 3 network_height network_width"]:
    """RGB bytes as CLIP's input: resized (bilinear, antialiased), less the mean, by the std."""
    pixels = images.float() / 255
    if pixels.shape[-2:] != size:
        pixels = functional.interpolate(
            pixels, size=size, mode="bilinear", antialias=True, align_corners=False
        )
    mean, std = (
        kept(values, pixels.device, pixels.dtype)[:, None, None] for values in (CLIP_MEAN, CLIP_STD)
    )
    return ((pixels - mean) / std).to(dtype)


def dense_features(
    model: CLIPModel, pixels: Float[Tensor, "image 3 height width"], form: Form = "published"
) -> Float[Tensor, "image channel map_height map_width"]:
    """Projected features of every patch. Differentiable; sides must be multiples of the patch."""
    hidden, grid = embed_patches(model, pixels)
    *blocks, last = model.vision_model.encoder.layers
    for block in blocks:
        hidden = block(hidden, attention_mask=None)
    hidden = FORMS[form](cast(CLIPEncoderLayer, last), hidden, grid)[:, 1:]
    projected = model.visual_projection(model.vision_model.post_layernorm(hidden))
    return projected.transpose(1, 2).unflatten(2, grid)


def embed_patches(
    model: CLIPModel, pixels: Float[Tensor, "image 3 height width"]
) -> tuple[Float[Tensor, "image token hidden"], tuple[int, int]]:
    """Class token and patches with resized positions after the first LayerNorm, and the grid."""
    embeddings = model.vision_model.embeddings
    patches = embeddings.patch_embedding(pixels)
    grid = (patches.shape[2], patches.shape[3])
    tokens = patches.flatten(2).transpose(1, 2)
    first = embeddings.class_embedding.to(tokens.dtype).expand(len(tokens), 1, -1)
    positions = resize_positions(embeddings.position_embedding.weight, grid)
    hidden = torch.cat([first, tokens], dim=1) + positions.to(tokens.dtype)
    return model.vision_model.pre_layrnorm(hidden), grid


def resize_positions(
    positions: Float[Tensor, "position hidden"], grid: tuple[int, int]
) -> Float[Tensor, "token hidden"]:
    """Position embeddings of a class token and a square grid, for another grid (bicubic)."""
    side = round((len(positions) - 1) ** 0.5)
    if grid == (side, side):
        return positions
    square = positions[1:].T.reshape(1, -1, side, side)
    resized = functional.interpolate(
        square.float(), size=grid, mode="bicubic", align_corners=False
    ).to(positions.dtype)
    return torch.cat([positions[:1], resized[0].flatten(1).T])


def use_published_numerics(model: CLIPModel) -> None:
    """Exact GELU and LayerNorm eps 1e-6 in the image tower, as published (CLIP has neither)."""
    for module in model.vision_model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = 1e-6
        if isinstance(module, CLIPMLP):
            module.activation_fn = nn.GELU()


def _values_in_block(block: CLIPEncoderLayer, hidden: Tensor, grid: tuple[int, int]) -> Tensor:
    hidden = hidden + _values(block, hidden, grid)
    return hidden + block.mlp(block.layer_norm2(hidden))


def _values(block: CLIPEncoderLayer, hidden: Tensor, grid: tuple[int, int]) -> Tensor:
    attention = block.self_attn
    return attention.out_proj(attention.v_proj(block.layer_norm1(hidden)))


def _self_correlation(block: CLIPEncoderLayer, hidden: Tensor, grid: tuple[int, int]) -> Tensor:
    normed = block.layer_norm1(hidden)
    hidden = hidden + self_correlation_attention(block.self_attn, normed)
    return hidden + block.mlp(block.layer_norm2(hidden))


def _neighbour(block: CLIPEncoderLayer, hidden: Tensor, grid: tuple[int, int]) -> Tensor:
    return neighbour_attention(block.self_attn, block.layer_norm1(hidden), grid)


FORMS: dict[str, Callable[[CLIPEncoderLayer, Tensor, tuple[int, int]], Tensor]] = {
    "published": _values_in_block,
    "pure": _values,
    "sclip": _self_correlation,
    "naclip": _neighbour,
}
