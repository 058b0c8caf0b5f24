# SPDX-License-Identifier: Apache-2.0
"""What the fixed benchmark is, scene by scene, in a few numbers that cost seconds, not minutes.

`python tests/scenes/city_benchmark_kit.py` writes them for a new number of the benchmark.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from langocc.geometry.grid import OCC3D_GRID
from langocc.scenes.city.benchmark import BENCHMARK
from langocc.scenes.city.casting import Caster
from langocc.scenes.city.keyframes import key_frames
from langocc.scenes.city.labels import SceneLabeller
from langocc.scenes.city.layout import build_world
from langocc.scenes.city.lidar import scan
from langocc.scenes.city.plan import ScenePlan
from langocc.scenes.city.render import render_camera
from langocc.scenes.city.retrieval import candidate_texts, choose_rows, texts_of

PINNED = Path(__file__).with_name(f"city_benchmark_{BENCHMARK.benchmark}.json")
"""The values as they were when the benchmark got its number."""


FRAMES_OF = ("city-0000", "city-0014", "city-0017")
"""Scenes of which a key frame is looked at, too: the first of each split."""


def world_values(plan: ScenePlan) -> dict[str, Any]:
    """Values of a scene's world; the same on every machine up to rounding."""
    world = build_world(plan.settings.seed, plan.index, plan.duration_s)
    mesh, time_s = world.static, plan.duration_s / 2
    movers = [mover.world_from_thing(time_s)[:3, 3] for mover in world.movers]
    names = [[t.category, t.noun, t.colour, t.material] for t in world.things]
    return {
        "description": world.description,
        "things": len(world.things),
        "names": _digest(names),
        "texts": _digest([sorted(texts_of(thing).items()) for thing in world.things]),
        "sizes_m": np.sum([thing.size_m for thing in world.things], axis=0).tolist(),
        "faces": len(mesh.faces),
        "vertices_m": mesh.vertices.std(axis=0).tolist(),
        "albedo": mesh.albedo.mean(axis=0, dtype=np.float64).tolist(),
        "textures": int(mesh.texture.sum()),
        "movers_m": np.sum(movers, axis=0).tolist(),
        "ego_m": world.world_from_ego(time_s)[:3, 3].tolist(),
        "sun": [*world.sun_direction.tolist(), world.atmosphere.sun, world.atmosphere.haze_per_m],
    }


def frame_values(plan: ScenePlan) -> dict[str, Any]:
    """What the middle key frame of a scene shows and says; rounding may move single rays."""
    world = build_world(plan.settings.seed, plan.index, plan.duration_s)
    key = key_frames(plan, world)[plan.settings.frames_per_scene // 2]
    caster, exposure = Caster(world), key.exposures[0]
    sweep = scan(caster, key.world_from_ego, key.time_s)
    label = SceneLabeller(world, [key], [sweep]).label(key, sweep)
    camera, pose = exposure.camera, exposure.world_from_cam
    size = camera.width, camera.height
    image = render_camera(caster, camera.intrinsics, *size, pose, exposure.time_s)
    thumbnail = Image.fromarray(image.rgb).resize((8, 5), Image.Resampling.BOX)
    texts = candidate_texts(world.things, sweep.thing, sweep.is_inside(OCC3D_GRID))
    return {
        "token": key.token,
        "camera": f"{camera.channel} {camera.width} x {camera.height}",
        "points": len(sweep.points),
        "points_cm": (100 * sweep.points[:, :3]).mean(axis=0, dtype=np.float64).tolist(),
        "voxels": np.bincount(label.semantics.ravel(), minlength=18).tolist(),
        "seen_voxels": [int(label.mask_lidar.sum()), int(label.mask_camera.sum())],
        "candidates": len(texts),
        "thumbnail": np.asarray(thumbnail).ravel().tolist(),
    }


def row_choice() -> str:
    """Which of made-up texts, of six kinds and unlike frequency, make the rows."""
    kinds = {f"text {i}": f"kind {i % 6}" for i in range(40)}
    frames = [
        (f"frame {f}", ("train", "val")[f % 2], {f"text {i}": kinds[f"text {i}"] for i in offered})
        for f in range(60)
        if (offered := [i for i in range(40) if f * i % (2 + i % 5) == 0])
    ]
    return _digest([[row.sample_token, row.text] for row in choose_rows(frames)])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def pin() -> None:
    """Writes the values of the benchmark as it is now."""
    plans = BENCHMARK.scenes()
    values = {
        "settings": asdict(BENCHMARK),
        "rows": row_choice(),
        "worlds": {plan.name: world_values(plan) for plan in plans},
        "frames": {plan.name: frame_values(plan) for plan in plans if plan.name in FRAMES_OF},
    }
    PINNED.write_text(json.dumps(values, indent=None).replace("}, ", "},\n") + "\n")


if __name__ == "__main__":
    pin()
