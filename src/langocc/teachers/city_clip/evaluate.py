# SPDX-License-Identifier: Apache-2.0
"""What the city's CLIP can do on unseen scenes: crops, held-out pairs, dense zero-shot labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn import functional

from langocc.scenes.occ3d import OCC3D_CLASSES
from langocc.teachers.city_clip.lexicon import Kind, class_id, lexicon
from langocc.teachers.city_clip.network import PATCH_PX, crop_features
from langocc.teachers.city_clip.pool import normalised
from langocc.teachers.city_clip.regions import Region
from langocc.teachers.city_clip.views import SceneViews
from langocc.teachers.load import load_teacher
from langocc.teachers.maskclip import MaskClip
from langocc.teachers.text import Vocabulary, load_vocabulary

_CROP_PX = 10 * PATCH_PX


def report(folder: Path, scenes: Sequence[SceneViews], device: torch.device) -> dict[str, Any]:
    """All figures of a folder's model on test scenes; the picture `views.png` goes beside it."""
    from langocc.teachers.city_clip.picture import draw_views

    teacher = load_teacher(str(folder), device=device)
    assert isinstance(teacher, MaskClip)
    crops = [(scene, v, r) for scene in scenes for v, r in _crops(scene)]
    features = _crop_features(teacher, crops)
    kinds = [scene.kinds[region.spoken[0]] for scene, _, region in crops]
    city = load_vocabulary("city")
    draw_views(teacher, scenes, city, folder / "views.png")
    return {
        "id": teacher.id.replace(folder.name, "city-clip", 1),
        "test_scenes": len(scenes),
        "crops": crop_accuracy(teacher, features, kinds, city),
        "pairs": pair_accuracy(teacher, features, kinds),
        "dense": dense_iou(teacher, scenes, [city, load_vocabulary("v1"), load_vocabulary("v2")]),
    }


def crop_accuracy(
    teacher: MaskClip,
    features: Float[Tensor, "crop channel"],
    kinds: Sequence[Kind],
    vocabulary: Vocabulary,
) -> dict[str, Any]:
    """Zero-shot class accuracy of crops: over all of them, and the mean over classes."""
    prompts = teacher.text(vocabulary.prompts)
    found = vocabulary.class_of_prompt().to(features.device)[(features @ prompts.T).argmax(1)]
    truth = torch.tensor([class_id(kind) for kind in kinds], device=features.device)
    is_right = (found == truth).float()
    per_class = {
        OCC3D_CLASSES[c] if c else "sky": round(float(is_right[truth == c].mean()), 4)
        for c in truth.unique().tolist()
    }
    return {
        "count": len(kinds),
        "accuracy": round(float(is_right.mean()), 4),
        "mean_over_classes": round(float(np.mean(list(per_class.values()))), 4),
        "per_class": per_class,
    }


def pair_accuracy(
    teacher: MaskClip, features: Float[Tensor, "crop channel"], kinds: Sequence[Kind]
) -> dict[str, Any]:
    """Which attribute a thing has, told by prompts "a <attribute> <noun>", held-out pairs apart.

    Candidates are the colours (or materials) that things of that class have in these scenes.
    """
    words = lexicon()
    right: dict[bool, list[float]] = {True: [], False: []}
    chance: dict[bool, list[float]] = {True: [], False: []}
    for slot in ("colour", "material"):
        choices: dict[str, list[str]] = {}
        for kind in kinds:
            value = getattr(kind, slot)
            known = choices.setdefault(kind.class_name, [])
            if value and words.said_as(value) and value not in known:
                known.append(value)
        for feature, kind in zip(features, kinds, strict=True):
            value, candidates = getattr(kind, slot), choices[kind.class_name]
            if value not in candidates or len(candidates) < 2:
                continue
            prompts = teacher.text([f"{words.said_as(c)[0]} {kind.noun}" for c in candidates])
            is_held_out = words.is_held_out(value, kind)
            right[is_held_out].append(candidates[int((prompts @ feature).argmax())] == value)
            chance[is_held_out].append(1 / len(candidates))
    return {
        name: {
            "count": len(right[is_held_out]),
            "accuracy": round(float(np.mean(right[is_held_out])), 4)
            if right[is_held_out]
            else None,
            "chance": round(float(np.mean(chance[is_held_out])), 4) if right[is_held_out] else None,
        }
        for name, is_held_out in (("seen", False), ("held_out", True))
    }


