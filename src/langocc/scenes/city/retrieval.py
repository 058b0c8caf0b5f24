# SPDX-License-Identifier: Apache-2.0
"""The city's retrieval benchmark, in POP-3D's layout: one text and one key frame a row.

A text names a class ("construction vehicle"), a thing ("taxi"), a colour and a thing ("red car"), a
material ("brick") or both ("brick wall"); where the teacher's captions never join the two it is a
held-out pair. Points are positive when the thing they lie on answers to the text. As in the
original a key frame has one row: of the kind least used so far, then the text least used.

Source: formats.md section 4.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int32, Int64

from langocc.geometry.rigid import Transform
from langocc.scenes.city.categories import CATEGORY
from langocc.scenes.city.pairs import is_held_out
from langocc.scenes.city.rig import CityCamera
from langocc.scenes.city.tables import token
from langocc.scenes.city.world import Thing
from langocc.scenes.occ3d import OCC3D_CLASSES

MIN_POSITIVE_POINTS = 10
MAX_POSITIVE_SHARE = 0.2
"""Texts for fewer points inside the label grid, or for a larger share of the sweep, make no row:
too noisy, or too easy."""

_BOXED_OCC3D_IDS = range(1, 11)  # barrier .. truck: classes whose names are words people say
_MIN_DEPTH_M = 1.0
_BORDER_PX = 1


def texts_of(thing: Thing) -> dict[str, str]:
    """Every query text a thing answers to -> the kind of text."""
    occ3d_id = CATEGORY[thing.category].occ3d_id
    class_name = OCC3D_CLASSES[occ3d_id]
    names = {thing.noun: "noun"}
    if occ3d_id in _BOXED_OCC3D_IDS:
        names[class_name.replace("_", " ")] = "class"
    texts = ({thing.material: "material"} if thing.material else {}) | names
    for attribute, kind in (
        (thing.material, "material and thing"),
        (thing.colour, "colour and thing"),
    ):
        if is_held_out(attribute, thing.noun, class_name):
            kind = "held-out pair"
        if attribute:  # a stone building is no stone stone building
            fitting = (name for name in names if not name.startswith(attribute))
            texts |= {f"{attribute} {name}": kind for name in fitting}
    return texts


def candidate_texts(
    things: Sequence[Thing],
    point_thing: Int32[np.ndarray, " point"],
    is_inside: Bool[np.ndarray, " point"],
) -> dict[str, int]:
    """Texts that make a sensible row for a sweep -> number of positive points.

    Args:
        things: Of the world.
        point_thing: Which of them each point lies on.
        is_inside: Whether a point is inside the label grid; some protocols count no other.
    """
    positives: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    for thing in np.unique(point_thing).tolist():
        is_own = point_thing == thing
        for text in texts_of(things[thing]):
            positives[text] += int(is_own.sum())
            inside[text] += int((is_own & is_inside).sum())
    most = MAX_POSITIVE_SHARE * len(point_thing)
    return {
        text: count
        for text, count in sorted(positives.items())
        if inside[text] >= MIN_POSITIVE_POINTS and count <= most
    }


@dataclass(frozen=True)
class Row:
    """A row of the benchmark."""

    sample_token: str
    split: str
    text: str


def choose_rows(frames: Sequence[tuple[str, str, Mapping[str, str]]]) -> list[Row]:
    """One text for each key frame that has a candidate.

    In a split all kinds come about equally often, as far as its streets offer them, and within a
    kind all texts.

    Args:
        frames: (sample token, split, candidate text -> kind) of each key frame.
    """
    of_kind: Counter[tuple[str, str]] = Counter()
    of_text: Counter[tuple[str, str]] = Counter()
    rows = []
    for sample_token, split, kinds in frames:
        if kinds:
            text = min(
                kinds,
                key=lambda t: (of_kind[split, kinds[t]], of_text[split, t], token(sample_token, t)),
            )
            of_kind[split, kinds[text]] += 1
            of_text[split, text] += 1
            rows.append(Row(sample_token, split, text))
    return rows


def csv_files(rows: Sequence[Row]) -> Mapping[str, str]:
    """Contents of `retrieval_anns_<name>.csv`, by file name; eval is val and test."""
    splits = {"train": ("train",), "val": ("val",), "test": ("test",), "eval": ("val", "test")}
    splits["all"] = ("train", "val", "test")
    return {
        f"retrieval_anns_{name}.csv": "".join(_line(r) for r in rows if r.split in members)
        for name, members in splits.items()
    }


def _line(row: Row) -> str:
    annotations, points = annotation_file(row.sample_token), points_file(row.sample_token)
    return f"{row.sample_token};{row.split};{annotations};{points};{row.text}\n"


def annotation_file(sample_token: str) -> str:
    """Where a row's labels lie, relative to the benchmark's folder."""
    return f"annotations/{sample_token}__retrieval.npy"


def points_file(sample_token: str) -> str:
    """Where the indices of a key frame's points in the images lie."""
    return f"matching_points/{sample_token}__points.npy"


def points_in_images(
    points_world: Float32[np.ndarray, "point 3"],
    cameras: Sequence[CityCamera],
    cam_from_worlds: Sequence[Transform],
) -> Int64[np.ndarray, " index"]:
    """Indices of points that project into an image, camera after camera, so overlaps repeat.

    In front by more than 1 m and inside the image by 1 px; occlusion does not count.
    """
    found = []
    for camera, cam_from_world in zip(cameras, cam_from_worlds, strict=True):
        rotation = cam_from_world[:3, :3].astype(np.float32)
        points = points_world @ rotation.T + cam_from_world[:3, 3].astype(np.float32)
        depth_m = points[:, 2]
        ahead = np.flatnonzero(depth_m > _MIN_DEPTH_M)
        pixels = points[ahead] @ camera.intrinsics[:2].T.astype(np.float32) / depth_m[ahead, None]
        size = np.array([camera.width, camera.height])
        inside = np.all((pixels > _BORDER_PX) & (pixels < size - _BORDER_PX), axis=1)
        found.append(ahead[inside])
    return np.concatenate(found).astype(np.int64)
