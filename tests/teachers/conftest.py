# SPDX-License-Identifier: Apache-2.0
"""A tiny random CLIP as a folder, and the recipe for the recorded weights."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_kit import tiny_clip

from langocc.teachers.city_clip.tokenizer import save_tokenizer, train_tokenizer


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP that `load_teacher` reads as it reads one of the hub."""
    folder = tmp_path_factory.mktemp("tiny-clip")
    tiny_clip().save_pretrained(folder)
    tokenizer = train_tokenizer(["a red car in front of a building", "a green tree"], size=400)
    save_tokenizer(tokenizer, folder, context=20)
    return folder


@pytest.fixture(scope="session")
def recorded_weight(parity_dir: Path) -> Callable[[str, tuple[int, ...], set[str]], torch.Tensor]:
    """The recipe by which the recorded arrays' weights were made: name and shape to values."""
    spec = importlib.util.spec_from_file_location("gen_inputs", parity_dir / "gen_inputs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def make(
        name: str, shape: tuple[int, ...], names: set[str], image: bool = False
    ) -> torch.Tensor:
        if image:
            return torch.from_numpy(np.asarray(module.maskclip_image()))
        return torch.from_numpy(np.asarray(module.weight(name, shape, names)))

    return make
