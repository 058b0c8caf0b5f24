# SPDX-License-Identifier: Apache-2.0
"""The words of the city: what a thing may truly be called."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import TypeAdapter

from langocc.scenes.city import pairs
from langocc.scenes.city.categories import CATEGORY
from langocc.scenes.city.world import Thing
from langocc.scenes.occ3d import OCC3D_CLASSES
from langocc.teachers.text import BACKGROUND


class Kind(NamedTuple):
    """What captions tell apart: things of one class, noun, colour and material are one kind."""

    class_name: str
    noun: str
    colour: str = ""
    material: str = ""


SKY = Kind(BACKGROUND, "sky")
"""What is seen where a ray meets nothing."""


def kind_of(thing: Thing) -> Kind:
    """The kind of a thing of the world."""
    occ3d_id = CATEGORY[thing.category].occ3d_id
    name = OCC3D_CLASSES[occ3d_id] if occ3d_id else BACKGROUND
    return Kind(name, thing.noun, thing.colour, thing.material)


def class_id(kind: Kind) -> int:
    """Occ3D id of a kind; 0 for the sky and for what no class covers."""
    return 0 if kind.class_name == BACKGROUND else OCC3D_CLASSES.index(kind.class_name)


@dataclass(frozen=True)
class Lexicon:
    """Names; the file explains each part.

    Attributes:
        classes: Class name -> names of everything in it.
        nouns: Noun -> all its names.
        rare: Class name -> names of things of that class that the city lacks.
        spoken: Colour or material -> how it is said before a noun.
    """

    classes: Mapping[str, Sequence[str]]
    nouns: Mapping[str, Sequence[str]]
    rare: Mapping[str, Sequence[str]]
    spoken: Mapping[str, Sequence[str]]

    def noun_names(self, kind: Kind) -> Sequence[str]:
        """Names of its noun."""
        return self.nouns.get(kind.noun, (kind.noun,))

    def class_names(self, kind: Kind) -> Sequence[str]:
        """Names of its class; none for what is neither sky nor in a class."""
        if kind.class_name == BACKGROUND and kind.noun != SKY.noun:
            return ()
        return self.classes[kind.class_name]

    def rare_names(self, kind: Kind) -> Sequence[str]:
        """Names of what its class would hold elsewhere."""
        if kind.class_name == BACKGROUND and kind.noun != SKY.noun:
            return ()
        return self.rare.get(kind.class_name, ())

    def attributes(self, kind: Kind) -> tuple[str, ...]:
        """Attributes a caption may say of it: all but the held-out ones."""
        return tuple(
            word
            for word in (kind.colour, kind.material)
            if word and self.said_as(word) and not self.is_held_out(word, kind)
        )

    def said_as(self, attribute: str) -> Sequence[str]:
        """How an attribute is said before a noun; none if never."""
        return self.spoken.get(attribute, (attribute,))

    def is_held_out(self, attribute: str, kind: Kind) -> bool:
        """Whether no caption says this attribute of this kind."""
        return pairs.is_held_out(attribute, kind.noun, kind.class_name)

    def true_words(self, kind: Kind) -> set[str]:
        """Everything a caption may say of it that is true, attributes bound to the class."""
        names = {*self.noun_names(kind), *self.class_names(kind), *self.rare_names(kind)}
        bound = {bind(part, kind) for word in self.attributes(kind) for part in parts_of(word)}
        return names | bound


def bind(attribute: str, kind: Kind) -> str:
    """An attribute as said of something: `red@car`."""
    return f"{attribute}@{kind.class_name}"


def parts_of(attribute: str) -> tuple[str, ...]:
    """An attribute and what it implies: dark red is red."""
    shade, _, base = attribute.partition(" ")
    return (attribute, base) if shade in ("dark", "light") and base else (attribute,)


@cache
def lexicon() -> Lexicon:
    """The lexicon that comes with the package."""
    content = yaml.safe_load((Path(__file__).parent / "lexicon.yaml").read_text(encoding="utf-8"))
    return TypeAdapter(Lexicon).validate_python(content)
