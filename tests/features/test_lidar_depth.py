"""Depth labels of augmented inputs: the same as a dense depth image, block by block."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from langocc.errors import ConfigError
from langocc.features.lidar_depth import lidar_depth_m
from langocc.features.loader import TrainingSet, collate
from langocc.features.sample import SampleConfig
from langocc.features.sources import project, strictly_inside
from langocc.geometry.augment import PUBLISHED_RANGES, draw_image_augmentation
from langocc.geometry.rigid import transform_points
from langocc.render.losses import nearest_block_depth
from langocc.scenes.dataset import Dataset
from langocc.scenes.lidar import read_points

CONFIG = SampleConfig(input_size=(128, 48), frames=1, rays=0, lidar_depth=True)


def test_it_equals_the_blocks_of_a_dense_depth_image(drive):
    frame = next(iter(drive.frames()))
    generator = np.random.default_rng(3)
    drawn = [
        draw_image_augmentation((c.width, c.height), (128, 48), PUBLISHED_RANGES, generator)
        for c in frame.cameras.values()
    ]
    dense = np.zeros((3, 48, 128), dtype=np.float32)
    points = read_points(frame.lidar)[:, :3].astype(np.float64)
    points = transform_points(frame.lidar.global_from_ego @ frame.lidar.ego_from_lidar, points)
    for index, camera in enumerate(frame.cameras.values()):
        row_col, depths_m = project(points, camera)
        seen = strictly_inside(row_col, camera)
        for (row, column), depth_m in zip(row_col[seen], depths_m[seen], strict=True):
            u, v, _ = drawn[index].input_from_image() @ [column, row, 1.0]
            if 0 <= u < 128 and 0 <= v < 48:
                before = dense[index, int(v), int(u)]
                dense[index, int(v), int(u)] = min(before or np.inf, depth_m)
    expected = nearest_block_depth(torch.from_numpy(dense))
    assert (expected > 0).float().mean() > 0.3
    torch.testing.assert_close(lidar_depth_m(frame, drawn), expected)


def test_samples_carry_it_and_batches_join_it(drive):
    tokens = [frame.token for frame in drive.frames()]
    samples = TrainingSet(drive, None, CONFIG, tokens)
    batch = collate([samples[0], samples[1]]).to("cpu")
    assert batch.lidar_depth_m.shape == (2, 3, 3, 8)
    plain = TrainingSet(drive, None, replace(CONFIG, lidar_depth=False), tokens)
    assert plain[0].to("cpu").lidar_depth_m is None
    with pytest.raises(ValueError, match="LiDAR depth"):
        collate([samples[0], plain[0]])


def test_a_frame_without_lidar_is_named(drive):
    frames = [replace(frame, lidar=None) for frame in drive.scenes["scene-b"]]
    blind = Dataset(drive.root, {"scene-b": frames}, {"train": ["scene-b"]})
    with pytest.raises(ConfigError, match=r"lidar-depth: frame scene-b-0 has no LiDAR"):
        TrainingSet(blind, None, CONFIG, ["scene-b-0"])
