# SPDX-License-Identifier: Apache-2.0
"""The vehicle's own body in its images: no rays start there.

A folder with, for some or all cameras, `CAMERA.png` (an image of any size with the camera's aspect;
what is not black is the vehicle) or `CAMERA.json` (a list of polygons, each a list of [column, row]
pairs in pixels of the original image; their inside is the vehicle).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Bool
from PIL import Image, ImageDraw, UnidentifiedImageError

from langocc.errors import DataError
from langocc.features.pixels import PixelRays
from langocc.scenes.frame import Camera


@dataclass(frozen=True)
class EgoMasks:
    """Masks by camera name; a camera without one sees no vehicle.

    Attributes:
        is_body: True where the vehicle's own body is seen.
        sizes: Width and height of each camera's original image, pixels.
    """

    is_body: Mapping[str, Bool[np.ndarray, "height width"]]
    sizes: Mapping[str, tuple[int, int]]

    def is_world(self, rays: PixelRays, names: Sequence[str]) -> Bool[np.ndarray, " ray"]:
        """False for rays of pixels on the vehicle; `names` are the frame's cameras in order."""
        keep = np.ones(len(rays), dtype=bool)
        for index, name in enumerate(names):
            if name not in self.is_body:
                continue
            mask, (width, height) = self.is_body[name], self.sizes[name]
            ours = rays.cameras == index
            cells = rays.pixels[ours] / (height, width) * mask.shape
            row, col = np.minimum(cells.astype(int), np.array(mask.shape) - 1).T
            keep[ours] = ~mask[row, col]
        return keep

    def digest(self) -> str | None:
        """A short hash of all masks, for the record; None without masks."""
        if not self.is_body:
            return None
        total = sha256()
        for name in sorted(self.is_body):
            total.update(f"{name} {self.is_body[name].shape}".encode())
            total.update(np.packbits(self.is_body[name]).tobytes())
        return total.hexdigest()[:16]


def no_masks() -> EgoMasks:
    """Masks of a vehicle that its cameras do not see."""
    return EgoMasks({}, {})


def load_masks(folder: Path, cameras: Mapping[str, Camera]) -> EgoMasks:
    """Reads the masks of a rig's cameras.

    Raises:
        DataError: no such folder, no mask of any camera in it, or an unreadable mask.
    """
    found = {}
    for name, camera in cameras.items():
        if (folder / f"{name}.png").is_file():
            found[name] = _read_picture(folder / f"{name}.png", camera)
        elif (folder / f"{name}.json").is_file():
            found[name] = _read_polygons(folder / f"{name}.json", camera)
    if not found:
        raise DataError(
            f"{folder}: no ego mask; expected CAMERA.png or CAMERA.json with CAMERA one of "
            f"{', '.join(cameras)}"
        )
    return EgoMasks(found, {name: (cameras[name].width, cameras[name].height) for name in found})


def _read_picture(path: Path, camera: Camera) -> Bool[np.ndarray, "height width"]:
    try:
        with Image.open(path) as image:
            mask = np.asarray(image.convert("L")) > 0
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise DataError(f"{path}: unreadable ego mask: {error}") from None
    height, width = mask.shape
    if abs(width * camera.height - height * camera.width) > max(camera.width, camera.height):
        raise DataError(
            f"{path}: expected an ego mask with the camera's aspect {camera.width} x "
            f"{camera.height}, found {width} x {height} pixels"
        )
    return mask


def _read_polygons(path: Path, camera: Camera) -> Bool[np.ndarray, "height width"]:
    try:
        polygons = msgspec.json.decode(path.read_bytes(), type=list[list[tuple[float, float]]])
    except (msgspec.MsgspecError, ValueError) as error:
        raise DataError(f"{path}: expected polygons [[[column, row], ...], ...]: {error}") from None
    canvas = Image.new("1", (camera.width, camera.height))
    for polygon in polygons:
        if len(polygon) < 3:
            raise DataError(f"{path}: expected at least 3 corners a polygon, found {len(polygon)}")
        ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in polygon], fill=1)
    return np.asarray(canvas, dtype=bool)