def dense_iou(
    teacher: MaskClip, scenes: Sequence[SceneViews], vocabularies: Sequence[Vocabulary]
) -> dict[str, Any]:
    """Zero-shot IoU of pixels under each vocabulary: the class of the best prompt per pixel.

    The mean is over the classes 1..16 that occur; the sky (id 0) is given apart. Things of no class
    ("others") are counted as they are labelled, 0.
    """
    count = len(OCC3D_CLASSES)
    confusion = torch.zeros(len(vocabularies), count * count, dtype=torch.int64)
    for scene in scenes:
        for rgb, truth in zip(scene.rgb, scene.classes, strict=True):
            index = torch.from_numpy(truth).long() * count
            for row, found in zip(confusion, segment(teacher, rgb, vocabularies), strict=True):
                row += (index + found).flatten().bincount(minlength=count * count)
    return {
        vocabulary.name: _iou(row.view(count, count))
        for vocabulary, row in zip(vocabularies, confusion, strict=True)
    }


def _iou(confusion: Int64[Tensor, "truth found"]) -> dict[str, Any]:
    both = confusion.diagonal()
    either = confusion.sum(0) + confusion.sum(1) - both
    occurs = [c for c in range(1, len(confusion)) if confusion[c].sum() > 0]
    per_class = {OCC3D_CLASSES[c]: round(float(both[c] / either[c]), 4) for c in occurs}
    return {
        "miou": round(float(np.mean(list(per_class.values()))), 4),
        "pixel_accuracy": round(float(both.sum() / confusion.sum()), 4),
        "sky": round(float(both[0] / either[0].clamp(min=1)), 4),
        "per_class": per_class,
    }


@torch.no_grad()
def segment(
    teacher: MaskClip, rgb: np.ndarray, vocabularies: Sequence[Vocabulary]
) -> list[Int64[Tensor, "height width"]]:
    """Occ3D id of the best prompt per pixel under each vocabulary.

    Similarities are interpolated instead of features: both are linear, and a pixel's norm does not
    change which prompt is best.
    """
    dense = teacher.dense(torch.from_numpy(rgb).permute(2, 0, 1)[None]).float()
    labels = []
    for vocabulary in vocabularies:
        scores = torch.einsum("ichw,pc->iphw", dense, teacher.text(vocabulary.prompts))
        scores = functional.interpolate(
            scores, size=rgb.shape[:2], mode="bilinear", align_corners=False
        )
        best = scores[0].argmax(0).cpu()
        labels.append(vocabulary.class_of_prompt()[best])
    return labels


def print_report(content: dict[str, Any]) -> None:
    """The report as a short table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("figure", "value", title=content["id"])
    crops, pairs = content["crops"], content["pairs"]
    table.add_row(f"crop accuracy ({crops['count']} crops)", f"{crops['accuracy']:.3f}")
    table.add_row("crop accuracy, mean over classes", f"{crops['mean_over_classes']:.3f}")
    for name in ("seen", "held_out"):
        if pairs[name]["count"]:
            figure = f"{pairs[name]['accuracy']:.3f} (chance {pairs[name]['chance']:.3f})"
            table.add_row(f"attribute accuracy, {name} pairs ({pairs[name]['count']})", figure)
    for name, dense in content["dense"].items():
        table.add_row(f"dense mIoU, vocabulary {name}", f"{dense['miou']:.3f}")
    for name, value in content["dense"]["city"]["per_class"].items():
        table.add_row(f"  {name}", f"{value:.3f}")
    for name in ("steps", "views", "seconds"):
        table.add_row(name, str(content["training"][name]))
    Console().print(table)


def _crops(scene: SceneViews) -> list[tuple[int, Region]]:
    """Regions clearly about one thing of a class."""
    return [
        (view, region)
        for view, regions in enumerate(scene.regions)
        for region in regions
        if region.is_local
        and region.share >= 0.4
        and class_id(scene.kinds[region.spoken[0]]) > 0
        and min(region.box[2] - region.box[0], region.box[3] - region.box[1]) >= 16
    ]


@torch.no_grad()
def _crop_features(
    teacher: MaskClip, crops: Sequence[tuple[SceneViews, int, Region]]
) -> Float[Tensor, "crop channel"]:
    device = teacher.model.logit_scale.device
    features = []
    for start in range(0, len(crops), 256):
        pixels = torch.cat([_cut(*crop) for crop in crops[start : start + 256]])
        features.append(crop_features(teacher.model, normalised(pixels).to(device)))
    return torch.cat(features)


def _cut(scene: SceneViews, view: int, region: Region) -> Float[Tensor, "1 3 side side"]:
    height, width = scene.rgb.shape[1:3]
    left, top = (max(0, int(v)) for v in region.box[:2])
    right, bottom = min(width, int(region.box[2]) + 1), min(height, int(region.box[3]) + 1)
    part = torch.from_numpy(scene.rgb[view, top:bottom, left:right]).permute(2, 0, 1)[None]
    return functional.interpolate(
        part.float() / 255, size=(_CROP_PX, _CROP_PX), mode="bilinear", antialias=True
    )
