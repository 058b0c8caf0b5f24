"""The projected teacher, with a teacher that sees colours."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from langocc.errors import DataError
from langocc.evaluate.projected import occupancy_from_points, project_teacher
from langocc.geometry.grid import VoxelGrid
from langocc.scenes.frame import Camera, Frame, Lidar
from langocc.teachers.sampling import sample_patches

WIDTH, HEIGHT = 40, 20


class ColourTeacher:
    """Red, green and blue are its space."""

    id, channels = "colours", 3

    def dense(self, images: torch.Tensor) -> torch.Tensor:
        return images.float() / 255

    def sample(
        self, dense: torch.Tensor, row_col: torch.Tensor, image_size: tuple[int, int]
    ) -> torch.Tensor:
        return sample_patches(dense, row_col, image_size)

    def text(self, prompts: list[str], *, templates: bool = True) -> torch.Tensor:
        return torch.eye(3)[[("red", "green", "blue").index(prompt) for prompt in prompts]]

    def to(self, device: str) -> "ColourTeacher":
        return self


@pytest.fixture
def frame(tmp_path: Path) -> Frame:
    """One camera at the origin that looks along x: its left half is red, its right half blue."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[:, : WIDTH // 2, 0] = 255
    image[:, WIDTH // 2 :, 2] = 255
    Image.fromarray(image).save(tmp_path / "image.png")
    ego_from_cam = np.eye(4)
    ego_from_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    intrinsics = np.array([[20.0, 0, 20.0], [0, 20.0, 10.0], [0, 0, 1]])
    global_from_ego = np.eye(4)
    global_from_ego[:3, 3] = [1000.0, 2000.0, 0.0]
    camera = Camera(
        tmp_path / "image.png", WIDTH, HEIGHT, intrinsics, ego_from_cam, global_from_ego, 0
    )
    points_ego = [
        [10.0, 5.0, 0.0],  # left: red
        [10.0, -5.0, 0.0],  # right: blue
        [-10.0, 0.0, 0.0],  # behind
        [0.9, 0.1, 0.0],  # too close
        [10.0, 30.0, 0.0],  # beside the image
        [10.1, -5.0, 0.1],  # blue, in the voxel of the second
    ]
    ego_from_lidar = np.eye(4)
    ego_from_lidar[2, 3] = 1.8
    points = np.zeros((len(points_ego), 5), np.float32)
    points[:, :3] = points_ego
    points[:, 2] -= 1.8
    points.tofile(tmp_path / "points.bin")
    lidar = Lidar(tmp_path / "points.bin", 5, ego_from_lidar, global_from_ego, 0, "lidar")
    return Frame("t", "s", 0, {"CAM_FRONT": camera}, global_from_ego, lidar)


def test_points_take_the_feature_of_their_pixel(frame: Frame) -> None:
    projected = project_teacher(frame, ColourTeacher())
    assert projected.is_seen.tolist() == [True, True, False, False, False, True]
    red, blue = [1.0, 0, 0], [0, 0, 1.0]
    expected = [red, blue, [0.0] * 3, [0.0] * 3, [0.0] * 3, blue]
    np.testing.assert_allclose(projected.features, expected, atol=1e-6)
    np.testing.assert_allclose(projected.points_ego_m[0], [10, 5, 0], atol=1e-6)


def test_two_cameras_that_see_a_point_are_averaged(frame: Frame, tmp_path: Path) -> None:
    camera = frame.cameras["CAM_FRONT"]
    Image.new("RGB", (WIDTH, HEIGHT), (0, 255, 0)).save(tmp_path / "green.png")
    second = Camera(tmp_path / "green.png", *list(camera.__dict__.values())[1:])
    both = Frame("t", "s", 0, {"A": camera, "B": second}, frame.global_from_ego, frame.lidar)
    features = project_teacher(both, ColourTeacher()).features
    np.testing.assert_allclose(features[0], [0.5**0.5, 0.5**0.5, 0], atol=1e-6)


def test_voxels_take_the_class_of_their_points(frame: Frame) -> None:
    grid = VoxelGrid((0.0, -10.0, -1.0), (20.0, 10.0, 1.0), 1.0)
    teacher = ColourTeacher()
    prediction = occupancy_from_points(
        project_teacher(frame, teacher), teacher.text(["blue", "red", "green"]), [11, 4, 9], grid
    )
    occupied = np.argwhere(prediction.semantics != 17).tolist()
    assert occupied == [[10, 5, 1], [10, 15, 1]]
    assert prediction.semantics[10, 5, 1] == 11
    assert prediction.semantics[10, 15, 1] == 4


def test_a_frame_without_lidar_is_refused(frame: Frame) -> None:
    blind = Frame("t", "s", 0, frame.cameras, frame.global_from_ego)
    with pytest.raises(DataError, match="frame t: expected a LiDAR sweep"):
        project_teacher(blind, ColourTeacher())
