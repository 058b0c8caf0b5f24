# SPDX-License-Identifier: Apache-2.0
"""Pictures of city scenes with captioned regions, made in worker processes.

Nothing here imports torch, so that a worker starts quickly.
"""

import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, Int16, UInt8

from langocc.teachers.city_clip.captions import caption
from langocc.teachers.city_clip.lexicon import SKY, Kind, class_id, kind_of, lexicon
from langocc.teachers.city_clip.regions import Region, View, choose_regions

if TYPE_CHECKING:
    from tokenizers import Tokenizer

WORDS = 8192
"""Size of the hashed word space in which captions and crops are compared."""

TRAIN_SEED, TEST_SEED = 70_001, 70_002
"""Seeds of the worlds that teach and that test; no other part of the project builds these."""


@dataclass(frozen=True)
class SceneTask:
    """What a worker makes. Pure values, so that it travels to any process.

    Attributes:
        seed: Of the world.
        scene_index: Of the world.
        views: Pictures to take.
        width: Pixels.
        height: Pixels.
        regions: Captioned regions a view.
        captions: Captions a region.
        tokenizer: Path of the `tokenizer.json`.
        is_test: Keeps per-pixel classes and the regions' kinds, for evaluation.
    """

    seed: int
    scene_index: int
    views: int
    width: int
    height: int
    regions: int
    captions: int
    tokenizer: Path
    is_test: bool = False


@dataclass(frozen=True)
class SceneViews:
    """Pictures of one scene with tokenised captions. Unused places hold -1.

    Attributes:
        rgb: Pictures.
        boxes: Left, top, right, bottom of each region as fractions of the picture.
        is_region: Whether the place holds a region.
        is_local: Whether the region is about one kind.
        topic: Occ3D id of what each caption names first; training draws them about evenly.
        tokens: Token ids of each caption.
        said: Hashed words each caption claims.
        true: Hashed words that are true of each region.
        classes: Occ3D id per pixel (0: sky), for evaluation only; empty in training.
        regions: The regions themselves, for evaluation only; empty in training.
        kinds: Kinds the regions point to.
    """

    rgb: UInt8[np.ndarray, "view height width 3"]
    boxes: Float32[np.ndarray, "view region 4"]
    is_region: Bool[np.ndarray, "view region"]
    is_local: Bool[np.ndarray, "view region"]
    topic: UInt8[np.ndarray, "view region"]
    tokens: Int16[np.ndarray, "view region caption token"]
    said: Int16[np.ndarray, "view region caption said"]
    true: Int16[np.ndarray, "view region true"]
    classes: UInt8[np.ndarray, "labelled height width"]
    regions: tuple[tuple[Region, ...], ...]
    kinds: tuple[Kind, ...]


ViewMaker = Callable[[SceneTask], list[View]]
_SAID, _TRUE, _TOKENS = 12, 160, 48


def make_scene(task: SceneTask, make_views: ViewMaker) -> SceneViews:
    """Renders a scene's views and captions their regions; the same task gives the same result."""
    from tokenizers import Tokenizer

    views = make_views(task)
    generator = np.random.default_rng([task.seed, task.scene_index, 1])
    regions = [choose_regions(view, task.regions, generator) for view in views]
    scene = _empty(task, views)
    tokenizer = Tokenizer.from_file(str(task.tokenizer))
    tokenizer.enable_truncation(_TOKENS)
    chooser = random.Random(int(generator.integers(2**31)))
    for index, (view, chosen) in enumerate(zip(views, regions, strict=True)):
        scene.rgb[index] = view.rgb
        _fill(scene, index, view, chosen, tokenizer, chooser)
    if not task.is_test:
        return scene
    ids = np.array([class_id(kind) for kind in views[0].kinds], np.uint8)
    classes = np.stack([ids[view.kind] for view in views])
    kept = tuple(tuple(chosen) for chosen in regions)
    return SceneViews(**{**scene.__dict__, "classes": classes, "regions": kept})


def city_kinds(worlds: int = 2) -> tuple[Kind, ...]:
    """Kinds of things in the first training worlds, and the sky."""
    from langocc.scenes.city.layout import build_world

    things = (thing for i in range(worlds) for thing in build_world(TRAIN_SEED, i, 20.0).things)
    return tuple(dict.fromkeys([*map(kind_of, things), SKY]))


def word_index(word: str) -> int:
    """Place of a word in the hashed word space."""
    return zlib.crc32(word.encode()) % WORDS


def _empty(task: SceneTask, views: list[View]) -> SceneViews:
    places = (len(views), task.regions)
    return SceneViews(
        rgb=np.zeros((len(views), task.height, task.width, 3), np.uint8),
        boxes=np.zeros((*places, 4), np.float32),
        is_region=np.zeros(places, bool),
        is_local=np.zeros(places, bool),
        topic=np.zeros(places, np.uint8),
        tokens=np.full((*places, task.captions, _TOKENS), -1, np.int16),
        said=np.full((*places, task.captions, _SAID), -1, np.int16),
        true=np.full((*places, _TRUE), -1, np.int16),
        classes=np.zeros((0, task.height, task.width), np.uint8),
        regions=(),
        kinds=views[0].kinds,
    )


def _fill(
    scene: SceneViews,
    index: int,
    view: View,
    regions: list[Region],
    tokenizer: "Tokenizer",
    chooser: random.Random,
) -> None:
    height, width = view.kind.shape
    words = lexicon()
    for place, region in enumerate(regions):
        scene.boxes[index, place] = np.array(region.box) / (width, height, width, height)
        scene.is_region[index, place] = True
        scene.is_local[index, place] = region.is_local
        scene.topic[index, place] = class_id(view.kinds[region.spoken[0]])
        spoken = [view.kinds[k] for k in region.spoken]
        shown = {view.kinds[k] for k in (*region.shown, *region.spoken)}
        true = sorted({word_index(w) for kind in shown for w in words.true_words(kind)})
        scene.true[index, place, : len(true[:_TRUE])] = true[:_TRUE]
        captions = [
            caption(spoken, chooser, is_ordered=region.is_ordered)
            for _ in range(scene.tokens.shape[2])
        ]
        encoded = tokenizer.encode_batch([c.text for c in captions])
        for slot, (made, tokens) in enumerate(zip(captions, encoded, strict=True)):
            scene.tokens[index, place, slot, : len(tokens.ids)] = tokens.ids
            said = sorted({word_index(w) for w in made.said})[:_SAID]
            scene.said[index, place, slot, : len(said)] = said
