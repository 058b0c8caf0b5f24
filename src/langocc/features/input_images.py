# SPDX-License-Identifier: Apache-2.0
"""Camera images as network inputs: decode, resize, crop, flip, rotate, normalise.

Source: method.md section 5.
"""

from collections import OrderedDict
from typing import Literal

import numpy as np
from jaxtyping import Float32, UInt8
from PIL import Image
from torch import Tensor

from langocc.geometry.augment import ImageAugmentation
from langocc.scenes.frame import Camera
from langocc.scenes.images import read_image

MEAN = (123.675, 116.28, 103.53)
"""Subtracted from channel values in 0..255, in the order in which the network sees channels."""
STD = (58.395, 57.12, 57.375)
"""Divides what is left."""

Decode = Literal["exact", "draft"]
"""`exact`: full decoding. `draft`: JPEGs at half, quarter or eighth scale as long as that is at
least 0.9 of the size needed; two to three times as quick, and the same to the eye."""

DRAFT_SLACK = 0.9


class ImageReader:
    """Reads camera images, and keeps decoded ones up to a number of bytes.

    Each process has its own memory: with loader workers, the bound holds for each of them.
    """

    def __init__(self, decode: Decode = "draft", cache_bytes: int = 0) -> None:
        """Starts with nothing kept; `cache_bytes` 0 keeps nothing."""
        self.decode: Decode = decode
        self.cache_bytes = cache_bytes
        self._kept: OrderedDict[tuple[str, tuple[int, int] | None], np.ndarray] = OrderedDict()
        self._kept_bytes = 0

    def read(self, camera: Camera, largest: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
        """RGB pixels, perhaps at a reduced scale. Not to be written to.

        Args:
            camera: Whose image.
            largest: Width and height of the largest resize it will be asked for, pixels.

        Raises:
            DataError: the image is missing, damaged or of another size than its record says.
        """
        at_least = None
        if self.decode == "draft":
            at_least = int(largest[0] * DRAFT_SLACK), int(largest[1] * DRAFT_SLACK)
        key = str(camera.image_path), at_least
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pixels = read_image(camera.image_path, (camera.width, camera.height), at_least)
        if pixels.nbytes <= self.cache_bytes:
            self._kept[key] = pixels
            self._kept_bytes += pixels.nbytes
            while self._kept_bytes > self.cache_bytes:
                self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return pixels

    def __getstate__(self) -> dict[str, object]:
        """Without the kept images."""
        return {
            "decode": self.decode,
            "cache_bytes": self.cache_bytes,
            "_kept": OrderedDict(),
            "_kept_bytes": 0,
        }


def cut_input(
    pixels: UInt8[np.ndarray, "height width 3"], augmentation: ImageAugmentation
) -> UInt8[np.ndarray, "input_height input_width 3"]:
    """The network's input out of a camera image (perhaps decoded at a reduced scale).

    Only the crop is resized: the same pixels as resizing all and cropping, for less work.
    """
    width, height = augmentation.resized_size
    left, top, right, bottom = augmentation.crop_box
    inside = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    image = Image.fromarray(pixels)
    across, down = image.width / width, image.height / height
    part = image.resize(
        (inside[2] - inside[0], inside[3] - inside[1]),
        Image.Resampling.BICUBIC,
        box=(inside[0] * across, inside[1] * down, inside[2] * across, inside[3] * down),
    )
    if inside != (left, top, right, bottom):
        canvas = Image.new("RGB", augmentation.input_size)
        canvas.paste(part, (inside[0] - left, inside[1] - top))
        part = canvas
    if augmentation.is_flipped:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if augmentation.rotate_deg:
        part = part.rotate(augmentation.rotate_deg)  # nearest, black outside: as published
    return np.asarray(part)


def normalised(
    images: UInt8[Tensor, "*images height width 3"], swap_rgb: bool
) -> Float32[Tensor, "*images 3 height width"]:
    """Network inputs of RGB images, on their device.

    Args:
        images: RGB.
        swap_rgb: Published quirk: blue comes first, the constants stay in their order.
    """
    if swap_rgb:
        images = images.flip(-1)
    planes = images.movedim(-1, -3).contiguous().float()
    mean, std = (planes.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return planes.sub_(mean).div_(std)
