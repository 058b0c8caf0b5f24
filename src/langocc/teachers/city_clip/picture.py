# SPDX-License-Identifier: Apache-2.0
"""A picture of what a dense teacher sees: views, features as colours, zero-shot labels, truth."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from langocc.files import replacing
from langocc.teachers.city_clip.views import SceneViews
from langocc.teachers.maskclip import MaskClip
from langocc.teachers.text import Vocabulary

_PALETTE = np.array(
    [
        (150, 190, 230), (255, 120, 50), (255, 192, 203), (255, 255, 0), (0, 150, 245),
        (0, 255, 255), (200, 180, 0), (255, 0, 0), (255, 240, 150), (135, 60, 0),
        (160, 32, 240), (110, 60, 110), (139, 137, 137), (75, 0, 75), (150, 240, 80),
        (230, 230, 250), (0, 140, 0),
    ],
    np.uint8,
)  # fmt: skip
_ROWS = 6


def draw_views(
    teacher: MaskClip, scenes: Sequence[SceneViews], vocabulary: Vocabulary, path: Path
) -> None:
    """Rows of view | principal components of dense features | zero-shot classes | true classes."""
    from langocc.teachers.city_clip.evaluate import segment

    picked = [(scenes[i % len(scenes)], i // len(scenes) + i) for i in range(_ROWS)]
    rgb = [scene.rgb[view % len(scene.rgb)] for scene, view in picked]
    truth = [scene.classes[view % len(scene.classes)] for scene, view in picked]
    images = torch.from_numpy(np.stack(rgb)).permute(0, 3, 1, 2)
    components = principal_colours(teacher.dense(images), (rgb[0].shape[0], rgb[0].shape[1]))
    rows = [
        np.concatenate(
            [
                rgb[i],
                components[i],
                _PALETTE[segment(teacher, rgb[i], [vocabulary])[0].numpy()],
                _PALETTE[truth[i]],
            ],
            axis=1,
        )
        for i in range(len(rgb))
    ]
    with replacing(path) as part:
        Image.fromarray(np.concatenate(rows)).save(part, format="png")


def principal_colours(dense: Tensor, size: tuple[int, int]) -> np.ndarray:
    """The first three principal components of unit features of all maps, as RGB bytes."""
    unit = functional.normalize(dense.float(), dim=1).permute(0, 2, 3, 1)
    flat = unit.flatten(0, 2) - unit.mean(dim=(0, 1, 2))
    _, _, axes = torch.pca_lowrank(flat.cpu(), q=6, center=False)
    values = flat.cpu() @ axes[:, :3]
    low, high = values.quantile(0.02, dim=0), values.quantile(0.98, dim=0)
    scaled = ((values - low) / (high - low)).clamp(0, 1).view(*unit.shape[:3], 3)
    scaled = functional.interpolate(scaled.permute(0, 3, 1, 2), size=size, mode="bilinear")
    return (scaled.permute(0, 2, 3, 1) * 255).byte().numpy()
