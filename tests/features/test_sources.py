"""Which pixels become rays: the published rules, and sources without a LiDAR."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from small_drive import HEIGHT, WIDTH

from langocc.errors import ConfigError, DataError
from langocc.features.ego_mask import load_masks
from langocc.features.pixels import HIT, SKY_ONLY
from langocc.features.sources import RayConfig, choose_rays, project
from langocc.geometry.grid import OCC3D_GRID, VoxelGrid
from langocc.geometry.rigid import invert_rigid, transform_points
from langocc.scenes.lidar import read_points


@pytest.fixture(scope="module")
def frame(drive):
    return drive.scenes["scene-a"][1]


def slow_lidar_rays(frame) -> set[tuple[int, float, float, float]]:
    """The rules of method.md section 3, one point at a time."""
    found = set()
    for point in read_points(frame.lidar)[:, :3].astype(np.float64):
        ego = frame.lidar.ego_from_lidar @ [*point, 1.0]
        if not all(
            low <= p < high
            for p, low, high in zip(ego, OCC3D_GRID.lower_m, OCC3D_GRID.upper_m, strict=False)
        ):
            continue
        world = frame.lidar.global_from_ego @ ego
        for number, camera in enumerate(frame.cameras.values()):
            at = invert_rigid(camera.ego_from_cam) @ invert_rigid(camera.global_from_ego) @ world
            if not (at[2] > 1.0 and 0.05 <= at[2] < 40.0):
                continue
            u, v, w = camera.intrinsics @ at[:3]
            col, row = u / w, v / w
            if 0 < col < camera.width - 1 and 0 < row < camera.height - 1:
                found.add((number, round(row, 3), round(col, 3), round(at[2], 3)))
    return found


def test_lidar_pixels_follow_the_published_rules(frame):
    rays = choose_rays(frame, RayConfig())
    found = {
        (int(c), round(float(p[0]), 3), round(float(p[1]), 3), round(float(d), 3))
        for p, c, d in zip(rays.pixels, rays.cameras, rays.depths_m, strict=True)
    }
    expected = slow_lidar_rays(frame)
    assert len(expected) == len(rays) > 300
    assert len(found & expected) >= 0.98 * len(expected)  # float32 rounds a few at the third place
    assert (rays.flags == HIT).all()


def test_choice_is_fixed_by_frame_and_seed_and_is_shuffled(frame, drive):
    config = RayConfig(source="random", rays_per_frame=2000)
    one, again = choose_rays(frame, config), choose_rays(frame, config)
    np.testing.assert_array_equal(one.pixels, again.pixels)
    other = choose_rays(frame, replace(config, seed=1))
    assert not np.array_equal(one.pixels, other.pixels)
    assert not np.array_equal(one.pixels, choose_rays(drive.scenes["scene-a"][2], config).pixels)
    # shuffled: the first half holds each camera's share, not the first cameras only
    share = np.bincount(one.cameras[:1000], minlength=3) / 1000
    assert (abs(share - 1 / 3) < 0.06).all()


@pytest.mark.parametrize("source", ["grid", "random"])
def test_sources_without_lidar_cover_all_images_evenly(frame, source):
    blind = replace(frame, lidar=None)
    rays = choose_rays(blind, RayConfig(source=source, rays_per_frame=6000))
    assert abs(len(rays) - 6000) < 300
    assert (rays.depths_m == 0).all()
    assert (rays.pixels >= 0).all()
    assert (rays.pixels <= [HEIGHT - 1, WIDTH - 1]).all()
    cells = (rays.pixels // [HEIGHT / 3, WIDTH / 4]).astype(int)
    counts = np.zeros((3, 3, 4), int)
    np.add.at(counts, (rays.cameras, cells[:, 0], cells[:, 1]), 1)
    assert counts.min() > 0.7 * 6000 / 36


def test_hits_without_lidar_are_those_that_flat_ground_stops(frame):
    """Level cameras 1.5 m up: rows below the horizon meet the ground at 1.5 / tan(pitch)."""
    rays = choose_rays(frame, RayConfig(source="random", rays_per_frame=6000))
    camera = frame.cameras["CAM_1"]
    ours = rays.cameras == 1
    down = (rays.pixels[ours, 0] - camera.intrinsics[1, 2]) / camera.intrinsics[1, 1]
    side = (rays.pixels[ours, 1] - camera.intrinsics[0, 2]) / camera.intrinsics[0, 0]
    depth = np.where(down > 0, 1.5 / np.maximum(down, 1e-9), np.inf)
    range_m = depth * np.sqrt(1 + down**2 + side**2)
    sure = (range_m < 19.9) | (range_m > 20.1)
    np.testing.assert_array_equal((rays.flags[ours] & HIT)[sure] > 0, (range_m < 20)[sure])


def test_sky_candidates_are_added_beside_the_published_rays(frame):
    plain = choose_rays(frame, RayConfig())
    rays = choose_rays(frame, RayConfig(sky_rays=500))
    added = rays.flags == SKY_ONLY
    assert added.sum() == 500
    assert len(rays) == len(plain) + 500
    np.testing.assert_array_equal(
        np.sort(rays.take(~added).pixels, axis=0), np.sort(plain.pixels, axis=0)
    )


def test_lidar_pixels_without_a_lidar_say_what_to_do(frame):
    with pytest.raises(DataError, match=r"scene-a-1.*grid or random"):
        choose_rays(replace(frame, lidar=None), RayConfig())


def test_depth_range_and_box_are_respected(frame):
    rays = choose_rays(frame, RayConfig(near_m=5.0, far_m=12.0))
    assert rays.depths_m.min() >= 5.0
    assert rays.depths_m.max() < 12.0
    low = choose_rays(frame, RayConfig(grid=VoxelGrid(upper_m=(40.0, 40.0, 0.6))))
    assert 0 < len(low) < len(choose_rays(frame, RayConfig()))


@pytest.mark.parametrize(
    "values", [{"near_m": 5.0, "far_m": 2.0}, {"rays_per_frame": 0}, {"sky_rays": -1}]
)
def test_impossible_choices_are_refused(values):
    with pytest.raises(ConfigError, match="expected"):
        RayConfig(**values)


def test_points_behind_a_camera_are_nowhere(frame):
    camera = frame.cameras["CAM_1"]
    behind = transform_points(
        camera.global_from_ego @ camera.ego_from_cam, np.array([[0.5, 0.5, -3.0], [0.0, 0, 0]])
    )
    row_col, depth_m = project(behind, camera)
    assert np.isnan(row_col[0]).all()
    assert depth_m[0] == pytest.approx(-3.0)


class TestEgoMasks:
    def test_rays_on_the_vehicle_are_dropped(self, frame, tmp_path):
        mask = np.zeros((HEIGHT // 2, WIDTH // 2), dtype=np.uint8)
        mask[30:] = 255
        Image.fromarray(mask).save(tmp_path / "CAM_0.png")
        polygon = [[0, 60], [159, 60], [159, 89], [0, 89]]
        (tmp_path / "CAM_2.json").write_text(f"[{polygon}]")
        masks = load_masks(tmp_path, frame.cameras)
        config = RayConfig(source="random", rays_per_frame=6000)
        rays = choose_rays(frame, config, masks)
        for camera, lowest in ((0, 60.0), (1, 89.0), (2, 60.0)):
            bottom = rays.pixels[rays.cameras == camera, 0].max()
            assert lowest - 1.5 < bottom <= lowest
        assert masks.digest() != load_masks_digest(tmp_path, frame)

    def test_nothing_there_is_an_error(self, frame, tmp_path):
        with pytest.raises(DataError, match="no ego mask"):
            load_masks(tmp_path, frame.cameras)

    def test_damaged_and_misfitting_masks_are_named(self, frame, tmp_path):
        (tmp_path / "CAM_0.png").write_bytes(b"nothing")
        with pytest.raises(DataError, match=r"CAM_0.png: unreadable"):
            load_masks(tmp_path, frame.cameras)
        Image.new("L", (WIDTH, WIDTH)).save(tmp_path / "CAM_0.png")
        with pytest.raises(DataError, match="aspect"):
            load_masks(tmp_path, frame.cameras)
        (tmp_path / "CAM_0.png").unlink()
        (tmp_path / "CAM_0.json").write_text("[[[1, 2], [3, 4]]]")
        with pytest.raises(DataError, match="3 corners"):
            load_masks(tmp_path, frame.cameras)


def load_masks_digest(folder, frame):
    """Of one mask fewer."""
    (folder / "CAM_2.json").unlink()
    return load_masks(folder, frame.cameras).digest()
