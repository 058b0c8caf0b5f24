"""The text side of a model: with prompt templates, or without, wherever it is asked."""

import torch

from langocc.speaking import Speaker
from langocc.teachers.load import load_teacher
from langocc.teachers.text import load_vocabulary


def test_templates_are_one_switch_for_texts_and_classes():
    teacher, vocabulary = load_teacher("city-clip"), load_vocabulary("city")
    averaged, plain = Speaker(teacher), Speaker(teacher, templates=False)
    texts = ["a red car", "a tree"]
    assert torch.equal(plain.vectors(texts), teacher.text(texts, templates=False))
    assert torch.equal(averaged.vectors(texts), teacher.text(texts))
    assert not torch.allclose(plain.vectors(texts), averaged.vectors(texts), atol=1e-3)
    prompts = teacher.text(vocabulary.prompts, templates=False)
    assert torch.equal(plain.classes(vocabulary).vectors, prompts)
