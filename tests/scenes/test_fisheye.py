"""Distorted cameras: known colours come out of the remap as a pinhole would see them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langocc.errors import DataError
from langocc.scenes.images import read_image
from langocc.scenes.lens import Lens
from langocc.scenes.opening import open_dataset
from langocc.scenes.virtual_views import default_views, turned, view
from scenes.rig_kit import rig_content, write_rig

FISHEYE = Lens(480, 360, (150.0, 150.0), (240.0, 180.0), "fisheye", (0.02, -0.01, 0.003, 0.0))
BARREL = Lens(
    480, 300, (300.0, 290.0), (236.0, 152.0), "radial_tangential", (-0.2, 0.03, 1e-3, -2e-3)
)


def world(directions: np.ndarray) -> np.ndarray:
    """A smooth colour for every direction."""
    unit = directions / np.linalg.norm(directions, axis=-1, keepdims=True)
    return np.round(127.5 + 120 * np.sin(3.0 * unit)).astype(np.uint8)


def taken_with(lens: Lens) -> np.ndarray:
    """The world's picture, by inverting the lens on a fine grid of directions: slow and plain."""
    reach = np.deg2rad(110)
    angle, about = np.meshgrid(
        np.linspace(0, reach, 1400), np.linspace(0, 2 * np.pi, 1600, endpoint=False)
    )
    rays = np.stack(
        [np.sin(angle) * np.cos(about), np.sin(angle) * np.sin(about), np.cos(angle)], axis=-1
    ).reshape(-1, 3)
    pixels, is_shown = lens.pixels(rays)
    x, y = np.floor(pixels[is_shown]).astype(int).T
    inside = (x < lens.width) & (y < lens.height)
    picture = np.zeros((lens.height, lens.width, 3))
    count = np.zeros((lens.height, lens.width, 1))
    np.add.at(picture, (y[inside], x[inside]), world(rays[is_shown][inside]))
    np.add.at(count, (y[inside], x[inside]), 1)
    return np.round(picture / np.maximum(count, 1)).astype(np.uint8)


def test_an_equidistant_fisheye_by_hand() -> None:
    lens = Lens(400, 400, (100.0, 100.0), (200.0, 200.0), "fisheye", (0.0,) * 4)
    rays = np.array([[0, 0, 1.0], [1, 0, 1], [0, -1, 0], [-1, 0, -0.1]])
    pixels, is_shown = lens.pixels(rays)
    quarter = 100 * np.pi / 4
    np.testing.assert_allclose(
        pixels[:3], [[200, 200], [200 + quarter, 200], [200, 200 - 50 * np.pi]]
    )
    assert is_shown.tolist() == [True, True, True, True]  # it looks past 90 degrees
    assert lens.edge_rad(1.0, 0.0) == pytest.approx(2.0, abs=1e-3)


def test_opencvs_formulas_term_by_term() -> None:
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    k1, k2, p1, p2 = BARREL.coefficients
    radial = 1 + k1 * r2 + k2 * r2 * r2
    u = 300 * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + 236
    v = 290 * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + 152
    pixels, _ = BARREL.pixels(np.array([[2 * x, 2 * y, 2.0]]))
    np.testing.assert_allclose(pixels, [[u, v]])
    theta = np.arctan(np.sqrt(r2))
    k1, k2, k3, _ = FISHEYE.coefficients
    bent = theta * (1 + k1 * theta**2 + k2 * theta**4 + k3 * theta**6)
    pixels, _ = FISHEYE.pixels(np.array([[x, y, 1.0]]))
    expected = np.array([x, y]) / np.sqrt(r2) * bent * 150 + [240, 180]
    np.testing.assert_allclose(pixels[0], expected)


def test_where_a_polynomial_turns_back_nothing_is_shown() -> None:
    lens = Lens(
        480, 300, (200.0, 200.0), (240.0, 150.0), "radial_tangential", (-0.5, 0.0, 0.0, 0.0)
    )
    fold = np.arctan(np.sqrt(1 / 1.5))  # d/dr (r - 0.5 r^3) = 0
    assert lens.widest_rad == pytest.approx(fold, abs=2e-3)
    pixels, is_shown = lens.pixels(np.array([[1.35, 0, 1.0]]))
    assert 0 < pixels[0, 0] < 480  # back inside the image, and yet
    assert not is_shown[0]
    _, is_shown = lens.pixels(np.array([[0.2, 0, -1.0]]))
    assert not is_shown[0]


