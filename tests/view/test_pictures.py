"""Pictures: what is where in them, not only that they exist."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langocc.geometry.grid import VoxelGrid
from langocc.scenes.frame import Camera, Frame
from langocc.scenes.occ3d import OCC3D_CLASSES, OCC3D_PALETTE
from langocc.view.colours import class_colours, feature_colours, heat_colours, heat_range
from langocc.view.faces import draw_voxels, look_at
from langocc.view.pictures import (
    PAPER,
    bev_classes,
    bev_heat,
    camera_heat,
    camera_voxels,
    class_oblique,
)
from langocc.view.sheets import class_legend, sheet, stacked

GRID = VoxelGrid((-8.0, -8.0, -1.0), (8.0, 8.0, 3.0), 0.5)


def near(pixel: tuple[int, ...], colour: tuple[int, ...], tolerance: int = 40) -> bool:
    return max(abs(int(a) - int(b)) for a, b in zip(pixel, colour, strict=True)) <= tolerance


def test_every_class_has_its_own_colour() -> None:
    assert len(set(OCC3D_PALETTE)) == len(OCC3D_CLASSES) == len(OCC3D_PALETTE)
    colours = class_colours(np.array([4, 17, 255], np.uint8))
    assert colours.tolist() == [list(OCC3D_PALETTE[4]), [255] * 3, [255] * 3]


def test_heat_grows_darker_all_the_way() -> None:
    grey = heat_colours(np.linspace(0, 1, 50)).astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(grey) < 0).all()
    assert (heat_colours(np.array([-3.0, np.nan])) == heat_colours(np.zeros(2))).all()
    assert heat_range(np.array([np.nan, 1.0])) == pytest.approx((1.0, 1.0), abs=1e-5)
    assert heat_range(np.full(3, np.nan)) == (0.0, 1.0)


def test_equal_features_have_equal_colours_in_all_pictures() -> None:
    generator = np.random.default_rng(0)
    features = generator.standard_normal((60, 8)).astype(np.float32)
    first, second = feature_colours([features, features[::-1]])
    np.testing.assert_array_equal(first, second[::-1])
    assert len(np.unique(first, axis=0)) > 20
    hidden = feature_colours([features], [np.arange(60) < 50])[0]
    assert (hidden[50:] == 255).all()


def test_from_above_ahead_is_up_and_left_is_left() -> None:
    semantics = np.full(GRID.shape, 17, np.uint8)
    semantics[30, 16, 2] = 4  # ahead
    semantics[16, 30, 2] = 7  # left
    semantics[2, 16, 2] = 11  # behind, under something
    semantics[2, 16, 6] = 16
    image = bev_classes(semantics, GRID, scale=4)
    assert image.size == (128, 128)
    at = {
        name: image.getpixel(((31 - y) * 4 + 2, (31 - x) * 4 + 2))
        for name, (x, y) in {"ahead": (30, 16), "left": (16, 30), "behind": (2, 16)}.items()
    }
    assert near(at["ahead"], OCC3D_PALETTE[4])
    assert near(at["left"], OCC3D_PALETTE[7])
    assert near(at["behind"], OCC3D_PALETTE[16])
    assert image.getpixel((2, 2)) == PAPER


def test_heat_from_above_takes_the_best_of_a_column() -> None:
    scores = np.full(GRID.shape, np.nan)
    scores[5, 5, :3] = [0.1, 1.0, 0.2]
    image = bev_heat(scores, GRID, scale=2)
    assert image.getpixel(((31 - 5) * 2, (31 - 5) * 2)) == tuple(heat_colours(np.array(1.0)))
    assert image.getpixel((5, 5)) == PAPER


def test_nearer_voxels_cover_further_ones() -> None:
    """A red cube before a blue one, seen from behind the red one, then from the other side."""
    shown = np.zeros(GRID.shape, bool)
    colours = np.zeros((*GRID.shape, 3), np.uint8)
    for x, colour in ((10, (255, 0, 0)), (20, (0, 0, 255))):
        shown[x, 14:18, 0:4] = True
        colours[x, 14:18, 0:4] = colour
    for side, expected in ((-1, 0), (1, 2)):
        eye = look_at((side * 20.0, 0.0, 0.0), (0.0, 0.0, 0.0), (120, 80), 30.0)
        picture = draw_voxels(Image.new("RGB", (120, 80), "white"), eye, GRID, shown, colours)
        pixel = picture.getpixel((60, 40))
        assert pixel[expected] > 100
        assert sum(pixel) == pixel[expected]


def test_a_cube_is_drawn_where_it_projects() -> None:
    shown = np.zeros(GRID.shape, bool)
    shown[16, 20, 4] = True  # centre at (0.25, 2.25, 1.25)
    eye = look_at((-10.0, 0.0, 1.25), (0.0, 0.0, 1.25), (200, 100), 60.0)
    colours = np.zeros((*GRID.shape, 3), np.uint8)
    white = Image.new("RGB", (200, 100), "white")
    drawn = np.asarray(draw_voxels(white, eye, GRID, shown, colours).convert("L")) < 200
    rows, columns = np.nonzero(drawn)
    focal = 100 / np.tan(np.radians(30))
    assert columns.mean() == pytest.approx(100 - focal * 2.25 / 10.0, abs=2)
    assert rows.mean() == pytest.approx(50, abs=1.5)
    height = rows.max() - rows.min() + 1
    assert height == pytest.approx(focal * 0.5 / 10.0, abs=2)


def test_unlit_colours_stay_as_they_are() -> None:
    shown = np.ones(GRID.shape, bool)
    colours = np.full((*GRID.shape, 3), 77, np.uint8)
    eye = look_at((-20.0, 5.0, 15.0), (0.0, 0.0, 0.0), (80, 60), 20.0)
    black = Image.new("RGB", (80, 60))
    picture = draw_voxels(black, eye, GRID, shown, colours, is_lit=False)
    assert picture.getpixel((40, 30)) == (77, 77, 77)


def test_nothing_shown_leaves_the_background() -> None:
    eye = look_at((-20.0, 5.0, 15.0), (0.0, 0.0, 0.0), (40, 30), 40.0)
    empty = np.zeros(GRID.shape, bool)
    red = Image.new("RGB", (40, 30), "red")
    picture = draw_voxels(red, eye, GRID, empty, np.zeros((*GRID.shape, 3), np.uint8))
    assert picture.getcolors() == [(1200, (255, 0, 0))]
    assert class_oblique(np.full(GRID.shape, 17, np.uint8), GRID, (60, 40)).size == (60, 40)


@pytest.fixture
def frame(tmp_path: Path) -> Frame:
    Image.new("RGB", (80, 40), (10, 200, 10)).save(tmp_path / "image.png")
    ego_from_cam = np.eye(4)
    ego_from_cam[:3, :3] = [[0, 0, 1], [-1, 0, 0], [0, -1, 0]]
    intrinsics = np.array([[40.0, 0, 40.0], [0, 40.0, 20.0], [0, 0, 1]])
    moved = np.eye(4)
    moved[:3, 3] = [1.0, 0.0, 0.0]  # the camera's exposure is a metre further on
    camera = Camera(tmp_path / "image.png", 80, 40, intrinsics, ego_from_cam, moved, 0)
    return Frame("t", "s", 0, {"CAM_FRONT": camera}, np.eye(4))


def test_voxels_lie_over_the_photograph_where_the_camera_sees_them(frame: Frame) -> None:
    shown = np.zeros(GRID.shape, bool)
    shown[26, 18:20, 2] = True  # centre at (5.25, 1.5, 0.25): 4.25 m from the camera
    colours = np.full((*GRID.shape, 3), 255, np.uint8)
    picture = camera_voxels(frame, "CAM_FRONT", shown, colours, GRID, width=80, alpha=255)
    assert picture.size == (80, 40)
    red = np.asarray(picture)[..., 0] > 120
    rows, columns = np.nonzero(red)
    assert columns.mean() == pytest.approx(40 - 40 * 1.5 / 4.0, abs=1)
    assert rows.mean() == pytest.approx(20 - 40 * 0.25 / 4.0, abs=1)


def test_heat_colours_the_hot_voxel_and_leaves_the_rest(frame: Frame) -> None:
    scores = np.full(GRID.shape, np.nan)
    scores[26, 12:20, 0:4] = 0.0
    scores[26, 18:20, 2] = 1.0
    picture = camera_heat(frame, "CAM_FRONT", scores, GRID, width=80)
    hot = picture.getpixel((25, 17))
    cold = picture.getpixel((60, 17))
    assert hot[0] > hot[1] + 40
    assert cold[1] > cold[0]


def test_sheets_hold_their_tiles_and_legends_their_names() -> None:
    tiles = {name: Image.new("RGB", (50, 30), name) for name in ("red", "blue", "lime")}
    page = sheet(tiles, 2)
    assert page.width == 2 * 50 + 3 * 12
    found = {colour for _, colour in page.getcolors(100_000)}
    assert {(255, 0, 0), (0, 0, 255), (0, 255, 0)} <= found
    narrow, wide = class_legend(range(17), 300), class_legend(range(17), 3000)
    assert narrow.height > wide.height
    assert set(OCC3D_PALETTE) <= {colour for _, colour in narrow.getcolors(100_000)}
    assert stacked([narrow, wide]).size == (3000, narrow.height + wide.height)
