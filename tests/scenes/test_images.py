# SPDX-License-Identifier: Apache-2.0
"""Decoding of images and sweeps: right pixels, or an error that names the file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from langocc.errors import DataError
from langocc.scenes.frame import Lidar
from langocc.scenes.images import read_image
from langocc.scenes.lidar import read_points

RED, GREY, BLACK = (255, 0, 0), (80, 80, 80), (0, 0, 0)


def test_colours_are_rgb(tmp_path: Path):
    pixels = np.zeros((3, 5, 3), dtype=np.uint8)
    pixels[0, 0], pixels[2, 4] = RED, (1, 2, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    read = read_image(tmp_path / "a.png", (5, 3))
    np.testing.assert_array_equal(read, pixels)
    assert read.flags.writeable


@pytest.mark.parametrize(
    ("mode", "colour", "suffix", "expected"),
    [
        ("L", 80, "jpg", GREY),
        ("CMYK", (0, 255, 255, 0), "jpg", RED),
        ("CMYK", (0, 0, 0, 255), "jpg", BLACK),
        ("RGBA", (255, 0, 0, 128), "png", RED),
        ("1", 0, "png", BLACK),
    ],
)
def test_other_modes_become_rgb(
    tmp_path: Path, mode: str, colour: tuple, suffix: str, expected: tuple
):
    path = tmp_path / f"a.{suffix}"
    Image.new(mode, (16, 16), colour).save(path)
    image = read_image(path)
    smaller = read_image(path, at_least=(4, 4))  # as for a teacher that sees less
    assert smaller.shape[2] == 3
    assert image.shape == (16, 16, 3)
    for read in (image, smaller):
        assert np.abs(read.astype(int) - expected).max() <= 2  # JPEG rounds


def test_a_smaller_decode_is_at_least_as_large_as_wanted(tmp_path: Path):
    ramp = np.linspace(0, 255, 1600, dtype=np.uint8)
    pixels = np.repeat(np.tile(ramp, (900, 1))[..., None], 3, axis=2)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", quality=95)
    for wanted, expected in (
        ((704, 396), (450, 800)),
        ((400, 225), (225, 400)),
        ((801, 9), (900, 1600)),
    ):
        image = read_image(tmp_path / "a.jpg", (1600, 900), at_least=wanted)
        assert image.shape[:2] == expected
        assert np.abs(image[100, ::50, 0] - np.linspace(0, 255, expected[1])[::50]).max() < 3


def test_damaged_images_are_named(tmp_path: Path):
    whole = tmp_path / "whole.jpg"
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    content = whole.read_bytes()
    for name, kept, message in (
        ("half.jpg", len(content) // 2, "cannot be decoded: .*truncated"),
        ("header.jpg", 20, "not an image|cannot be decoded"),
        ("empty.jpg", 0, "not an image"),
    ):
        (tmp_path / name).write_bytes(content[:kept])
        with pytest.raises(DataError, match=rf"{name}: ({message})"):
            read_image(tmp_path / name)
    with pytest.raises(DataError, match=r"none\.jpg: no such image"):
        read_image(tmp_path / "none.jpg")
    with pytest.raises(DataError, match=r"whole\.jpg: expected 64 x 32 pixels.* found 64 x 64"):
        read_image(whole, (64, 32))


def sweep(path: Path, columns: int = 5) -> Lidar:
    return Lidar(path, columns, np.eye(4), np.eye(4), 0, "t")


@pytest.mark.parametrize("columns", [3, 4, 5])
def test_points_keep_their_order(tmp_path: Path, columns: int):
    points = np.random.default_rng(0).random((11, columns), dtype=np.float32)
    points[3] = np.nan
    points.tofile(tmp_path / "a.bin")
    np.testing.assert_array_equal(read_points(sweep(tmp_path / "a.bin", columns)), points)


def test_damaged_sweeps_are_named(tmp_path: Path):
    (tmp_path / "a.bin").write_bytes(b"\0" * 47)
    with pytest.raises(
        DataError, match=r"a\.bin: expected rows of 20 bytes .*found 47 bytes, 7 too"
    ):
        read_points(sweep(tmp_path / "a.bin"))
    with pytest.raises(DataError, match=r"b\.bin: no such LiDAR file"):
        read_points(sweep(tmp_path / "b.bin"))
    (tmp_path / "c.bin").write_bytes(b"")
    assert read_points(sweep(tmp_path / "c.bin")).shape == (0, 5)
