# SPDX-License-Identifier: Apache-2.0
import numpy as np
from city_world_kit import test_world as small_world

from langocc.scenes.city.casting import Caster
from langocc.scenes.city.layout import build_world
from langocc.scenes.city.materials.textures import TEXTURES, sample
from langocc.scenes.city.render import render_camera

FORWARD = np.array([[0, 0, 1.0, 0], [-1, 0, 0, 0], [0, -1, 0, 1.5], [0, 0, 0, 1]])
INTRINSICS = np.array([[100.0, 0, 80], [0, 100, 45], [0, 0, 1]])


def picture(world, time_s=0.0, smooth_edges=True):
    return render_camera(Caster(world), INTRINSICS, 160, 90, FORWARD, time_s, smooth_edges)


def test_pixels_show_what_geometry_says():
    image = picture(small_world())
    assert image.thing[44, 80] == 1  # the building, straight ahead at x = 10
    np.testing.assert_allclose(image.depth_m[44, 80], 10, rtol=1e-5)
    assert np.all(image.depth_m[image.thing == 1] >= 10 - 1e-4)  # its front is a plane of depth 10
    assert np.all(image.thing[0] != 0)
    ground = image.depth_m[89, 80]
    np.testing.assert_allclose(ground, 1.5 * 100 / 44.5, rtol=1e-4)  # similar triangles
    sides = np.flatnonzero(image.thing[44] == 1)
    assert (sides[0], sides[-1]) == (50, 109)  # 3 m at 10 m: 30 pixels to each side
    assert np.all(np.isinf(image.depth_m[image.thing == -1]))
    assert np.any(image.thing == -1)


def test_light_and_shadow():
    world = small_world()  # the sun stands over +y
    caster = Caster(world)
    down = np.array([[1.0, 0, 0, 12], [0, -1, 0, 0], [0, 0, -1, 60], [0, 0, 0, 1]])
    image = render_camera(
        caster, np.array([[300.0, 0, 80], [0, 300, 45], [0, 0, 1]]), 160, 90, down, 0.0
    )
    lit, shaded = image.rgb[5, 80].astype(int), image.rgb[75, 80].astype(int)
    assert image.thing[5, 80] == image.thing[75, 80] == 0
    assert lit.sum() > 1.5 * shaded.sum()
    assert shaded[2] > shaded[0]  # skylight is blue


def test_pictures_repeat_bit_for_bit_and_smoothing_keeps_geometry():
    world = build_world(3, 2, 2.0)
    pose = world.world_from_ego(1.0) @ FORWARD
    first, again = (
        render_camera(Caster(w), INTRINSICS, 160, 90, pose, 1.0)
        for w in (world, build_world(3, 2, 2.0))
    )
    plain = render_camera(Caster(world), INTRINSICS, 160, 90, pose, 1.0, smooth_edges=False)
    for name in ("rgb", "thing", "depth_m"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert np.array_equal(first.thing, plain.thing)
    assert np.array_equal(first.depth_m, plain.depth_m)
    assert not np.array_equal(first.rgb, plain.rgb)
    assert 25 < first.rgb.mean() < 215  # neither black nor white
    assert first.rgb.std() > 25


def test_textures_tile_and_blur_with_distance():
    count = len(TEXTURES)
    texture = np.arange(count, dtype=np.int32)
    uv = np.tile(np.float32([0.37, 0.61]), (count, 1))
    tile = np.array([t.tile_m for t in TEXTURES], np.float32)
    fine, far = np.full(count, 1e-4, np.float32), np.full(count, 1e4, np.float32)
    # Slow wear is laid over the tiles, so compare what it leaves alone: tint and gloss.
    for here, there in zip(
        sample(texture, uv, fine)[1:], sample(texture, uv + tile, fine)[1:], strict=True
    ):
        np.testing.assert_allclose(here, there, atol=0.02)
    spot, elsewhere = (sample(texture, uv + d, far) for d in (np.float32(0), np.float32(0.3)))
    np.testing.assert_allclose(spot[1], elsewhere[1])  # one colour for the whole tile
    assert np.all(spot[0] > 0)
