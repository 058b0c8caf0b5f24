# SPDX-License-Identifier: Apache-2.0
"""What a field of colours looks like through a camera."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from langocc.field import VoxelField
from langocc.render.config import RenderConfig
from langocc.scenes.frame import Frame
from langocc.view.depth import pixel_grid, pixel_rays
from langocc.view.pictures import photograph
from langocc.view.sheets import sheet


@torch.no_grad()
def colour_map(
    field: VoxelField, frame: Frame, name: str, config: RenderConfig, width: int = 200
) -> UInt8[np.ndarray, "height width 3"]:
    """Rendered colour of a regular grid of pixels; black where nothing stops a ray.

    Raises:
        ValueError: the field knows no colours.
    """
    row_col = pixel_grid(frame.cameras[name], width)
    rays = pixel_rays(frame, name, row_col.reshape(-1, 2), field.density.device)
    seen = field.render(rays, replace(config, jitter=False, chunk_rays=8192)).colour
    if seen is None:
        raise ValueError(f"field: expected variant 'rgb', got {field.variant!r}")
    return (255 * seen[0]).round().byte().cpu().numpy().reshape(*row_col.shape[:2], 3)


def colour_picture(
    field: VoxelField, frame: Frame, name: str, config: RenderConfig, width: int = 720
) -> Image.Image:
    """Rendered colours beside the photograph.

    Raises:
        DataError: the image is missing or damaged.
    """
    picture = photograph(frame.cameras[name], width)
    rendered = Image.fromarray(colour_map(field, frame, name, config))
    rendered = rendered.resize(picture.size, Image.Resampling.NEAREST)
    return sheet({"Rendered colour": rendered, "Photograph": picture}, 2)
