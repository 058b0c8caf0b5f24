# SPDX-License-Identifier: Apache-2.0
"""Teachers from folders: what they give, and what is said when files are not there."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from clip_kit import tiny_clip
from PIL import Image
from torch.nn import functional
from transformers import CLIPModel

from langocc.errors import ConfigError, DataError
from langocc.scenes.images import read_image
from langocc.teachers.load import load_teacher
from langocc.teachers.maskclip import MaskClip, dense_features


@pytest.fixture(scope="module")
def teacher(clip_folder: Path) -> MaskClip:
    loaded = load_teacher(str(clip_folder))
    assert isinstance(loaded, MaskClip)
    return loaded


def pictures(count: int = 2, height: int = 45, width: int = 81) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), generator=generator, dtype=torch.uint8)


def test_known_ids(teacher: MaskClip) -> None:
    """A tokenizer that quietly knows nothing would give the same id for every word."""
    ids = teacher.texts.tokenizer(["A red car", "a red  car"])["input_ids"]
    assert ids[0] == [0, 259, 283, 276, 1]
    assert len(set(ids[0])) == 5


def test_any_text_has_a_unit_vector_of_its_own(teacher: MaskClip) -> None:
    texts = ["a red car", "", "日本語 über", "tree " * 200, "🚲"]
    vectors = teacher.text(texts, templates=False)
    torch.testing.assert_close(vectors.norm(dim=-1), torch.ones(len(texts)))
    assert torch.pdist(vectors).min() > 1e-4
    assert teacher.text([]).shape == (0, 24)


def test_over_long_text_is_cut_before_its_end_mark(teacher: MaskClip) -> None:
    long, longer = "tree " * 200, "tree " * 300
    found = teacher.text([long, longer], templates=False)
    torch.testing.assert_close(found[0], found[1])


def test_a_text_does_not_depend_on_its_batch(teacher: MaskClip, clip_folder: Path) -> None:
    alone = load_teacher(str(clip_folder)).text(["car"], templates=False)
    mixed = teacher.text(["a very long text about a building", "car"], templates=False)[1:]
    torch.testing.assert_close(alone, mixed, rtol=1e-4, atol=1e-5)


def test_text_equals_transformers_own(teacher: MaskClip) -> None:
    tokens = teacher.texts.tokenizer(["a red car"], return_tensors="pt")
    own = teacher.model.get_text_features(**tokens).pooler_output
    found = teacher.text(["a red car"], templates=False)
    torch.testing.assert_close(found, functional.normalize(own, dim=-1), rtol=1e-4, atol=1e-5)


def test_templates_are_on_unless_told_not_to(teacher: MaskClip) -> None:
    assert (teacher.text(["car"]) - teacher.text(["car"], templates=False)).abs().max() > 1e-4


def test_dense_maps_of_any_size_and_batch(teacher: MaskClip) -> None:
    images = pictures()
    dense = teacher.dense(images)
    assert dense.shape == (2, 24, 6, 10)  # 45 x 81 goes to 48 x 80
    torch.testing.assert_close(teacher.dense(images[1:])[0], dense[1], rtol=1e-4, atol=1e-5)
    assert teacher.dense(pictures(1, 3, 5)).shape == (1, 24, 1, 1)
    points = teacher.sample(dense[0], torch.tensor([[0.0, 0.0], [44.9, 80.9]]), (45, 81))
    torch.testing.assert_close(points.norm(dim=-1), torch.ones(2))
    corner = functional.normalize(dense[0, :, 0, 0], dim=0)  # beyond the outermost cell centres
    torch.testing.assert_close(points[0], corner, rtol=1e-4, atol=1e-5)


def test_whole_image_path_of_transformers_agrees_up_to_the_last_block(teacher: MaskClip) -> None:
    """With the last block's attention in place, the same code gives the model's own tokens."""
    model = teacher.model
    pixels = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    own = model.vision_model(pixel_values=pixels).last_hidden_state
    *_, last = model.vision_model.encoder.layers
    seen: list[torch.Tensor] = []
    handle = last.register_forward_hook(lambda _m, args, out: seen.extend([args[0], out]))
    model.vision_model(pixel_values=pixels)
    handle.remove()
    hidden = seen[0] + last.self_attn.out_proj(last.self_attn.v_proj(last.layer_norm1(seen[0])))
    hidden = hidden + last.mlp(last.layer_norm2(hidden))
    expected = model.visual_projection(model.vision_model.post_layernorm(hidden))[:, 1:]
    found = dense_features(model, pixels).flatten(2).transpose(1, 2)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(seen[1], own, rtol=1e-4, atol=1e-5)


def test_forms_differ_and_have_ids_of_their_own(clip_folder: Path) -> None:
    teachers = [load_teacher(str(clip_folder), f) for f in ("published", "pure", "sclip", "naclip")]
    maps = [t.dense(pictures(1)) for t in teachers]
    assert len({t.id for t in teachers}) == 4
    for i, one in enumerate(maps):
        assert torch.isfinite(one).all()
        assert all((one - other).abs().max() > 1e-4 for other in maps[:i])


def test_id_is_of_weights_and_preprocessing(clip_folder: Path, tmp_path: Path) -> None:
    first = load_teacher(str(clip_folder)).id
    same = shutil.copytree(clip_folder, tmp_path / "other" / clip_folder.name)
    assert load_teacher(str(same)).id == first
    assert load_teacher(str(clip_folder), image_height_px=64).id == f"{first}-h64"
    assert load_teacher(str(clip_folder), quirks="published").id == f"{first}-quirks"
    assert load_teacher(str(clip_folder), dtype=torch.bfloat16).id == f"{first}-bf16"
    with pytest.raises(ConfigError, match=r"float64: there are torch\.float32"):
        load_teacher(str(clip_folder), dtype=torch.float64)
    model = CLIPModel.from_pretrained(clip_folder)
    with torch.no_grad():
        model.logit_scale += 1
    model.save_pretrained(same)
    assert load_teacher(str(same)).id != first


def test_half_precision_is_near(clip_folder: Path, teacher: MaskClip) -> None:
    half = load_teacher(str(clip_folder), dtype=torch.bfloat16)
    images = pictures(1)
    cosine = functional.cosine_similarity(half.dense(images).float(), teacher.dense(images), dim=1)
    assert cosine.min() > 0.99


def test_another_projection_size(tmp_path: Path, clip_folder: Path) -> None:
    folder = shutil.copytree(clip_folder, tmp_path / "wide")
    tiny_clip(projection=40, patch=16).save_pretrained(folder)
    teacher = load_teacher(str(folder))
    assert teacher.channels == 40
    assert teacher.dense(pictures(1)).shape == (1, 40, 3, 5)
    assert teacher.text(["car"]).shape == (1, 40)


def test_missing_files_are_named(clip_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no config\.json"):
        load_teacher(str(tmp_path))
    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    (folder / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"model\.safetensors"):
        load_teacher(str(folder))
    (folder / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match="not loadable as a CLIP"):
        load_teacher(str(folder))


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(DataError, match="expected a CLIP, found model type 'bert'"):
        load_teacher(str(tmp_path))


def test_missing_weights_are_refused(clip_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(clip_folder, tmp_path / "clip")
    state = load_file(folder / "model.safetensors")
    del state["visual_projection.weight"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"1 weights are missing, the first: visual_projection"):
        load_teacher(str(folder))


def test_without_network_a_hub_name_says_what_to_place_where(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"place config\.json, model\.safetensors.*folder's path"):
        load_teacher("openai/no-such-clip")
    with pytest.raises(DataError, match="no such folder"):
        load_teacher("/no/such/folder")


def test_unknown_form_is_refused(clip_folder: Path) -> None:
    with pytest.raises(ConfigError, match="published, pure, sclip, naclip"):
        load_teacher(str(clip_folder), "other")  # type: ignore[arg-type]


def test_grey_and_cmyk_photographs_are_seen_like_coloured_ones(
    teacher: MaskClip, tmp_path: Path
) -> None:
    """The same grey ramp as RGB, grey and CMYK JPEG gives the same features."""
    ramp = np.tile(np.linspace(0, 255, 96, dtype=np.uint8), (64, 1))
    seen = {}
    for mode in ("RGB", "L", "CMYK"):
        file = tmp_path / f"{mode}.jpg"
        Image.fromarray(ramp).convert("RGB").convert(mode).save(file, quality=98)
        pixels = torch.from_numpy(read_image(file)).permute(2, 0, 1)[None]
        seen[mode] = teacher.dense(pixels)
    for mode in ("L", "CMYK"):
        cosine = functional.cosine_similarity(seen[mode], seen["RGB"], dim=1)
        assert cosine.min() > 0.999, mode
