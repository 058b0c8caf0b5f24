# SPDX-License-Identifier: Apache-2.0
"""Reads frames for the teacher: threads decode images and take the rays' colours from them."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from langocc.features.pixels import PixelRays
from langocc.scenes.frame import Camera, Frame
from langocc.scenes.images import read_image


@dataclass(frozen=True)
class Images:
    """Cameras of one image size.

    Attributes:
        cameras: Their indices in the frame.
        pixels: Their images; page-locked where they will go to a GPU.
    """

    cameras: list[int]
    pixels: UInt8[Tensor, "cam height width 3"]


class ReadFrame:
    """A frame that is being read.

    Attributes:
        rays: Its rays.
        images: Its images, by size. Filled once `wait` has returned.
        rgb: Colours of the rays. Filled once `wait` has returned.
    """

    def __init__(
        self, frame: Frame, rays: PixelRays, pool: ThreadPoolExecutor, pinned: bool
    ) -> None:
        """Starts to read; `pinned` puts images into page-locked memory."""
        self.rays = rays
        self.rgb: UInt8[np.ndarray, "ray 3"] = np.zeros((len(rays), 3), dtype=np.uint8)
        cameras = list(frame.cameras.values())
        self.images = [
            Images(group, torch.empty(len(group), *size, 3, dtype=torch.uint8, pin_memory=pinned))
            for size, group in _by_size(cameras).items()
        ]
        self._parts: list[Future[None]] = [
            pool.submit(self._read, cameras[index], index, pixels)
            for images in self.images
            for index, pixels in zip(images.cameras, images.pixels, strict=True)
        ]

    def wait(self) -> None:
        """Returns when all is read.

        Raises:
            DataError: an image is missing, damaged, or of another size than its record says.
        """
        for part in self._parts:
            part.result()

    def _read(self, camera: Camera, index: int, into: UInt8[Tensor, "height width 3"]) -> None:
        """One image; threads write to different images and different rays."""
        image = read_image(camera.image_path, (camera.width, camera.height))
        into.numpy()[:] = image
        ours = np.flatnonzero(self.rays.cameras == index)
        self.rgb[ours] = colours_at(image, torch.from_numpy(self.rays.pixels[ours]))


def colours_at(
    image: UInt8[np.ndarray, "height width 3"], row_col: Float[Tensor, "ray 2"]
) -> UInt8[np.ndarray, "ray 3"]:
    """Colours at pixels, bilinear by the rule of all maps; edges repeat.

    Source: method.md section 2, rgb head. *Deviation*: rounded to whole steps of 1/255.
    """
    height, width, _ = image.shape
    at = row_col.numpy() - 0.5  # (row, col) / size * 2 - 1 with align_corners=False
    at = np.clip(at, 0.0, (height - 1, width - 1))
    low = np.minimum(at.astype(np.int64), (max(height - 2, 0), max(width - 2, 0)))
    high = np.minimum(low + 1, (height - 1, width - 1))
    down, right = (at - low).T[..., None]
    (top, left), (bottom, far) = low.T, high.T
    upper = image[top, left] * (1 - right) + image[top, far] * right
    lower = image[bottom, left] * (1 - right) + image[bottom, far] * right
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8)


def _by_size(cameras: Sequence[Camera]) -> dict[tuple[int, int], list[int]]:
    groups: dict[tuple[int, int], list[int]] = {}
    for index, camera in enumerate(cameras):
        groups.setdefault((camera.height, camera.width), []).append(index)
    return groups
