# SPDX-License-Identifier: Apache-2.0
"""A vocabulary's embeddings: kept in a file, searched, and looked over for prompts that collide."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from langocc.errors import DataError
from langocc.files import replacing
from langocc.teachers.teacher import Teacher
from langocc.teachers.text import Vocabulary


@dataclass(frozen=True)
class EmbeddedVocabulary:
    """Prompts with their unit vectors.

    Attributes:
        vocabulary: Prompts and classes.
        vectors: Unit vectors, one per prompt.
        teacher: Id of the teacher that made them.
        has_templates: Whether each is a mean over the templates.
    """

    vocabulary: Vocabulary
    vectors: Float[Tensor, "prompt channel"]
    teacher: str
    has_templates: bool = True

    def nearest(self, query: Float[Tensor, " channel"], count: int) -> list[tuple[str, float]]:
        """The prompts most like a unit vector, with their cosines, the best first."""
        cosines, order = (self.vectors @ query).topk(min(count, len(self.vectors)))
        prompts = self.vocabulary.prompts
        return [(prompts[i], float(c)) for i, c in zip(order.tolist(), cosines, strict=True)]

    def collisions(self, least: float) -> list[tuple[str, str, float]]:
        """Pairs of prompts of different classes with a cosine of at least `least`, nearest first.

        Where two such prompts point the same way, no feature can tell their classes apart.
        """
        cosines = self.vectors @ self.vectors.T
        ids = self.vocabulary.class_of_prompt().to(cosines.device)
        is_pair = (cosines >= least) & (ids[:, None] != ids)
        prompts = self.vocabulary.prompts
        found = [
            (prompts[i], prompts[j], float(cosines[i, j]))
            for i, j in is_pair.triu(1).nonzero().tolist()
        ]
        return sorted(found, key=lambda pair: -pair[2])


def embed_vocabulary(
    teacher: Teacher, vocabulary: Vocabulary, *, templates: bool = True
) -> EmbeddedVocabulary:
    """Embeds all prompts with a teacher."""
    vectors = teacher.text(vocabulary.prompts, templates=templates)
    return EmbeddedVocabulary(vocabulary, vectors, teacher.id, templates)


def save_embeddings(embedded: EmbeddedVocabulary, path: Path) -> None:
    """Writes safetensors `embeddings`, with prompts, class ids and teacher in its metadata."""
    facts = {
        "name": embedded.vocabulary.name,
        "prompts": json.dumps(embedded.vocabulary.prompts, ensure_ascii=False),
        "class_ids": json.dumps(embedded.vocabulary.class_ids),
        "teacher": embedded.teacher,
        "has_templates": json.dumps(embedded.has_templates),
    }
    with replacing(path) as part:
        save_file({"embeddings": embedded.vectors.cpu().contiguous()}, part, metadata=facts)


def load_embeddings(path: Path) -> EmbeddedVocabulary:
    """Reads what `save_embeddings` wrote.

    Raises:
        DataError: the file is missing, damaged or something else.
    """
    try:
        with safe_open(path, "pt") as file:
            facts, vectors = dict(file.metadata() or {}), file.get_tensor("embeddings")
        vocabulary = Vocabulary(
            facts["name"],
            tuple(json.loads(facts["prompts"])),
            tuple(json.loads(facts["class_ids"])),
        )
        has_templates = bool(json.loads(facts["has_templates"]))
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(f"{path}: not a file of embeddings: {error}") from None
    if len(vectors) != len(vocabulary.prompts):
        raise DataError(f"{path}: expected {len(vocabulary.prompts)} vectors, found {len(vectors)}")
    return EmbeddedVocabulary(vocabulary, torch.as_tensor(vectors), facts["teacher"], has_templates)
