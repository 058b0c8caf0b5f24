# SPDX-License-Identifier: Apache-2.0
"""Vocabularies, templates, and a prompt's mean over them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from langocc.errors import ConfigError
from langocc.teachers.text import (
    Vocabulary,
    average_over_templates,
    load_vocabulary,
    prompt_templates,
)


def test_shipped_vocabularies_are_the_protocols(parity_dir: Path) -> None:
    told = json.loads((parity_dir.parent / "spec" / "vocabulary.json").read_text())
    for name in ("v1", "v2"):
        vocabulary = load_vocabulary(name)
        expected = [p for c in told["classes"] for p in told[name][c]]
        assert list(vocabulary.prompts) == expected
    assert list(prompt_templates()) == told["templates"]


@pytest.mark.parity
def test_classes_of_prompts_are_the_recorded_ones(parity_dir: Path) -> None:
    recorded = np.load(parity_dir / "classes.npz")
    occ3d_of_class = recorded["nusc_v1_to_class_map"]  # position of a class -> Occ3D id
    for name in ("v1", "v2"):
        expected = occ3d_of_class[recorded[f"vocab_{name}_class_of_text"]]
        np.testing.assert_array_equal(load_vocabulary(name).class_of_prompt(), expected)


def test_counts() -> None:
    assert len(load_vocabulary("v1").prompts) == 76
    assert len(load_vocabulary("v2").prompts) == 17
    assert len(prompt_templates()) == 85
    assert set(load_vocabulary("city").class_ids) == set(range(17))


def encode(texts: Sequence[str]) -> torch.Tensor:
    """Vectors that depend on every letter and are far from unit length."""
    codes = [torch.tensor([ord(c) for c in text.ljust(4)[:40]]).float() for text in texts]
    return torch.stack([torch.stack([c.sum(), c.std(), c[0], c[-1]]) for c in codes])


def test_mean_over_templates_is_normalised_before_and_after() -> None:
    forms = ("a {}.", "the big {}")
    found = average_over_templates(encode, ["car", "tree"], forms)
    for row, prompt in zip(found, ["car", "tree"], strict=True):
        unit = [functional.normalize(encode([form.format(prompt)])[0], dim=0) for form in forms]
        torch.testing.assert_close(row, functional.normalize(sum(unit) / 2, dim=0))


def test_own_vocabulary_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("car: [taxi, 'red {} car']\nbackground: [Himmel über Köln]\n", encoding="utf-8")
    vocabulary = load_vocabulary(path)
    assert vocabulary == Vocabulary("mine", ("taxi", "red {} car", "Himmel über Köln"), (4, 4, 0))
    found = average_over_templates(encode, vocabulary.prompts, ("a {}",))
    assert found.shape == (3, 4)  # braces in a prompt are text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cars: [taxi]", "unknown class 'cars'"),
        ("car: taxi", "lists of prompts"),
        ("car: [3]", "lists of prompts"),
        ("car: ['']", "no empty ones"),
        ("{}", "at least one prompt"),
        ("car: [", "not readable as YAML"),
    ],
)
def test_what_is_no_vocabulary_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message) as error:
        load_vocabulary(path)
    assert str(path) in str(error.value)


def test_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match="city, v1, v2"):
        load_vocabulary("v3")


def test_every_prompt_needs_a_class() -> None:
    with pytest.raises(ValueError, match="2 prompts and 1 ids"):
        Vocabulary("odd", ("a", "b"), (1,))
