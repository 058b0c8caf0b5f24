# SPDX-License-Identifier: Apache-2.0
"""`langocc vocab`: what a teacher makes of prompts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from langocc.teachers.names import TEXT_CLIP

if TYPE_CHECKING:
    from rich.table import Table


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

        from langocc.teachers.embeddings import embed_vocabulary, save_embeddings
        from langocc.teachers.load import load_teacher
        from langocc.teachers.text import load_vocabulary

        vocabulary = load_vocabulary(self.vocabulary)
        teacher = load_teacher(self.teacher, text=self.text)
        embedded = embed_vocabulary(teacher, vocabulary, templates=self.templates)
        console = Console(highlight=False, markup=False)  # brackets in a prompt are text
        count, classes = len(vocabulary.prompts), len(set(vocabulary.class_ids))
        console.print(f"{vocabulary.name}: {count} prompts of {classes} classes, {teacher.id}")
        for text in self.query:
            vector = teacher.text([text], templates=self.templates)[0]
            found = embedded.nearest(vector, self.neighbours)
            rows = [(prompt, f"{cosine:.3f}") for prompt, cosine in found]
            console.print(_table((f"nearest to {text!r}", "cosine"), rows))
        pairs = embedded.collisions(self.collisions)
        if pairs:
            rows = [(first, second, f"{cosine:.3f}") for first, second, cosine in pairs]
            console.print(_table(("prompt", "prompt of another class", "cosine"), rows))
        else:
            console.print(f"no prompts of different classes above a cosine of {self.collisions}")
        if self.out is not None:
            save_embeddings(embedded, self.out)
            console.print(f"written: {self.out}")


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    """A table of texts as they stand."""
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for name in header:
        table.add_column(Text(name))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table
