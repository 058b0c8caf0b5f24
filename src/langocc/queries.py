# SPDX-License-Identifier: Apache-2.0
"""Texts that people look for: what can be read, and what to tell them about their words."""

import re
from collections.abc import Sequence

from langocc.errors import ConfigError
from langocc.teachers.load import CITY_CLIP
from langocc.teachers.maskclip import MaskClip
from langocc.teachers.teacher import Teacher

MOST_CHARACTERS = 200
"""Of one query; a CLIP reads a few dozen words at most."""

_LONGEST_WORD = 24
"""Characters of a word that are looked at and shown."""


def check_queries(queries: Sequence[str]) -> None:
    """Refuses what no text encoder reads.

    Raises:
        ConfigError: a query is empty, or longer than `MOST_CHARACTERS`.
    """
    for query in queries:
        if not query.strip():
            raise ConfigError("query: expected a text, got an empty one")
        if len(query) > MOST_CHARACTERS:
            raise ConfigError(
                f"query: expected at most {MOST_CHARACTERS} characters, got {len(query):,}: "
                f"{query[:_LONGEST_WORD]!r} …"
            )


def word_notes(teacher: Teacher, texts: Sequence[str]) -> tuple[str, ...]:
    """What to know about the words of queries; nothing if they are the teacher's own.

    The city's CLIP has one token for each word of its captions, so a word of several tokens is new
    to it. Other CLIPs know most English words; only other scripts are told.
    """
    words = [w[:_LONGEST_WORD] for text in texts for w in re.findall(r"[^\W\d_]+", text)]
    foreign = [w for w in words if not w.isascii()]
    if isinstance(teacher, MaskClip) and teacher.id.startswith(CITY_CLIP):
        tokenizer = teacher.texts.tokenizer
        unknown = [w for w in words if len(tokenizer.tokenize(w)) > 1]
        if not unknown:
            return ()
        said = "The city's CLIP knows English only, and of it the city's own words; new to it: "
        return (f"{said}{_listed(unknown)}. The answer is a guess.",)
    if foreign:
        return (f"This CLIP was taught in English; the answer to {_listed(foreign)} is a guess.",)
    return ()


def _listed(words: Sequence[str], most: int = 5) -> str:
    """Some words in quotes."""
    different = list(dict.fromkeys(words))
    more = ", …" if len(different) > most else ""
    return ", ".join(f"“{word}”" for word in different[:most]) + more
