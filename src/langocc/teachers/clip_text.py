# SPDX-License-Identifier: Apache-2.0
"""The text tower of a CLIP: any text to a vector, quickly and the same in any batch."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import CLIPModel

from langocc.teachers.text import average_over_templates, prompt_templates


class ClipText:
    """Text to unit vectors with one CLIP; every prompt is encoded once and kept."""

    def __init__(self, model: CLIPModel, tokenizer: Any) -> None:  # noqa: ANN401 (any tokenizer)
        """Wraps a CLIP's text tower and its tokenizer (a `transformers` tokenizer)."""
        self.model = model
        self.tokenizer = tokenizer
        self._kept: dict[tuple[str, bool], Tensor] = {}

    @torch.no_grad()
    def embed(
        self, prompts: Sequence[str], *, templates: bool = True
    ) -> Float[Tensor, "prompt channel"]:
        """Unit vectors of prompts, float32, averaged over the 85 templates unless told not to.

        Any text has a vector, also the empty one; see `tokenize` for over-long ones.
        """
        new = [p for p in dict.fromkeys(prompts) if (p, templates) not in self._kept]
        if new:
            forms = prompt_templates() if templates else ("{}",)
            vectors = average_over_templates(self.encode, new, forms)
            self._kept.update({(p, templates): v for p, v in zip(new, vectors, strict=True)})
        device = self.model.logit_scale.device
        rows = [self._kept[p, templates].to(device) for p in prompts]
        return torch.stack(rows) if rows else torch.zeros(0, self._channels, device=device)

    @torch.no_grad()
    def encode(self, texts: Sequence[str], batch: int = 512) -> Float[Tensor, "text channel"]:
        """Projected features of texts as they stand, float32, not normalised.

        Texts are taken shortest first, so that a batch holds little padding.
        """
        context = self.model.text_model.embeddings.position_embedding.num_embeddings
        rows = tokenize(self.tokenizer, texts, context)
        device = self.model.logit_scale.device
        features = torch.zeros(len(texts), self._channels, device=device)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for start in range(0, len(order), batch):
            part = order[start : start + batch]
            tokens = pad_tokens([rows[i] for i in part]).to(device)
            pooled = self.model.text_model(input_ids=tokens).pooler_output
            features[part] = self.model.text_projection(pooled).float()
        return features

    @property
    def _channels(self) -> int:
        return self.model.text_projection.out_features


def tokenize(
    tokenizer: Any,  # noqa: ANN401 (any tokenizer of transformers)
    texts: Sequence[str],
    context: int,
) -> list[list[int]]:
    """Token ids of each text between its marks; over-long ones lose their end, not the end mark."""
    if not texts:
        return []
    rows = tokenizer(list(texts), padding=False, truncation=False, verbose=False)["input_ids"]
    return [row if len(row) <= context else [*row[: context - 1], row[-1]] for row in rows]


def pad_tokens(rows: Sequence[Sequence[int]]) -> Int64[Tensor, "text token"]:
    """Token rows as one tensor, the end mark repeated.

    CLIP's text attention is causal and reads the first end mark, so padding changes nothing.
    """
    length = max(len(row) for row in rows)
    return torch.tensor([[*row, *[row[-1]] * (length - len(row))] for row in rows])
