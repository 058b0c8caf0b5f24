# SPDX-License-Identifier: Apache-2.0
"""Prompts: vocabularies in readable files, the 85 templates, and a prompt's mean over them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
import yaml
from jaxtyping import Float, Int64
from pydantic import TypeAdapter, ValidationError
from torch import Tensor
from torch.nn import functional

from langocc.errors import ConfigError, DataError
from langocc.scenes.occ3d import OCC3D_CLASSES

SHIPPED = Path(__file__).parent / "vocabularies"
"""Where the vocabularies that come with the package lie."""

BACKGROUND = "background"
"""Class of prompts for what is no object (sky, dust); it stands for Occ3D's `others`, id 0."""


@dataclass(frozen=True)
class Vocabulary:
    """Prompts and the Occ3D class each stands for.

    Attributes:
        name: Short name, printed beside every number made with it.
        prompts: Texts, in the order of their embeddings.
        class_ids: Occ3D id (0..16) of each prompt.
    """

    name: str
    prompts: tuple[str, ...]
    class_ids: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuses prompts without a class, and no prompts at all."""
        if not self.prompts or len(self.prompts) != len(self.class_ids):
            raise ValueError(
                f"vocabulary {self.name!r}: expected one class id per prompt and at least one "
                f"prompt, found {len(self.prompts)} prompts and {len(self.class_ids)} ids"
            )

    def class_of_prompt(self) -> Int64[Tensor, " prompt"]:
        """Occ3D id of each prompt, as a tensor to index with."""
        return torch.tensor(self.class_ids)


def load_vocabulary(name: str | Path) -> Vocabulary:
    """A vocabulary by name (`v1`, `v2`, `city`) or from a YAML file of class -> prompts.

    Raises:
        ConfigError: no such name or file, an unknown class, or something that is not a prompt.
    """
    path = SHIPPED / f"{name}.yaml"
    if not path.is_file():
        path = Path(name)
    if not path.is_file():
        shipped = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.yaml")))
        raise ConfigError(f"vocabulary {str(name)!r}: neither a file nor one of {shipped}")
    try:
        content = TypeAdapter(dict[str, list[str]]).validate_python(_read(path), strict=True)
    except ValidationError as error:
        raise ConfigError(
            f"{path}: expected a mapping of class names to lists of prompts: {error}"
        ) from None
    ids = {**{name: i for i, name in enumerate(OCC3D_CLASSES)}, BACKGROUND: 0}
    for name in content.keys() - ids.keys():
        raise ConfigError(f"{path}: unknown class {name!r}; there are {', '.join(ids)}")
    pairs = [(prompt, ids[name]) for name, prompts in content.items() for prompt in prompts]
    if not pairs or not all(prompt.strip() for prompt, _ in pairs):
        raise ConfigError(f"{path}: expected at least one prompt and no empty ones")
    prompts, class_ids = zip(*pairs, strict=True)
    return Vocabulary(path.stem, prompts, class_ids)


@cache
def prompt_templates() -> tuple[str, ...]:
    """The 85 templates of the published protocol; `{}` takes the prompt."""
    content = _read(Path(__file__).parent / "templates.yaml")
    return tuple(TypeAdapter(list[str]).validate_python(content))


def average_over_templates(
    encode: Callable[[Sequence[str]], Float[Tensor, "text channel"]],
    prompts: Sequence[str],
    forms: Sequence[str],
) -> Float[Tensor, "prompt channel"]:
    """Unit vector of each prompt: its encodings in every form, normalised, meant, normalised.

    Args:
        encode: Texts to vectors of any length.
        prompts: The queries; empty gives an empty result.
        forms: Templates with one `{}`; `("{}",)` encodes the prompts as they are.

    Source: method.md section 6.
    """
    texts = [form.format(prompt) for prompt in prompts for form in forms]
    vectors = functional.normalize(encode(texts), dim=-1)
    return functional.normalize(vectors.unflatten(0, (len(prompts), len(forms))).mean(1), dim=-1)


def _read(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not readable as YAML: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
