# SPDX-License-Identifier: Apache-2.0
"""Embedded vocabularies, and the verbs `vocab` and `reduce`."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

from langocc.cli import run
from langocc.errors import DataError
from langocc.teachers.embeddings import (
    EmbeddedVocabulary,
    embed_vocabulary,
    load_embeddings,
    save_embeddings,
)
from langocc.teachers.load import load_teacher
from langocc.teachers.reducer import load_reducer
from langocc.teachers.text import Vocabulary, load_vocabulary

VOCABULARY = Vocabulary("three", ("car", "auto", "tree"), (4, 4, 16))


def embedded() -> EmbeddedVocabulary:
    vectors = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]])
    return EmbeddedVocabulary(VOCABULARY, vectors, "teacher-0")


def test_nearest_prompts_come_first() -> None:
    found = embedded().nearest(torch.tensor([0.6, 0.8]), 2)
    assert [prompt for prompt, _ in found] == ["auto", "tree"]
    assert found[0][1] == pytest.approx(1)
    assert len(embedded().nearest(torch.tensor([1.0, 0.0]), 9)) == 3


def test_collisions_are_between_classes_only() -> None:
    pairs = embedded().collisions(0.5)
    assert [(a, b) for a, b, _ in pairs] == [("auto", "tree"), ("car", "tree")]
    assert pairs[0][2] == pytest.approx(0.96)
    assert embedded().collisions(0.99) == []


def test_embeddings_come_back_from_their_file(tmp_path: Path) -> None:
    path = tmp_path / "three.safetensors"
    save_embeddings(embedded(), path)
    again = load_embeddings(path)
    assert again.vocabulary == VOCABULARY
    assert again.teacher == "teacher-0"
    torch.testing.assert_close(again.vectors, embedded().vectors)
    path.write_bytes(b"{}")
    with pytest.raises(DataError, match="not a file of embeddings"):
        load_embeddings(path)


def test_verbs_embed_and_reduce(
    clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, reduced = tmp_path / "v2.safetensors", tmp_path / "reducer.safetensors"
    arguments = ["v2", "--teacher", str(clip_folder), "--query", "red car"]
    arguments += ["--query", "tree", "--out", str(kept)]
    assert run(["vocab", *arguments]) == 0
    told = capsys.readouterr().out
    assert "nearest to 'red car'" in told
    assert "nearest to 'tree'" in told
    teacher = load_teacher(str(clip_folder))
    expected = embed_vocabulary(teacher, load_vocabulary("v2"))
    torch.testing.assert_close(load_embeddings(kept).vectors, expected.vectors)
    options = ["--teacher", str(clip_folder), "--vocabulary", "v2", "--channels", "8"]
    assert run(["reduce", str(reduced), *options, "--steps", "5"]) == 0
    reducer, facts = load_reducer(reduced)
    assert reducer.U.shape == (24, 8)
    assert facts["teacher"] == teacher.id
    assert functional.normalize(expected.vectors @ reducer.U, dim=-1).isfinite().all()
    assert run(["reduce", str(reduced), *options[:-1], "99"]) == 1
    assert "the teacher has 24" in capsys.readouterr().err
