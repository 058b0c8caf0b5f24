# SPDX-License-Identifier: Apache-2.0
"""Augmentation: how a network input is cut out of a camera image, and flips of the ego frame.

Pure geometry. The pixels themselves are moved in `features/images.py`, the rays in
`features/rays.py`, both from the values made here.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from langocc.geometry.rigid import Matrix3

PUBLISHED_SCALE = 704 / 1600
"""Scale for which the published resize range is stated; other scales stretch it in proportion."""


@dataclass(frozen=True)
class AugmentConfig:
    """Ranges of the random draws. Defaults are the published ones.

    Source: method.md section 5.
    """

    resize: tuple[float, float] = (-0.06, 0.11)
    """Added to the scale input width / image width, for 704 / 1600; in proportion otherwise."""
    rotate_deg: float = 5.4
    """Largest image rotation to either side, degrees."""
    flip_image: bool = True
    """Mirror each image with probability 0.5."""
    flip_x: bool = True
    """Mirror the ego frame's x axis with probability 0.5."""
    flip_y: bool = True
    """Mirror the ego frame's y axis with probability 0.5."""


PUBLISHED_RANGES = AugmentConfig()
"""What the published training draws from."""


@dataclass(frozen=True)
class ImageAugmentation:
    """One camera's way from image to network input: resize, crop, flip, rotate, in this order.

    The crop may reach past the resized image; what lies outside is black.

    Attributes:
        image_size: Width and height of the camera image, pixels.
        input_size: Width and height of the network input, pixels.
        scale: Exact resize factor.
        crop_left: Left edge of the crop in the resized image, pixels.
        is_flipped: Mirrored left to right.
        rotate_deg: Counter-clockwise rotation about the input's centre, degrees.

    Source: method.md section 5.
    """

    image_size: tuple[int, int]
    input_size: tuple[int, int]
    scale: float
    crop_left: int = 0
    is_flipped: bool = False
    rotate_deg: float = 0.0

    @property
    def resized_size(self) -> tuple[int, int]:
        """Width and height after the resize, pixels. Truncated, unlike the exact `scale`.

        The tiny term keeps width * (input width / width) from falling just below the integer.
        """
        width, height = self.image_size
        return int(width * self.scale + 1e-9), int(height * self.scale + 1e-9)

    @property
    def crop_box(self) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in the resized image, pixels; anchored at its lower edge."""
        width, height = self.input_size
        bottom = self.resized_size[1]
        return self.crop_left, bottom - height, self.crop_left + width, bottom

    def input_from_image(self) -> Matrix3:
        """Affine map of image pixels (u, v, 1) to pixels of the network input."""
        left, top, _, _ = self.crop_box
        width, height = self.input_size
        matrix = np.diag([self.scale, self.scale, 1.0])
        matrix[:2, 2] = -left, -top
        if self.is_flipped:
            matrix = np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]) @ matrix
        angle = np.deg2rad(self.rotate_deg)
        cos, sin = np.cos(angle), np.sin(angle)
        rotation = np.array([[cos, sin, 0.0], [-sin, cos, 0.0], [0.0, 0.0, 1.0]])
        centre = np.array([width / 2, height / 2])
        rotation[:2, 2] = centre - rotation[:2, :2] @ centre
        return rotation @ matrix


def plain_image_augmentation(
    image_size: tuple[int, int], input_size: tuple[int, int]
) -> ImageAugmentation:
    """The test-time input: resized to the input's width, its lower rows kept."""
    return ImageAugmentation(image_size, input_size, scale=input_size[0] / image_size[0])


def draw_image_augmentation(
    image_size: tuple[int, int],
    input_size: tuple[int, int],
    config: AugmentConfig,
    generator: np.random.Generator,
) -> ImageAugmentation:
    """A random input of one camera."""
    plain = input_size[0] / image_size[0]
    scale = plain + generator.uniform(*config.resize) * (plain / PUBLISHED_SCALE)
    drawn = ImageAugmentation(image_size, input_size, scale)
    slack = max(0, drawn.resized_size[0] - input_size[0])
    return ImageAugmentation(
        image_size,
        input_size,
        scale,
        crop_left=int(generator.uniform(0.0, slack)),
        is_flipped=config.flip_image and bool(generator.integers(2)),
        rotate_deg=generator.uniform(-config.rotate_deg, config.rotate_deg),
    )


def bev_flip(flip_x: bool, flip_y: bool) -> Float64[np.ndarray, "3 3"]:
    """`augmented_from_ego` of mirrored ego axes.

    Example:
        >>> bev_flip(True, False).diagonal().tolist()
        [-1.0, 1.0, 1.0]
    """
    return np.diag([-1.0 if flip_x else 1.0, -1.0 if flip_y else 1.0, 1.0])


def draw_bev_flip(
    config: AugmentConfig, generator: np.random.Generator
) -> Float64[np.ndarray, "3 3"]:
    """A random `augmented_from_ego`; both draws are made even if a flip is off."""
    flip_x, flip_y = (bool(side) for side in generator.integers(2, size=2))
    return bev_flip(config.flip_x and flip_x, config.flip_y and flip_y)
