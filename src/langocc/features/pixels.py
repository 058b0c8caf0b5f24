# SPDX-License-Identifier: Apache-2.0
"""Pixels of one frame that become rays."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import sha256

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8

SKY = 1
"""Flag: the teacher says that this pixel is sky, so the ray leaves the world."""

HIT = 2
"""Flag: a surface lies within range for certain (measured, or flat ground says so)."""

SKY_ONLY = 4
"""Flag: a pixel that is kept only if the teacher calls it sky; never in a finished store."""

OTHER_TIME = 8
"""Flag: seen at another time than the sample's key frame; set in samples, never in a store."""


@dataclass(frozen=True)
class PixelRays:
    """Pixels with what is known of them before any teacher has looked.

    A ray that is neither SKY nor HIT may end within range or beyond it: nobody knows.

    Attributes:
        pixels: Row and column in the camera's original image, pixels.
        cameras: Index of the camera in the frame's order.
        depths_m: Camera z of the LiDAR point, metres; 0 = not measured.
        flags: Sum of SKY, HIT, SKY_ONLY.
    """

    pixels: Float32[np.ndarray, "ray 2"]
    cameras: UInt8[np.ndarray, " ray"]
    depths_m: Float32[np.ndarray, " ray"]
    flags: UInt8[np.ndarray, " ray"]

    def __len__(self) -> int:
        """Number of rays."""
        return len(self.pixels)

    def take(
        self, index: Int64[np.ndarray, " taken"] | Bool[np.ndarray, " ray"] | slice
    ) -> "PixelRays":
        """Some of the rays, by index, mask or slice."""
        return PixelRays(**{f.name: getattr(self, f.name)[index] for f in fields(self)})


def unmeasured(pixels: np.ndarray, camera: int, flags: np.ndarray | int = 0) -> PixelRays:
    """Rays of one camera without depth."""
    count = len(pixels)
    return PixelRays(
        pixels=np.asarray(pixels, dtype=np.float32).reshape(count, 2),
        cameras=np.full(count, camera, dtype=np.uint8),
        depths_m=np.zeros(count, dtype=np.float32),
        flags=np.broadcast_to(np.asarray(flags, dtype=np.uint8), (count,)),
    )


def joined(parts: Sequence[PixelRays]) -> PixelRays:
    """Rays of several parts, one after the other; none of no parts."""
    parts = [unmeasured(np.zeros((0, 2)), 0), *parts]
    return PixelRays(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(PixelRays)}
    )


def generator_of(*names: object) -> np.random.Generator:
    """A generator fixed by names alone, so that order, process and machine do not matter."""
    digest = sha256("\0".join(map(str, names)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))
