# SPDX-License-Identifier: Apache-2.0
"""Captions of crops: true names, colours and materials, in many forms."""

import random
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from langocc.teachers.city_clip.lexicon import SKY, Kind, Lexicon, bind, lexicon
from langocc.teachers.text import load_vocabulary, prompt_templates

_PLAIN = (
    "{}",
    "{}",
    "{}",
    "a {}",
    "the {}",
    "a photo of a {}",
    "a photo of the {}",
    "a photo of {}",
    "there is a {}",
    "this is a {}",
    "a {} on the street",
    "a {} in the city",
)
_PAIRS = ("{} and {}", "{} next to {}", "{} with {}", "{} near {}")
_ORDERED = ("{} in front of {}", "{} before {}", "{}, behind it {}")
_SENTENCE_WORDS = 5
"""A name of so many words stands alone: no attribute goes before it."""


class Caption(NamedTuple):
    """A text and the words it claims; attributes are bound to a class (`red@car`)."""

    text: str
    said: tuple[str, ...]


def caption(
    kinds: Sequence[Kind], generator: random.Random, *, is_ordered: bool = False
) -> Caption:
    """A caption of a crop, true of it.

    Args:
        kinds: What it shows, the most important first; up to three are spoken of.
        generator: Source of choices.
        is_ordered: The first is in front of the second.
    """
    words = lexicon()
    first, said = phrase(kinds[0], generator, words)
    if len(kinds) == 1 or len(first.split()) >= _SENTENCE_WORDS:
        forms = prompt_templates() if generator.random() < 0.5 else _PLAIN
        return Caption(generator.choice(forms).format(first), said)
    parts, claims = [_with_article(first, generator)], [*said]
    for kind in kinds[1:3]:
        name, said = phrase(kind, generator, words, is_short=True)
        parts.append(_with_article(name, generator))
        claims.extend(said)
    if len(parts) == 2:
        forms = _ORDERED if is_ordered and generator.random() < 0.5 else _PAIRS
        return Caption(generator.choice(forms).format(*parts), tuple(claims))
    start = generator.choice(("", "a street with ", "a view of ", "a city scene with "))
    return Caption(f"{start}{', '.join(parts[:-1])} and {parts[-1]}", tuple(claims))


def phrase(
    kind: Kind, generator: random.Random, words: Lexicon, *, is_short: bool = False
) -> tuple[str, tuple[str, ...]]:
    """A name with some of its attributes, and what that claims."""
    name = _name(kind, generator, words, is_short=is_short)
    claims = [name]
    spoken = []
    if len(name.split()) < _SENTENCE_WORDS and kind != SKY:
        for attribute in words.attributes(kind):
            if generator.random() < (0.5 if attribute == kind.colour else 0.25):
                spoken.append(generator.choice(words.said_as(attribute)))
                claims.append(bind(attribute, kind))
    return " ".join([*spoken, name]), tuple(claims)


def _name(kind: Kind, generator: random.Random, words: Lexicon, *, is_short: bool) -> str:
    of_noun, of_class, rare = (
        words.noun_names(kind),
        words.class_names(kind),
        words.rare_names(kind),
    )
    draw = generator.random()
    if rare and draw < 0.06 and not is_short:
        return generator.choice(rare)
    if of_class and draw < 0.55:
        name = generator.choice(of_class)
        if not (is_short and len(name.split()) >= _SENTENCE_WORDS):
            return name
    return generator.choice(of_noun)


def _with_article(name: str, generator: random.Random) -> str:
    return generator.choice(("a ", "the ", "")) + name


def corpus(kinds: Sequence[Kind], count: int, seed: int = 0) -> Iterator[str]:
    """Texts to learn a tokenizer from: captions, every shipped prompt, every template, twice."""
    generator = random.Random(seed)
    words = lexicon()
    for _ in range(2):
        for vocabulary in ("v1", "v2", "city"):
            yield from load_vocabulary(vocabulary).prompts
        yield from (form.format("") for form in prompt_templates())
        for part in (words.classes, words.nouns, words.rare):
            for names in part.values():
                yield from names
    for _ in range(count):
        yield caption(generator.choices(kinds, k=generator.randint(1, 3)), generator).text
