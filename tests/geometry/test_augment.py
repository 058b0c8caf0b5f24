"""Image and BEV augmentation against the recorded draws, and against themselves."""

import numpy as np
import pytest

from langocc.geometry.augment import (
    AugmentConfig,
    ImageAugmentation,
    bev_flip,
    draw_bev_flip,
    draw_image_augmentation,
    plain_image_augmentation,
)

IMAGE, INPUT = (1600, 900), (704, 256)


@pytest.fixture(scope="module")
def recorded(parity_dir):
    return np.load(parity_dir / "data.npz")


@pytest.mark.parity
def test_matrices_equal_the_recorded_ones(recorded):
    for row, rotation, shift in zip(
        recorded["aug_params"], recorded["aug_post_rot"], recorded["aug_post_tran"], strict=True
    ):
        aug = ImageAugmentation(IMAGE, INPUT, row[0], int(row[3]), bool(row[7]), row[8])
        assert [*aug.resized_size, *aug.crop_box] == row[1:7].tolist()
        matrix = aug.input_from_image()
        np.testing.assert_allclose(matrix[:2, :2], rotation, atol=1e-6)
        np.testing.assert_allclose(matrix[:2, 2], shift, rtol=1e-6, atol=2e-4)  # float32 record


@pytest.mark.parity
def test_recorded_draws_follow_from_the_formula(recorded):
    """Scale, crop offset, flip and angle of the legacy stream, in the recorded order."""
    legacy = np.random.RandomState(5)
    for row in recorded["aug_params"]:
        scale = 704 / 1600 + legacy.uniform(-0.06, 0.11)
        legacy.uniform(0.0, 0.0)  # the published crop height range has no width
        drawn = ImageAugmentation(IMAGE, INPUT, scale)
        left = int(legacy.uniform(0, max(0, drawn.resized_size[0] - 704)))
        assert (scale, left) == (row[0], row[3])
        assert legacy.choice([0, 1]) == row[7]
        assert legacy.uniform(-5.4, 5.4) == row[8]


@pytest.mark.parity
def test_plain_input_equals_the_recorded_test_mode(recorded):
    aug = plain_image_augmentation(IMAGE, INPUT)
    row = recorded["aug_test_params"]
    assert [aug.scale, *aug.resized_size, *aug.crop_box, 0, 0] == row.tolist()
    matrix = aug.input_from_image()
    np.testing.assert_allclose(matrix[:2, :2], recorded["aug_test_post_rot"], atol=1e-7)
    np.testing.assert_array_equal(matrix[:2, 2], recorded["aug_test_post_tran"])


@pytest.mark.parity
def test_bev_flips_equal_the_recorded_ones(recorded):
    flips = [bev_flip(x, y) for x in (False, True) for y in (False, True)]
    np.testing.assert_array_equal(flips, recorded["bda_fx_fy_00_01_10_11"])


def test_draws_stay_in_range_and_reach_their_ends():
    generator = np.random.default_rng(0)
    drawn = [draw_image_augmentation(IMAGE, INPUT, AugmentConfig(), generator) for _ in range(2000)]
    scales = np.array([aug.scale for aug in drawn])
    assert scales.min() == pytest.approx(0.38, abs=1e-3)
    assert scales.max() == pytest.approx(0.55, abs=1e-3)
    angles = np.array([aug.rotate_deg for aug in drawn])
    assert np.abs(angles).max() == pytest.approx(5.4, abs=0.05)
    assert 0.45 < np.mean([aug.is_flipped for aug in drawn]) < 0.55
    for aug in drawn:
        left, top, right, bottom = aug.crop_box
        assert (right - left, bottom - top) == INPUT
        assert bottom == aug.resized_size[1]
        assert left == 0 or right <= aug.resized_size[0]


def test_resize_range_scales_with_the_input():
    """The same generator state gives the same relative zoom at every input size."""
    zooms = []
    for image, size in ((IMAGE, INPUT), ((400, 225), (256, 96))):
        aug = draw_image_augmentation(image, size, AugmentConfig(), np.random.default_rng(3))
        zooms.append(aug.scale * image[0] / size[0])
    assert zooms[0] == pytest.approx(zooms[1], rel=1e-12)


@pytest.mark.parametrize("width", [49, 98, 103, 107, 1000, 1600])
def test_plain_input_is_exactly_as_wide_as_asked(width):
    for input_width in range(16, 400, 7):
        assert plain_image_augmentation((width, 900), (input_width, 64)).resized_size[0] == (
            input_width
        )


def test_flip_is_its_own_inverse_and_rotation_keeps_the_centre():
    aug = ImageAugmentation(IMAGE, INPUT, 0.5, crop_left=40, is_flipped=True)
    plain = ImageAugmentation(IMAGE, INPUT, 0.5, crop_left=40)
    mirror = np.array([[-1.0, 0, 704], [0, 1, 0], [0, 0, 1]])
    np.testing.assert_allclose(mirror @ aug.input_from_image(), plain.input_from_image())
    turned = ImageAugmentation(IMAGE, INPUT, 0.5, crop_left=40, rotate_deg=5.0)
    turn = turned.input_from_image() @ np.linalg.inv(plain.input_from_image())
    np.testing.assert_allclose(turn @ [352, 128, 1], [352, 128, 1], atol=1e-9)


def test_bev_draws_take_each_of_four_forms_and_can_be_off():
    generator = np.random.default_rng(0)
    forms = {tuple(draw_bev_flip(AugmentConfig(), generator).diagonal()) for _ in range(50)}
    assert len(forms) == 4
    off = AugmentConfig(flip_x=False, flip_y=False)
    assert np.array_equal(draw_bev_flip(off, generator), np.eye(3))