@pytest.mark.parametrize("lens", [FISHEYE, BARREL], ids=["fisheye", "barrel"])
def test_views_see_the_world_as_pinholes_do(tmp_path: Path, lens: Lens) -> None:
    def edit(content: dict) -> None:
        camera = content["cameras"]["cam0"]
        (fx, fy), (cx, cy) = lens.focal_px, lens.centre_px
        camera["width"], camera["height"] = lens.width, lens.height
        camera["intrinsics"] = {"fx": fx, "fy": fy, "cx": cx, "cy": cy}
        camera["distortion"] = {"model": lens.model, "coefficients": list(lens.coefficients)}

    content = rig_content(1, frames=1, scenes=("only",))
    write_rig(tmp_path, content, edit)
    Image.fromarray(taken_with(lens)).save(tmp_path / "cam0.png")
    frame = next(open_dataset(tmp_path).frames())
    views = default_views(lens)
    assert len(frame.cameras) == len(views) == (3 if lens is FISHEYE else 1)
    assert next(iter(frame.cameras)) == ("cam0-0" if lens is FISHEYE else "cam0")
    ego_from_cam = np.array(content["cameras"]["cam0"]["ego_from_cam"]["matrix"])
    for camera, seen in zip(frame.cameras.values(), views, strict=True):
        size = (camera.width, camera.height)
        picture = read_image(camera.image_path, size).astype(int)
        u, v = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
        rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(camera.intrinsics).T
        in_ego = rays @ camera.ego_from_cam[:3, :3].T
        in_lens = in_ego @ ego_from_cam[:3, :3]
        wrong = np.abs(picture - world(in_lens))
        inner = wrong[3:-3, 3:-3]  # the lens' picture ends at half pixels
        assert inner.mean() < 1.5, "JPEG and pixels of the lens' picture"
        assert np.percentile(inner, 99.9) < 12
        _, is_shown = lens.pixels(seen.directions())
        assert is_shown.mean() > 0.999


def test_a_wide_fisheye_is_shared_among_overlapping_views() -> None:
    views = default_views(FISHEYE)
    reach = [np.rad2deg(np.arctan(v.width / 2 / v.focal_px)) for v in views]
    yaw = [
        float(np.rad2deg(np.arctan2(-v.cam_from_view[0, 2], v.cam_from_view[2, 2]))) for v in views
    ]
    assert yaw[0] > 40
    assert yaw[1] == pytest.approx(0, abs=0.1)
    assert yaw[2] < -40
    assert yaw[0] - reach[0] < yaw[1] + reach[1]
    assert yaw[0] + reach[0] > 75


def test_turned_views_look_left_and_up() -> None:
    np.testing.assert_allclose(turned(90.0) @ [0, 0, 1], [-1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(turned(0.0, 30.0) @ [0, 0, 1], [0, -0.5, np.sqrt(0.75)], atol=1e-12)


def test_named_views_and_pictures_are_written_once(tmp_path: Path) -> None:
    def edit(content: dict) -> None:
        camera = content["cameras"]["cam0"]
        camera["distortion"] = {"model": "fisheye", "coefficients": [0.0] * 4}
        camera["views"] = [{"yaw_deg": 30, "wide_deg": 60}, {"pitch_deg": -10, "wide_deg": 60}]

    write_rig(tmp_path, rig_content(2, frames=1, scenes=("only",)), edit)
    frame = next(open_dataset(tmp_path, work=tmp_path / "work").frames())
    assert list(frame.cameras) == ["cam0-0", "cam0-1", "cam1"]
    pictures = [frame.cameras[name].image_path for name in ("cam0-0", "cam0-1")]
    assert all((tmp_path / "work") in p.resolve().parents for p in pictures)
    before = [p.stat().st_ino for p in pictures]
    next(open_dataset(tmp_path, work=tmp_path / "work").frames())
    assert [p.stat().st_ino for p in pictures] == before
    Image.new("RGB", (32, 18), (200, 0, 0)).save(tmp_path / "cam0.png")
    next(open_dataset(tmp_path, work=tmp_path / "work").frames())
    assert read_image(pictures[0])[4, 4].tolist()[0] > 190  # the new image


def test_a_distorted_image_of_another_size_is_named(tmp_path: Path) -> None:
    def edit(content: dict) -> None:
        camera = content["cameras"]["cam0"]
        camera["distortion"] = {"model": "fisheye", "coefficients": [0.0] * 4}
        camera["width"] = 40

    with pytest.raises(DataError, match=r"cam0.png: expected 40 x 18 pixels"):
        open_dataset(write_rig(tmp_path, damage=edit))


def test_pixels_in_the_middle_keep_their_size() -> None:
    seen = view(FISHEYE, 0.0, 0.0, 90.0)
    assert seen.focal_px == 150
    assert seen.width == 300
