# SPDX-License-Identifier: Apache-2.0
"""Regions, batches, loss and the training of the city's CLIP, on toy views."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional
from toy import KINDS, toy_kinds, toy_views
from transformers import CLIPModel

from langocc.teachers.city_clip.captions import corpus
from langocc.teachers.city_clip.contrast import caption_is_true, caption_loss
from langocc.teachers.city_clip.network import (
    city_config,
    crop_features,
    region_features,
    save_clip,
)
from langocc.teachers.city_clip.pool import RegionBatch, ViewPool, cut_crops, normalised
from langocc.teachers.city_clip.regions import choose_regions
from langocc.teachers.city_clip.tokenizer import train_tokenizer
from langocc.teachers.city_clip.train import TrainCityClip
from langocc.teachers.city_clip.views import WORDS, SceneTask, SceneViews, make_scene
from langocc.teachers.load import CITY_CLIP_FOLDER, load_teacher
from langocc.teachers.maskclip import MaskClip


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> SceneTask:
    path = tmp_path_factory.mktemp("tokens") / "tokenizer.json"
    train_tokenizer(corpus(KINDS, 2000), 800).save(str(path))
    return SceneTask(5, 0, 6, 160, 96, 16, 4, path, is_test=True)


@pytest.fixture(scope="module")
def scene(task: SceneTask) -> SceneViews:
    return make_scene(task, toy_views)


def test_a_region_is_about_what_dominates_it(task: SceneTask) -> None:
    view = toy_views(task)[0]
    regions = choose_regions(view, 40, np.random.default_rng(0))
    assert len(regions) == 40
    for region in regions:
        left, top, right, bottom = region.box
        assert right - left >= 5
        assert bottom - top >= 5
        assert set(region.spoken) <= set(region.shown)
        if region.is_local:
            part = view.kind[
                max(0, int(top)) : int(np.ceil(bottom)), max(0, int(left)) : int(np.ceil(right))
            ]
            share = (part == region.spoken[0]).mean()
            assert share == pytest.approx(region.share, abs=0.12)  # large boxes are read sparsely
            assert share > 0.15


def test_the_same_task_gives_the_same_scene(task: SceneTask, scene: SceneViews) -> None:
    again = make_scene(task, toy_views)
    for name in ("rgb", "boxes", "tokens", "said", "true", "classes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scene, name))


def test_every_caption_is_true_of_its_own_region(scene: SceneViews) -> None:
    true = torch.from_numpy(scene.true[scene.is_region]).long()
    for slot in range(scene.said.shape[2]):
        said = torch.from_numpy(scene.said[scene.is_region][:, slot]).long()
        assert caption_is_true(true, said, WORDS).diagonal().all()


def test_a_caption_true_of_another_crop_is_no_negative() -> None:
    true = torch.tensor([[1, 2, 3], [1, 2, -1], [4, -1, -1]])
    said = torch.tensor([[1, 3], [1, -1], [4, -1]])
    is_true = caption_is_true(true, said, 8)
    expected = torch.tensor([[1, 1, 0], [0, 1, 0], [0, 0, 1]]).bool()
    torch.testing.assert_close(is_true, expected)
    generator = torch.Generator().manual_seed(0)
    images, texts = functional.normalize(
        torch.randn(2, 3, 8, generator=generator, dtype=torch.float64), dim=-1
    )
    cosine = images @ texts.T
    loss = caption_loss(images, texts, is_true, torch.tensor(10.0, dtype=torch.float64))
    total = 0.0
    for i in range(3):  # image i against captions, caption i against images, without (0, 1)
        row = [10 * cosine[i, j] for j in range(3) if (i, j) != (0, 1)]
        column = [10 * cosine[j, i] for j in range(3) if (j, i) != (0, 1)]
        for line in (row, column):
            total += float(torch.stack(line).logsumexp(0) - 10 * cosine[i, i]) / 6
    assert float(loss) == pytest.approx(total)


def test_flipped_views_keep_their_regions(scene: SceneViews) -> None:
    pool = ViewPool(torch.device("cpu"), seed=3)
    pool.add(scene)
    for _ in range(6):  # flips and other exposures
        batch = pool.sample(4, 6)
        crops = cut_crops(batch, 6, 8)
        assert crops.shape == (24, 3, 8, 8)
        assert batch.tokens.shape[:2] == (4, 6)
        left, top, right, bottom = batch.boxes.unbind(-1)
        assert (left < right).all()
        assert (top < bottom).all()
    assert pool.views == 6


def test_a_crop_shows_its_box() -> None:
    batch_views = torch.zeros(1, 3, 32, 64)
    batch_views[:, 0, 8:16, 16:48] = 1.0
    box = torch.tensor([[[16 / 64, 8 / 32, 48 / 64, 16 / 32]]])
    none = torch.zeros(1, 1, 1, dtype=torch.int64)
    flags = torch.ones(1, 1, dtype=torch.bool)
    batch = RegionBatch(batch_views, box, flags, flags, none, none, none)
    found = cut_crops(batch, 1, 8)
    red = torch.zeros(1, 3, 8, 8)
    red[:, 0] = 1
    inside = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # the rim mixes with outside
    torch.testing.assert_close(found[inside], normalised(red)[inside])


def test_region_features_are_read_at_the_box() -> None:
    torch.manual_seed(0)
    model = CLIPModel(city_config()).eval()
    pixels = torch.randn(1, 3, 32, 64)
    boxes = torch.tensor([[[0.0, 0.0, 0.25, 0.5], [0.7, 0.5, 1.0, 1.0]]])
    with torch.no_grad():
        found = region_features(model, pixels, boxes)
        assert found.shape == (1, 2, 512)
        torch.testing.assert_close(found.norm(dim=-1), torch.ones(1, 2))
        flipped = region_features(model, pixels, boxes.flip(1))
        torch.testing.assert_close(flipped.flip(1), found)
        assert crop_features(model, pixels).shape == (1, 512)


def test_saved_network_is_small_and_loads_as_any_clip(tmp_path: Path, task: SceneTask) -> None:
    from langocc.teachers.city_clip.tokenizer import save_tokenizer

    save_tokenizer(train_tokenizer(corpus(KINDS, 500), 700), tmp_path, 64)
    torch.manual_seed(0)
    model = CLIPModel(city_config()).eval()
    save_clip(model, tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size <= 8e6
    teacher = load_teacher(str(tmp_path))
    assert isinstance(teacher, MaskClip)
    assert teacher.channels == 512
    again = teacher.model.state_dict()
    for key, value in model.state_dict().items():
        torch.testing.assert_close(again[key], value, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_one_command_trains_evaluates_and_learns(tmp_path: Path) -> None:
    TrainCityClip(
        out=tmp_path / "clip",
        minutes=0.75,
        workers=1,
        scenes=3,
        test_scenes=2,
        views=16,
        test_views=3,
        width=96,
        height=64,
        batch_views=6,
        batch_regions=8,
        batch_crops=3,
        device="cpu",
    ).run(toy_views, toy_kinds)
    folder = tmp_path / "clip"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    report = json.loads((folder / "report.json").read_text())
    assert lines[-1]["region"] < lines[0]["region"]
    assert report["training"]["steps"] >= 3
    assert report["training"]["views"] == 48
    assert report["id"] == f"city-clip-{load_teacher(str(folder)).id.rsplit('-', 1)[1]}"
    assert (folder / "views.png").stat().st_size > 1000


@pytest.mark.slow
def test_shipped_clip_labels_an_unseen_street() -> None:
    """Zero-shot on a scene that neither training nor its report has seen."""
    from langocc.teachers.city_clip.evaluate import dense_iou
    from langocc.teachers.city_clip.shots import city_views
    from langocc.teachers.text import load_vocabulary

    assert (CITY_CLIP_FOLDER / "model.safetensors").stat().st_size <= 8e6
    teacher = load_teacher("city-clip")
    assert isinstance(teacher, MaskClip)
    told = json.loads((CITY_CLIP_FOLDER / "report.json").read_text())
    assert teacher.id == told["id"]
    task = SceneTask(90_001, 0, 6, 400, 225, 8, 1, CITY_CLIP_FOLDER / "tokenizer.json", True)
    found = dense_iou(teacher, [make_scene(task, city_views)], [load_vocabulary("v1")])["v1"]
    assert found["pixel_accuracy"] > 0.75
    assert found["per_class"]["driveable_surface"] > 0.7
    red, blue = teacher.text(["a red car", "a blue car"])
    assert red @ blue < 0.9
