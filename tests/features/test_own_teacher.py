# SPDX-License-Identifier: Apache-2.0
"""The code of docs/own_teacher.md, with a small TIPSv2 of random weights."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from small_drive import HEIGHT, WIDTH
from torch.nn import functional

from langocc.features.extract import extract_features
from langocc.features.prepare import prepare_rays
from langocc.features.scene_writer import CodecConfig
from langocc.features.sources import RayConfig
from langocc.features.targets import sky_rule
from langocc.scenes.images import read_image
from langocc.teachers.teacher import Teacher
from langocc.teachers.text import Vocabulary

PAGE = Path(__file__).parents[2] / "docs" / "own_teacher.md"


class Letters(dict):
    """Token ids and mask, as a tokenizer gives them."""

    def to(self, device):
        return self


def by_letters(texts, padding, max_length, truncation, return_tensors):
    """A tokenizer: one id a letter."""
    ids = torch.zeros(len(texts), max_length, dtype=torch.long)
    for row, text in zip(ids, texts, strict=True):
        codes = torch.tensor([ord(letter) % 63 + 1 for letter in text][:max_length])
        row[: len(codes)] = codes
    return Letters(input_ids=ids, attention_mask=(ids > 0).long())


@pytest.fixture(scope="module")
def tips():
    """The page's teacher."""
    pytest.importorskip("transformers.models.tipsv2", reason="this transformers has no TIPSv2")
    from transformers import Tipsv2Config, Tipsv2Model

    tower = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    torch.manual_seed(0)
    model = Tipsv2Model(
        Tipsv2Config(
            text_config=tower | {"vocab_size": 64, "intermediate_size": 64},
            vision_config=tower | {"image_size": 56, "num_register_tokens": 1},
        )
    )
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    names: dict = {}
    exec(compile(code, str(PAGE), "exec"), names)
    return names["Tips"](model, by_letters, "tips", image_height_px=70)


def test_the_page_s_class_is_a_teacher(tips):
    assert isinstance(tips, Teacher)
    assert re.fullmatch(r"tips-[0-9a-f]{8}-h70", tips.id)
    images = torch.randint(0, 256, (2, 3, HEIGHT, WIDTH), dtype=torch.uint8)
    dense = tips.dense(images)
    assert dense.shape == (2, 32, 5, 9)  # 70 x 126 pixels in patches of 14
    features = tips.sample(dense[0], torch.tensor([[9.0, 160 / 18]]), (HEIGHT, WIDTH))
    first = functional.normalize(dense[0, :, 0, 0], dim=0)  # the middle of the first patch
    torch.testing.assert_close(features[0], first)
    words = tips.text(["a red car", "a tree", "sky"])
    torch.testing.assert_close(words.norm(dim=1), torch.ones(3))
    plain = tips.text(["a tree", "a red car"], templates=False)
    assert (plain[0] - words[1]).abs().max() > 1e-3


def test_patches_stand_where_the_model_puts_them(tips):
    """Without attention between them, a patch's feature depends on its own pixels alone."""
    image = torch.randint(0, 256, (1, 3, 70, 126), dtype=torch.uint8)
    other = image.clone()
    other[..., 28:42, 84:98] = 255 - other[..., 28:42, 84:98]  # patch of row 2, column 6
    layers, tips.model.vision_model.encoder.layer = (
        tips.model.vision_model.encoder.layer,
        torch.nn.ModuleList(),
    )
    changed = (tips.dense(image) - tips.dense(other)).abs().amax(1)[0] > 1e-4
    tips.model.vision_model.encoder.layer = layers
    assert changed.nonzero().tolist() == [[2, 6]]


def test_it_fills_a_store(tips, drive, tmp_path):
    config = RayConfig(source="random", rays_per_frame=200)
    rays, _ = prepare_rays(drive, ["scene-b"], config, tmp_path / "rays")
    sky = sky_rule(tips, Vocabulary("words", ("sky", "road"), (0, 11)))
    store, report = extract_features(
        drive, rays, ["scene-b"], tmp_path / "store", tips, sky, CodecConfig("fp16")
    )
    report.raise_failures()
    assert store.record.teacher == tips.id
    frame = drive.scenes["scene-b"][0]
    rows = store.shard("scene-b").read(frame.token)
    features = store.shard("scene-b").codec.decode(torch.from_numpy(rows["code"].copy()))
    camera = next(iter(frame.cameras.values()))
    image = torch.from_numpy(np.array(read_image(camera.image_path))).permute(2, 0, 1)[None]
    ours = rows["camera"] == 0
    pixels = torch.from_numpy(rows["pixel"][ours].copy())
    expected = tips.sample(tips.dense(image)[0], pixels, (HEIGHT, WIDTH))
    torch.testing.assert_close(features[ours], expected, atol=1e-3, rtol=0)
