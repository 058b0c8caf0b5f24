# SPDX-License-Identifier: Apache-2.0
"""`langocc vocab`: what a teacher makes of prompts."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from langocc.teachers.names import TEXT_CLIP


@dataclass(frozen=True)
class Vocab:
    """Embeds a vocabulary; shows nearest prompts of queries, and prompts that collide."""

    vocabulary: Annotated[str, tyro.conf.Positional] = "v1"
    """v1, v2, city, or a YAML file of class -> prompts."""
    teacher: str = "city-clip"
    """`city-clip`, a CLIP on the hub, a folder or a checkpoint file."""
    text: str = TEXT_CLIP
    """For a teacher in a checkpoint file: the CLIP (name or folder) that reads its texts."""
    query: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A text whose nearest prompts are shown; may be given again."""
    neighbours: int = 5
    """Prompts shown for a query."""
    collisions: float = 0.95
    """Cosine from which two prompts of different classes are told to collide."""
    templates: bool = True
    """Average each prompt over the 85 templates."""
    out: Path | None = None
    """File for the embeddings (safetensors, prompts in its metadata)."""

    def run(self) -> None:
        """Embeds, shows, writes."""
        from rich.console import Console
        from rich.table import Table

        from langocc.teachers.embeddings import embed_vocabulary, save_embeddings
        from langocc.teachers.load import load_teacher
        from langocc.teachers.text import load_vocabulary

        vocabulary = load_vocabulary(self.vocabulary)
        teacher = load_teacher(self.teacher, text=self.text)
        embedded = embed_vocabulary(teacher, vocabulary, templates=self.templates)
        console = Console()
        count, classes = len(vocabulary.prompts), len(set(vocabulary.class_ids))
        console.print(f"{vocabulary.name}: {count} prompts of {classes} classes, {teacher.id}")
        for text in self.query:
            table = Table(f"nearest to {text!r}", "cosine")
            vector = teacher.text([text], templates=self.templates)[0]
            for prompt, cosine in embedded.nearest(vector, self.neighbours):
                table.add_row(prompt, f"{cosine:.3f}")
            console.print(table)
        pairs = embedded.collisions(self.collisions)
        if pairs:
            table = Table("prompt", "prompt of another class", "cosine")
            for first, second, cosine in pairs:
                table.add_row(first, second, f"{cosine:.3f}")
            console.print(table)
        else:
            console.print(f"no prompts of different classes above a cosine of {self.collisions}")
        if self.out is not None:
            save_embeddings(embedded, self.out)
            console.print(f"written: {self.out}")
