# SPDX-License-Identifier: Apache-2.0
"""A row of the store: one ray, its target, a fixed number of bytes."""

import numpy as np
from jaxtyping import UInt8

from langocc.features.pixels import PixelRays

Rows = np.ndarray
"""A structured array of `row_dtype`."""


def row_dtype(code_bytes: int) -> np.dtype:
    """Layout of a row, packed and little-endian.

    `pixel` (row, col) float32; `depth_m` float16, 0 = not measured; `camera` and `flags` uint8;
    `rgb` 3 x uint8; `code` uint8 x code_bytes. 15 bytes and the code.
    """
    return np.dtype(
        [
            ("pixel", "<f4", (2,)),
            ("depth_m", "<f2"),
            ("camera", "u1"),
            ("flags", "u1"),
            ("rgb", "u1", (3,)),
            ("code", "u1", (code_bytes,)),
        ]
    )


def pack_rows(
    rays: PixelRays, rgb: UInt8[np.ndarray, "ray 3"], codes: UInt8[np.ndarray, "ray byte"]
) -> Rows:
    """Rows of rays with their colours and encoded features."""
    rows = np.zeros(len(rays), dtype=row_dtype(codes.shape[1]))
    rows["pixel"], rows["depth_m"] = rays.pixels, rays.depths_m
    rows["camera"], rows["flags"] = rays.cameras, rays.flags
    rows["rgb"], rows["code"] = rgb, codes
    return rows


def rays_of_rows(rows: Rows) -> PixelRays:
    """The ray part of rows, copied out of them."""
    return PixelRays(
        pixels=np.ascontiguousarray(rows["pixel"]),
        cameras=np.ascontiguousarray(rows["camera"]),
        depths_m=rows["depth_m"].astype(np.float32),
        flags=np.ascontiguousarray(rows["flags"]),
    )
