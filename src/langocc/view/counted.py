# SPDX-License-Identifier: Apache-2.0
"""A frame as an evaluation sees it: photographs, and the voxels that count, predicted and true."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from langocc.files import replacing
from langocc.scenes.frame import Frame
from langocc.scenes.occ3d import FREE_ID
from langocc.view.frame_figures import photographs
from langocc.view.frame_files import occupancy_picture
from langocc.view.sheets import stacked


def draw_counted(
    path: Path,
    frame: Frame,
    prediction: UInt8[np.ndarray, "x y z"],
    truth: UInt8[np.ndarray, "x y z"],
    mask: Bool[np.ndarray, "x y z"] | None = None,
) -> Path:
    """Writes a PNG; voxels that do not count are left out of both sides.

    Args:
        path: Where to.
        frame: The frame.
        prediction: Occ3D ids.
        truth: Occ3D ids; others are not drawn.
        mask: Voxels that count; None: all.

    Raises:
        DataError: an image is missing or damaged.
    """
    sides = []
    for ids in (prediction, truth):
        counted = ids <= FREE_ID if mask is None else mask & (ids <= FREE_ID)
        sides.append(np.where(counted, ids, np.uint8(FREE_ID)))
    picture = stacked([photographs(frame, 628), occupancy_picture(*sides)])
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG")
    return path
