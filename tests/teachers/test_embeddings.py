# SPDX-License-Identifier: Apache-2.0
"""Embedded vocabularies, and the verbs `vocab` and `reduce`."""

from pathlib import Path

import numpy as np
import pytest
import torch
from original_kit import original_names
from torch.nn import functional
from transformers import CLIPModel

from langocc.cli import run
from langocc.errors import DataError
from langocc.features.codecs import Fp16
from langocc.features.rows import row_dtype
from langocc.features.shard import write_shard
from langocc.features.store import create_store
from langocc.features.store_record import StoreRecord
from langocc.teachers.embeddings import (
    EmbeddedVocabulary,
    embed_vocabulary,
    load_embeddings,
    save_embeddings,
)
from langocc.teachers.load import load_teacher
from langocc.teachers.reducer import load_reducer, principal_reducer
from langocc.teachers.reducer_loss import reducer_loss
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


@pytest.mark.parametrize("query", ["", "[/b] car", "[red]", "日本語 🚲", "tree " * 200])
def test_any_query_has_neighbours(
    query: str, clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Empty, with brackets that colour a terminal, not ASCII, longer than the context."""
    words = tmp_path / "mine.yaml"
    words.write_text("car: ['[/b] taxi', auto]\nvegetation: [Bäume]\n", encoding="utf-8")
    line = ["vocab", str(words), "--teacher", str(clip_folder), "--no-templates"]
    assert run([*line, "--query", query, "--neighbours", "9", "--collisions", "-1"]) == 0
    told = capsys.readouterr().out
    assert told.count("[/b] taxi") >= 2
    assert "Bäume" in told


@pytest.mark.parametrize("method", ["trained", "principal"])
def test_reduce_gives_the_same_file_again(method: str, clip_folder: Path, tmp_path: Path) -> None:
    files = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for file in files:
        options = ["--teacher", str(clip_folder), "--vocabulary", "v2", "--channels", "8"]
        assert run(["reduce", str(file), *options, "--method", method, "--steps", "20"]) == 0
    first, second = (load_reducer(file) for file in files)
    assert torch.equal(first[0].U, second[0].U)
    assert first[1] == second[1]


def test_templates_can_be_left_out_everywhere(
    clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = load_teacher(str(clip_folder))
    file = tmp_path / "file.safetensors"
    options = ["--teacher", str(clip_folder), "--no-templates"]
    assert run(["vocab", "v2", *options, "--out", str(file)]) == 0
    plain = teacher.text(load_vocabulary("v2").prompts, templates=False)
    embedded = load_embeddings(file)
    torch.testing.assert_close(embedded.vectors, plain)
    assert not embedded.has_templates
    line = ["reduce", str(file), *options, "--vocabulary", "v2", "--channels", "4"]
    assert run([*line, "--method", "principal"]) == 0
    reducer, facts = load_reducer(file)
    torch.testing.assert_close(reducer.U, principal_reducer(plain, 4).U)
    assert facts["templates"] == "false"
    assert "prompts come back with a cosine of" in capsys.readouterr().out


def test_a_checkpoint_file_says_which_clip_reads_its_words(
    clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file has no tokenizer; vocab and reduce take the CLIP that has it from --text."""
    file, out = tmp_path / "original.pt", tmp_path / "words.safetensors"
    torch.save(original_names(CLIPModel.from_pretrained(clip_folder).state_dict()), file)
    options = ["--teacher", str(file), "--text", str(clip_folder)]
    assert run(["vocab", "v2", *options, "--out", str(out)]) == 0
    told = load_teacher(str(file), text=str(clip_folder))
    expected = told.text(load_vocabulary("v2").prompts)
    torch.testing.assert_close(load_embeddings(out).vectors, expected)
    line = ["reduce", str(out), *options, "--vocabulary", "v2", "--channels", "8", "--steps", "1"]
    assert run(line) == 0
    assert load_reducer(out)[1]["teacher"] == told.id
    nowhere = ["vocab", "v2", "--teacher", str(file), "--text", str(tmp_path / "none")]
    assert run(nowhere) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "original.pt: holds no tokenizer; the CLIP that reads its words (--text)" in told
    assert "none': no such folder" in told


def write_store(folder: Path, teacher: str, channels: int, rows: int = 64) -> torch.Tensor:
    """A store of one scene with one frame of random unit features; returns them."""
    generator = torch.Generator().manual_seed(3)
    features = functional.normalize(torch.randn(rows, channels, generator=generator), dim=-1)
    record = StoreRecord(teacher, channels, "fp16", {"source": "grid"})
    store, codec = create_store(folder, record), Fp16(channels)
    code = codec.encode(features).numpy()
    raw = np.zeros(rows, dtype=row_dtype(code.shape[1]))
    raw["code"] = code
    with write_shard(store.path_of("scene"), "scene", record, codec) as writer:
        writer.add("frame", raw)
    return features


def test_reduce_judges_by_a_store_of_any_form_of_the_teacher(
    clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Form and image size of the store's teacher change features, not words."""
    teacher = load_teacher(str(clip_folder))
    features = write_store(tmp_path / "store", f"{teacher.id}-naclip-h450", 24)
    out = tmp_path / "reducer.safetensors"
    options = ["--teacher", str(clip_folder), "--vocabulary", "v2", "--store"]
    line = ["reduce", str(out), *options, str(tmp_path / "store"), "--channels", "8"]
    assert run([*line, "--method", "features"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    vocabulary = load_vocabulary("v2")
    words, ids = teacher.text(vocabulary.prompts), vocabulary.class_of_prompt()
    loss = reducer_loss(load_reducer(out)[0], words, ids, features.half().float())
    assert f"prompts come back with a cosine of {loss.cosine:.4f}" in told
    assert f"{loss.changed:.2%} of 64 rays answer with another class" in told


def test_reduce_refuses_stores_that_do_not_fit(
    clip_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A CLIP with another projection size than the store, and a store without a ray."""
    teacher = load_teacher(str(clip_folder))
    write_store(tmp_path / "wide", "clip-of-40-1234", 40)
    write_store(tmp_path / "empty", teacher.id, 24, rows=0)
    options = ["--teacher", str(clip_folder), "--vocabulary", "v2", "--channels", "8", "--store"]
    line = ["reduce", str(tmp_path / "out"), *options]
    assert run([*line, str(tmp_path / "wide")]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert f"expected features of the teacher '{teacher.id}'" in told
    assert "found 'clip-of-40-1234' with 40 channels" in told
    assert run([*line, str(tmp_path / "empty")]) == 1
    assert "expected rays that see something" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
