# SPDX-License-Identifier: Apache-2.0
"""Pinhole views into a distorted image: where they look, how wide, and their pixels' source."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, UInt8
from scipy.ndimage import map_coordinates

from langocc.geometry.rigid import Matrix3
from langocc.scenes.lens import Lens

WIDEST_DEG = 110.0
"""One pinhole covers at most so much; wider images are shared among several."""

_SHARE_DEG = 90.0
_NARROWER = 0.99


@dataclass(frozen=True)
class VirtualView:
    """A pinhole camera at the place of a real one.

    Attributes:
        width: Pixels.
        height: Pixels.
        focal_px: Both focal lengths; the principal point is the middle.
        cam_from_view: Rotation from the view's axes to the real camera's.
    """

    width: int
    height: int
    focal_px: float
    cam_from_view: Matrix3

    @property
    def intrinsics(self) -> Matrix3:
        """Pinhole matrix, pixels."""
        f = self.focal_px
        return np.array([[f, 0, self.width / 2], [0, f, self.height / 2], [0, 0, 1.0]])

    def directions(self) -> Float64[np.ndarray, "height width 3"]:
        """Of all pixels' middles, in the real camera's axes."""
        across = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal_px
        down = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal_px
        x, y = np.meshgrid(across, down)
        return np.stack([x, y, np.ones_like(x)], axis=-1) @ self.cam_from_view.T


def turned(yaw_deg: float, pitch_deg: float = 0.0) -> Matrix3:
    """Rotation to a camera from a view that looks left by a yaw and up by a pitch."""
    yaw, pitch = np.deg2rad([yaw_deg, pitch_deg])
    c, s = np.cos(yaw), np.sin(yaw)
    about_y = np.array([[c, 0, -s], [0, 1.0, 0], [s, 0, c]])
    c, s = np.cos(pitch), np.sin(pitch)
    about_x = np.array([[1.0, 0, 0], [0, c, -s], [0, s, c]])
    return about_y @ about_x


def view(lens: Lens, yaw_deg: float, pitch_deg: float, wide_deg: float) -> VirtualView:
    """A view of a width, with about as many pixels a degree as the image has in its middle."""
    focal = float(np.mean(lens.focal_px))
    width = 2 * focal * np.tan(np.deg2rad(wide_deg) / 2)
    high = min(lens.edge_rad(0.0, -1.0), lens.edge_rad(0.0, 1.0), np.deg2rad(_SHARE_DEG) / 2)
    height = 2 * focal * np.tan(high)
    shrink = min(1.0, 1.5 * lens.width / width)  # a wide pinhole wastes pixels on its edges
    size = [max(round(length * shrink), 8) for length in (width, height)]
    return VirtualView(size[0], size[1], focal * shrink, turned(yaw_deg, pitch_deg))


def default_views(lens: Lens) -> list[VirtualView]:
    """Views that together show most of an image, none of them anything beyond it.

    One for images up to `WIDEST_DEG`; for wider ones three that overlap: left, ahead, right.
    """
    left, right = (float(np.rad2deg(lens.edge_rad(x, 0.0))) for x in (-1.0, 1.0))
    if left + right <= WIDEST_DEG:
        return [_inside(lens, view(lens, 0.0, 0.0, 2 * min(left, right)))]
    share = min(_SHARE_DEG, (left + right) / 3 * 1.25)
    yaws = np.linspace(left - share / 2, share / 2 - right, 3)
    return [_inside(lens, view(lens, float(yaw), 0.0, share)) for yaw in yaws]


def _inside(lens: Lens, wanted: VirtualView) -> VirtualView:
    """The view, cut at its edges until the image shows all of it."""
    width, height = wanted.width, wanted.height
    while min(width, height) > 8:
        cut = VirtualView(width, height, wanted.focal_px, wanted.cam_from_view)
        _, is_shown = lens.pixels(_border(cut.directions()))
        if is_shown.all():
            return cut
        width, height = (min(int(n * _NARROWER), n - 1) for n in (width, height))
    return wanted


def _border(grid: Float64[np.ndarray, "height width 3"]) -> Float64[np.ndarray, "pixel 3"]:
    return np.concatenate([grid[0], grid[-1], grid[:, 0], grid[:, -1]])


@dataclass(frozen=True)
class Remap:
    """Where the pixels of a view come from in the image of a lens.

    Attributes:
        row_col: Places in the image, in pixels' middles (the first is at 0).
        is_shown: The image has them; others are black.
    """

    row_col: Float64[np.ndarray, "2 height width"]
    is_shown: Bool[np.ndarray, "height width"]

    @staticmethod
    def of(lens: Lens, view: VirtualView) -> "Remap":
        """Of one view."""
        pixels, is_shown = lens.pixels(view.directions())
        return Remap(np.moveaxis(pixels[..., ::-1] - 0.5, -1, 0), is_shown)

    def __call__(
        self, image: UInt8[np.ndarray, "rows columns 3"]
    ) -> UInt8[np.ndarray, "height width 3"]:
        """The view's picture, bilinear."""
        planes: Sequence[np.ndarray] = [
            map_coordinates(image[..., c], self.row_col, order=1, mode="nearest") for c in range(3)
        ]
        return np.where(self.is_shown[..., None], np.stack(planes, axis=-1), np.uint8(0))
