# SPDX-License-Identifier: Apache-2.0
import numpy as np
from city_world_kit import test_world as small_world

from langocc.scenes.city.casting import Caster
from langocc.scenes.city.categories import CATEGORIES, CATEGORY
from langocc.scenes.occ3d import OCC3D_CLASSES


def rays(*pairs):
    return tuple(np.array(side, np.float32) for side in zip(*pairs, strict=True))


def test_hits_on_known_geometry_are_exact():
    origins, directions = rays(
        ((0, 0, 2), (1, 0, 0)),  # the building's front, at x = 10
        ((0, 0, 2), (0, 0, -1)),  # the ground
        ((0, 0, 2), (-1, 0, 0)),  # nothing
        ((0, 0, 2), (0, 0, 1)),  # nothing
        ((12, 0, 20), (0, 0, -2)),  # the roof at z = 8, a direction of length 2
    )
    hits = Caster(small_world()).cast(origins, directions, 3.0)
    np.testing.assert_allclose(hits.distance_m, [10, 2, np.inf, np.inf, 6], rtol=1e-6)
    assert hits.thing.tolist() == [1, 0, -1, -1, 1]
    np.testing.assert_allclose(
        hits.normal, [[-1, 0, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 1]], atol=1e-6
    )
    np.testing.assert_allclose(
        hits.point[[0, 1, 4]], [[10, 0, 2], [0, 0, 0], [12, 0, 8]], atol=1e-5
    )
    np.testing.assert_allclose(hits.albedo[0], [0.5, 0.1, 0.1])
    np.testing.assert_allclose(hits.uv_m[1], [0, 0], atol=1e-4)


def test_a_mover_is_where_its_pose_says():
    caster = Caster(small_world())
    origins, directions = rays(((5, 0, 1), (0, 1, 0)), ((0, 0, 1), (0, 1, 0)))
    for time_s, expected in ((1.0, [5, np.inf]), (0.0, [np.inf, 5]), (1.0, [5, np.inf])):
        np.testing.assert_allclose(
            caster.cast(origins, directions, time_s).distance_m, expected, rtol=1e-6
        )


def test_occlusion_agrees_with_the_first_hit():
    caster, generator = Caster(small_world()), np.random.default_rng(0)
    directions = generator.normal(size=(2000, 3)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    origins = np.tile(np.float32([5, 2, 1]), (2000, 1))
    distance = caster.cast(origins, directions, 0.8).distance_m
    assert np.array_equal(caster.occluded(origins, directions, 0.8), np.isfinite(distance))
    for factor, expected in ((0.99, False), (1.01, True)):
        limit = np.where(np.isfinite(distance), distance * np.float32(factor), 1e6)
        blocked = caster.occluded(origins, directions, 0.8, limit.astype(np.float32))
        assert np.all(blocked[np.isfinite(distance)] == expected)


def test_categories_are_the_official_32():
    assert [c.lidarseg_id for c in CATEGORIES] == list(range(32))
    assert CATEGORY["vehicle.car"].lidarseg_id == 17
    assert CATEGORY["vehicle.truck"].lidarseg_id == 23
    assert CATEGORY["static.vegetation"].lidarseg_id == 30
    assert {OCC3D_CLASSES[c.occ3d_id] for c in CATEGORIES} == set(OCC3D_CLASSES)
    assert OCC3D_CLASSES[CATEGORY["movable_object.trafficcone"].occ3d_id] == "traffic_cone"
