# SPDX-License-Identifier: Apache-2.0
"""The features of a field's voxels as colours: what is alike to the model looks alike."""

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image
from torch.nn import functional

from langocc.field import OccupiedVoxels, VoxelField
from langocc.view.colours import feature_colours
from langocc.view.pictures import bev_colours, oblique
from langocc.view.sheets import beside, sheet


@torch.no_grad()
def feature_voxels(
    field: VoxelField, threshold: float
) -> tuple[Bool[np.ndarray, "x y z"], UInt8[np.ndarray, "x y z 3"]]:
    """Occupied voxels of a field of one scene, and their three leading components as colours.

    Raises:
        ValueError: the field does not speak language.
    """
    voxels = field.occupied(threshold)
    x, y, z = voxels.index[:, 1:].cpu().numpy().T
    is_shown = np.zeros(field.grid.shape, bool)
    is_shown[x, y, z] = True
    colours = np.full((*field.grid.shape, 3), 255, np.uint8)
    colours[x, y, z] = _colours(voxels)
    return is_shown, colours


def _colours(voxels: OccupiedVoxels) -> UInt8[np.ndarray, "voxel 3"]:
    features = functional.linear(voxels.rows, voxels.last.weight)
    if voxels.last.bias is not None:
        features += voxels.inverse[:, None] * voxels.last.bias
    rows = features.float().cpu().numpy()
    if not len(rows):
        return np.zeros((0, 3), np.uint8)
    return feature_colours([rows])[0]


def feature_picture(field: VoxelField, threshold: float) -> Image.Image:
    """Voxels in the colours of their features: in perspective and from above."""
    is_shown, colours = feature_voxels(field, threshold)
    above = bev_colours(is_shown, colours, field.grid, max(1, 600 // field.grid.shape[1]))
    size = (round(above.height * 1.58), above.height)
    solid = oblique(is_shown, colours, field.grid, size)
    first = sheet({"features, three principal components": solid}, 1)
    second = sheet({"from above (ahead is up)": above}, 1)
    return beside([first, second])
