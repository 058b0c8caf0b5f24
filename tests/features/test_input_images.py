"""Network inputs: equal to the plain chain of Pillow calls, and to the geometry's own map."""

import numpy as np
import pytest
import torch
from PIL import Image

from langocc.errors import DataError
from langocc.features.input_images import MEAN, STD, ImageReader, cut_input, normalised
from langocc.geometry.augment import ImageAugmentation, plain_image_augmentation


def smooth(width, height, seed=0):
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def plain_chain(pixels, aug):
    """As published: resize all, crop (black outside), flip, rotate nearest."""
    image = Image.fromarray(pixels).resize(aug.resized_size).crop(aug.crop_box)
    if aug.is_flipped:
        image = image.transpose(method=Image.Transpose.FLIP_LEFT_RIGHT)
    return np.asarray(image.rotate(aug.rotate_deg))


CASES = [
    ImageAugmentation((800, 450), (352, 128), 0.44),
    ImageAugmentation((800, 450), (352, 128), 0.4693, 17, True, 5.1),
    ImageAugmentation((800, 450), (352, 128), 0.3951, 0, False, -3.3),  # narrower than the input
    ImageAugmentation((300, 90), (300, 128), 1.0),  # lower than the input
    ImageAugmentation((400, 225), (256, 96), 0.7, 9, True, 0.0),
]


@pytest.mark.parametrize("aug", CASES)
def test_input_equals_the_plain_chain(aug):
    """Resizing the crop alone gives the same samples; rounding may differ by one level."""
    pixels = smooth(*aug.image_size)
    noise = np.random.default_rng(1).integers(-20, 20, pixels.shape)
    pixels = (pixels.astype(int) + noise).clip(0, 255).astype(np.uint8)
    difference = cut_input(pixels, aug).astype(int) - plain_chain(pixels, aug)
    assert np.abs(difference).max() <= 1
    assert (difference == 0).mean() > 0.99


@pytest.mark.parametrize("aug", CASES[:3])
def test_pixels_go_where_the_matrix_says(aug):
    """A bright spot in the image lands within a pixel of its mapped place."""
    spot = np.array([300.0, 350.0])
    rows, cols = np.mgrid[: aug.image_size[1], : aug.image_size[0]]
    bump = np.exp(-((cols - spot[0]) ** 2 + (rows - spot[1]) ** 2) / (2 * 8.0**2))
    pixels = np.repeat((bump * 255).astype(np.uint8)[..., None], 3, axis=2)
    found = cut_input(pixels, aug)[..., 0].astype(float)
    y, x = np.mgrid[: found.shape[0], : found.shape[1]]
    centre = np.array([(found * x).sum(), (found * y).sum()]) / found.sum()
    expected = (aug.input_from_image() @ [*spot, 1.0])[:2]
    np.testing.assert_allclose(centre, expected, atol=1.0)


def test_draft_decoding_looks_the_same(drive):
    camera = drive.scenes["scene-a"][0].cameras["CAM_1"]
    largest = (camera.width // 2, camera.height // 2)
    exact = ImageReader("exact").read(camera, largest)
    draft = ImageReader("draft").read(camera, largest)
    assert exact.shape == (90, 160, 3)
    assert draft.shape == (45, 80, 3)
    aug = plain_image_augmentation((camera.width, camera.height), largest)
    difference = cut_input(exact, aug).astype(float) - cut_input(draft, aug)
    assert np.abs(difference).mean() < 3


def test_memory_of_images_is_bounded_and_gives_the_same(drive):
    cameras = [c for f in drive.scenes["scene-a"] for c in f.cameras.values()]
    size = cameras[0].width * cameras[0].height * 3
    reader = ImageReader("exact", cache_bytes=4 * size)
    for camera in cameras:
        reader.read(camera, (160, 90))
    assert reader._kept_bytes == 4 * size
    kept = reader.read(cameras[-1], (160, 90))
    assert kept is reader.read(cameras[-1], (160, 90))
    np.testing.assert_array_equal(kept, ImageReader("exact").read(cameras[-1], (160, 90)))
    none = ImageReader("exact")
    assert none.read(cameras[0], (160, 90)) is not none.read(cameras[0], (160, 90))


def test_normalisation_and_the_channel_quirk():
    image = torch.tensor([[[10, 100, 200]]], dtype=torch.uint8)
    plain = normalised(image, swap_rgb=False)
    expected = [(v - m) / s for v, m, s in zip((10, 100, 200), MEAN, STD, strict=True)]
    torch.testing.assert_close(plain.flatten(), torch.tensor(expected))
    swapped = normalised(image, swap_rgb=True)
    expected = [(v - m) / s for v, m, s in zip((200, 100, 10), MEAN, STD, strict=True)]
    torch.testing.assert_close(swapped.flatten(), torch.tensor(expected))


def test_a_wrong_size_is_named(drive):
    camera = drive.scenes["scene-a"][0].cameras["CAM_1"]
    other = type(camera)(**{**vars(camera), "width": 200})
    with pytest.raises(DataError, match="expected 200 x 90"):
        ImageReader().read(other, (160, 90))
